// The stage: the segments of all workers in one directory, and their byte limit. What is in it
// survives the engine, so that a ring's room goes back as soon as a record's spans are staged.
//
//   open_segment -> active -> full -> (last entry settled) emptied -> collected -> spare | removed
//                     ^                                                              |
//                     '--------------------- used again, by any worker --------------'
//
// At the limit workers stand in line: only the first takes what comes free, so that one who needs
// much is not starved by those who need little.
//
// Threads: Stage is shared and thread-safe; a StageWriter belongs to one worker; open_entries of a
// segment is counted down by the delivery thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
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

struct StageLimits {
  std::uint64_t bytes_max = 0;
  std::uint64_t segment_bytes = 4U << 20U;  // of a usual segment's file
  // About what is under way between staging and settling when one worker is busy.
  std::size_t spares_max = 6;
};

class Stage {
 public:
  // `epoch` is the ledger's: segments of another one name slots that mean nothing here.
  Stage(std::string directory, std::uint64_t epoch, StageLimits limits);

  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return bytes_.load(std::memory_order_relaxed);  // a figure for limits and stats, no more
  }
  // Entries that some destination must still take, in all segments. Zero: everything is settled.
  [[nodiscard]] std::uint64_t unsettled() const noexcept {
    return unsettled_.load(std::memory_order_acquire);  // pairs with settled()
  }
  // A worker waits for room: what others do not need should be let go.
  [[nodiscard]] bool is_short() const noexcept {
    return first_in_line_.load(std::memory_order_relaxed) != kNobody;  // a hint
  }
  // The file system has less room than our limit.
  [[nodiscard]] bool is_file_system_full() const noexcept {
    // relaxed: for the log.
    return full_at_.load(std::memory_order_relaxed) != std::numeric_limits<std::uint64_t>::max();
  }
  // What must still be emptied before the first in line can go on; what only has to be collected is
  // no longer missing. 0: nobody waits.
  [[nodiscard]] std::uint64_t missing_bytes() const noexcept;
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
  static constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();

  // An empty segment with room for `bytes`, or null: at the limit (or the file system full), and
  // that worker now stands in line.
  [[nodiscard]] std::unique_ptr<Segment> open_segment(SegmentKey key, std::uint64_t bytes);
  [[nodiscard]] std::unique_ptr<Segment> try_open(SegmentKey key, std::uint64_t bytes);
  void leave_line(std::uint32_t worker) noexcept;
  // The last entry was settled or the writer is done with it, whichever comes last.
  void unhold(Segment& segment) noexcept;
  // Collects an emptied segment: a spare or gone.
  void take_back(std::unique_ptr<Segment> segment);
  void trim_spares(std::size_t count);

  [[nodiscard]] bool take(std::uint64_t size) noexcept;
  void give_back(std::unique_ptr<Segment> segment) noexcept;
  [[nodiscard]] std::unique_ptr<Segment> take_spare();
  [[nodiscard]] std::string path_of(SegmentKey key) const;

  std::string directory_;
  std::uint64_t epoch_;
  std::vector<Damaged> damaged_;
  StageLimits limits_;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> unsettled_{0};
  // Parts of bytes_ that can be had at once, for missing_bytes(). Signed: a segment may be
  // collected before it was counted as emptied.
  std::atomic<std::int64_t> emptied_bytes_{0};  // not yet collected
  std::atomic<std::int64_t> spare_bytes_{0};
  // What bytes_ was when the file system last had no room: a limit below ours.
  std::atomic<std::uint64_t> full_at_{std::numeric_limits<std::uint64_t>::max()};

  std::atomic<std::uint32_t> first_in_line_{kNobody};
  std::atomic<std::uint64_t> wanted_bytes_{0};  // by the first in line; 0 = nobody

  // Settled and empty, kept mapped for the next ones: making a segment means zeroing its pages and
  // taking a fault for each, a third of what compressing its contents costs. Any worker's, so that
  // none sits on room that another needs.
  std::mutex spares_mutex_;
  std::vector<std::unique_ptr<Segment>> spares_;
};

class StageWriter {
 public:
  StageWriter(Stage& stage, std::uint32_t worker);

  // Segments of an earlier engine become this writer's to free; nothing is appended to them.
  void adopt(std::vector<std::unique_ptr<Segment>> segments);

  // Names segments from the one after that on.
  void start_after(std::uint64_t sequence) noexcept { next_sequence_ = sequence + 1; }

  // Makes sure that entries of `bytes` in all can be appended: those of one record, which must not
  // be staged by halves. False: the stage is at its limit (or the file system full); this writer
  // stands in line then: try again once something was settled, or forgo().
  [[nodiscard]] bool reserve(std::uint64_t bytes);
  // In the segment that is written to: reserve() takes no other.
  [[nodiscard]] bool has_room(std::uint64_t bytes) const noexcept {
    return active_ != nullptr && active_->capacity() - tail_ >= bytes;
  }
  // Leaves the line.
  void forgo() noexcept { stage_.leave_line(worker_); }
  // Stages one entry, uncommitted, in reserved room.
  [[nodiscard]] EntryRef append(const EntryFields& fields, Bytes encoded) noexcept;
  // Notes the heads of every segment written to since the last call.
  void note_heads(RedoLog& redo);
  // Takes segments back whose entries are all settled, some of them for use again; while somebody
  // waits, or with `all`, the one being written to as well. `settled` is told of each before.
  void collect(bool all = false, const std::function<void(const Segment&)>& settled = {});
  // Of its segments' files, settled or not.
  [[nodiscard]] std::uint64_t bytes() const noexcept;
  [[nodiscard]] const std::vector<std::unique_ptr<Segment>>& segments() const noexcept {
    return segments_;
  }
  // Gives the memory of all but one spare back: for when nothing comes.
  void trim();

 private:
  void release_active() noexcept;

  Stage& stage_;
  std::uint32_t worker_;
  std::uint64_t next_sequence_ = 1;
  Segment* active_ = nullptr;
  std::uint64_t tail_ = 0;  // where the next entry goes in `active_`; >= its head
  std::vector<std::pair<Segment*, std::uint64_t>> heads_;  // moved since the last note_heads()
  std::vector<std::unique_ptr<Segment>> segments_;         // oldest first; the active one is last
};

}  // namespace sidecast::stage
