// The freezer: makes sealed batches of staged entries: frames, joins and compresses them once, for
// all who get them. Threads: belongs to one worker, or to the spooler.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/batch/plan.h"
#include "engine/batch/sealed_batch.h"
#include "engine/fates/fate_log.h"
#include "exporters/compress/compress.h"

namespace sidecast {

// Entries of one group on their way into a batch.
struct OpenBatch {
  std::vector<stage::EntryRef> entries;
  std::uint64_t bytes = 0;
  std::uint64_t spans = 0;
  Instant oldest;
  Shrinking shrinking;
  std::shared_ptr<const ByteBuffer> shrunk;  // of the one entry, instead of what was staged

  void add(stage::EntryRef ref) {
    entries.push_back(ref);
    bytes += ref.entry->encoded_bytes;
    spans += ref.entry->span_count;
  }
};

class Freezer {
 public:
  using Submit = std::function<void(SealedBatchPtr)>;  // thread-safe

  // As of Batcher.
  Freezer(std::uint64_t batch_bytes_max, std::atomic<std::uint64_t>& body_bytes_total,
          Submit submit, fates::FateLog fates = {});

  // Whether one more entry stays within the group's limits.
  [[nodiscard]] bool fits(const OpenBatch& open, const stage::Entry& entry,
                          const PlannedGroup& group) const;
  // Freezes and submits, and leaves `open` empty.
  void seal(const PlannedGroupPtr& group, OpenBatch& open, std::uint64_t destinations, Instant now);
  // Cut into several batches where the group's limits ask for it.
  void freeze(const PlannedGroupPtr& group, std::span<const stage::EntryRef> entries,
              std::uint64_t destinations, Instant now);
  // One entry, its content shortened as far as that is asked for and possible.
  void freeze_shrunk(const PlannedGroupPtr& group, stage::EntryRef ref, std::uint64_t destinations,
                     Shrinking shrinking, Instant sealed_at);
  // A body that was frozen before, of exactly these entries.
  void submit_frozen(const PlannedGroupPtr& group, std::vector<stage::EntryRef> entries,
                     std::string body, std::uint64_t destinations, Instant sealed_at);

 private:
  [[nodiscard]] static std::shared_ptr<Batch> describe(
      const Format& format, std::span<const stage::EntryRef> entries,
      std::shared_ptr<const ByteBuffer> shrunk = nullptr);
  void submit(const PlannedGroupPtr& group, std::shared_ptr<const Batch> batch,
              std::vector<stage::EntryRef> entries, std::uint64_t destinations, Instant sealed_at,
              Shrinking shrinking = {});

  std::uint64_t batch_bytes_max_;
  std::atomic<std::uint64_t>& body_bytes_total_;
  Submit submit_;
  fates::FateLog fates_;
  Compressor compressor_;
  std::vector<Bytes> pieces_;  // reused
};

}  // namespace sidecast
