// The stage: the segments of all workers in one directory, and their byte limit. What is in it
// survives the engine, so that a ring's room goes back as soon as a record's spans are staged.
//
// Threads: Stage is shared and thread-safe; a StageWriter belongs to one worker; open_entries of a
// segment is counted down by the delivery thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "engine/stage/redo.h"
#include "engine/stage/segment.h"

namespace sidecast::stage {

struct EntryRef {
  Segment* segment = nullptr;
  Entry* entry = nullptr;
};

class Stage {
 public:
  // `epoch` is the ledger's: segments of another one name slots that mean nothing here.
  Stage(std::string directory, std::uint64_t epoch, std::uint64_t bytes_max);

  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return bytes_.load(std::memory_order_relaxed);  // a figure for limits and stats, no more
  }
  [[nodiscard]] std::uint64_t bytes_max() const noexcept { return bytes_max_; }
  // Entries that some destination must still take, in all segments. Zero: everything is settled.
  [[nodiscard]] std::uint64_t unsettled() const noexcept {
    return unsettled_.load(std::memory_order_acquire);  // pairs with settled()
  }
  // One more entry of that segment with a pending bit; called before anybody else can know of it.
  void staged(Segment& segment) noexcept;
  // The entry's last pending bit was cleared: the caller does not look at it again.
  void settled(Segment& segment) noexcept;

  // Opens what an earlier engine left.
  [[nodiscard]] Result<std::vector<std::unique_ptr<Segment>>> recover();
  // Files that recover() could not take, with the reasons. They stay where they are until their
  // entries are counted, so that a start that is killed between loses no count.
  struct Damaged {
    std::string path;
    std::string reason;
  };
  [[nodiscard]] const std::vector<Damaged>& damaged() const noexcept { return damaged_; }
  // Renames them to *.damaged.
  void set_damaged_aside();

 private:
  friend class StageWriter;
  [[nodiscard]] bool take(std::uint64_t size) noexcept;
  void give_back(std::uint64_t size) noexcept;
  [[nodiscard]] std::string path_of(SegmentKey key) const;

  std::string directory_;
  std::uint64_t epoch_;
  std::vector<Damaged> damaged_;
  std::uint64_t bytes_max_;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> unsettled_{0};
};

class StageWriter {
 public:
  StageWriter(Stage& stage, std::uint32_t worker);

  // Segments of an earlier engine become this writer's to free; nothing is appended to them.
  void adopt(std::vector<std::unique_ptr<Segment>> segments);

  // Makes sure that entries of `bytes` in all can be appended: those of one record, which must not
  // be staged by halves. False: the stage is at its limit (or the file system full); try again once
  // something was settled.
  [[nodiscard]] bool reserve(std::uint64_t bytes);
  // Stages one entry, uncommitted, in reserved room.
  [[nodiscard]] EntryRef append(const EntryFields& fields, Bytes encoded) noexcept;
  // Notes the heads of every segment written to since the last call.
  void note_heads(RedoLog& redo);
  // Takes segments back whose entries are all settled, some of them for use again.
  void collect();
  // Gives the memory of all but one of those back: for when nothing comes.
  void trim();

 private:
  [[nodiscard]] bool open_segment(std::uint64_t bytes);
  void give_back(std::unique_ptr<Segment> segment);

  Stage& stage_;
  std::uint32_t worker_;
  std::uint64_t next_sequence_ = 1;
  Segment* active_ = nullptr;
  std::uint64_t tail_ = 0;  // where the next entry goes in `active_`; >= its head
  std::vector<std::pair<Segment*, std::uint64_t>> heads_;  // moved since the last note_heads()
  std::vector<std::unique_ptr<Segment>> segments_;         // oldest first; the active one is last
  // Settled and empty, kept mapped for the next ones: making a segment means zeroing its pages and
  // taking a fault for each, a third of what compressing its contents costs.
  std::vector<std::unique_ptr<Segment>> spares_;
};

}  // namespace sidecast::stage
