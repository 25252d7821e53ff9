// The batcher of one worker: gathers committed entries per group, and freezes them (frames, joins,
// compresses) when a batch is full by bytes, spans or records, or old enough.
// Threads: belongs to one worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/base/clock.h"
#include "engine/batch/freezer.h"
#include "engine/batch/plan.h"
#include "engine/batch/sealed_batch.h"
#include "engine/fates/fate_log.h"

namespace sidecast {

class Batcher {
 public:
  using Submit = Freezer::Submit;  // thread-safe

  // `body_bytes_total` counts the heap that frozen bodies hold, over all workers; no batch is
  // larger than `batch_bytes_max`, unless a single record is.
  Batcher(PlanPtr plan, std::uint64_t batch_bytes_max, std::atomic<std::uint64_t>& body_bytes_total,
          Submit submit, fates::FateLog fates = {});

  // Goes on with the next plan. Batches of groups that are in it as they were stay open, the others
  // are sealed for those they were staged for.
  void follow(PlanPtr plan, Instant now);
  // Takes one committed entry of that group (index into Plan::groups).
  void add(std::size_t group, stage::EntryRef entry, Instant now);
  // Seals what is old enough; with `all`, everything.
  void seal_due(Instant now, bool all);
  [[nodiscard]] bool empty() const noexcept { return open_entries_ == 0; }

  // Freezes given entries for given members at once: what a restart finds, or part of a batch that
  // was too large. Cut into several batches where the group's limits ask for it. `sealed_at`: when
  // they were first sealed, since by that age they are given up.
  void freeze(const PlannedGroupPtr& group, std::span<const stage::EntryRef> entries,
              std::uint64_t destinations, Instant sealed_at);
  // Freezes one entry, its content shortened as far as that is asked for and possible.
  void freeze_shrunk(const PlannedGroupPtr& group, stage::EntryRef ref, std::uint64_t destinations,
                     Shrinking shrinking, Instant sealed_at);

 private:
  void seal(const PlannedGroupPtr& group, OpenBatch& open, Instant now);

  PlanPtr plan_;
  Freezer freezer_;
  std::vector<OpenBatch> open_;     // by group
  std::vector<std::size_t> begun_;  // groups whose batch is not empty, each once
  std::size_t open_entries_ = 0;
};

}  // namespace sidecast
