// The spool: batches on disk, for what outlives memory. Segments in one directory, their states in
// the engine's own, and in memory who waits for what.
//
//   write -> (committed with the stage's bits) -> waiting, by destination, oldest first
//         -> left: back into the stage, or dropped -> settled -> (last of a segment) unlinked
//               -> giving back -> (committed with the stage's bits) -> waiting, where it was
//
// What is exact are the states and the ledger's counters, which move together by redo records; what
// is on disk is enough to begin anew without them (recover.cc). At its limit the oldest segment
// makes room, counted as dropped(budget), for what memory has no room for; what only moves is
// refused then.
//
// Threads: belongs to one at a time: the starting thread, the spooler, then the stopping thread;
// state_of() of a frame that was written, or is given back, may be used by the delivery thread
// until it is committed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/ledger/ledger.h"
#include "engine/lock.h"
#include "engine/spool/frame.h"
#include "engine/spool/segment_file.h"
#include "engine/spool/settings.h"
#include "engine/spool/state.h"
#include "engine/stage/redo.h"

namespace sidecast::spool {

// What the error begins with when the limit is full of what may not go.
inline constexpr std::string_view kNoRoomAtLimit = "the spool's limit has no room";

// Names a frame; it may be gone.
struct FrameRef {
  std::uint64_t sequence = 0;  // of the segment
  std::uint32_t ordinal = 0;
  bool operator==(const FrameRef&) const = default;
};

class Spool {
 public:
  // Opens the states that an earlier engine left, for its redo records. Nothing on disk is touched.
  Spool(Settings settings, std::string state_directory, Ledger& ledger);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;
  [[nodiscard]] SegmentState* state_of(std::uint64_t segment_id) noexcept;

  // Makes and locks the directory. May be tried again after an Error.
  [[nodiscard]] Status open();
  [[nodiscard]] bool is_open() const noexcept { return lock_ >= 0; }
  // Who is named in what lies there. After open().
  [[nodiscard]] std::vector<DestinationName> named_destinations() const;
  // Their slots of the ledger, by identity.
  using Slots = std::map<std::string, DestinationIndex, std::less<>>;
  // Once, after open() and after the redo records: finds what is there. Segments without a state
  // are counted in as adopted; what the ledger knows and the disk lost is dropped(damaged); what
  // names somebody without a slot is left where it is.
  struct Recovered {
    std::uint64_t records = 0;  // for each destination
    std::uint64_t adopted = 0;  // of them
    std::uint64_t lost = 0;     // that were spooled and are gone
    std::uint64_t segments = 0;
    std::uint64_t set_aside = 0;
    std::string first_flaw;
    std::uint64_t left = 0;  // segments that are not damaged, but cannot be read by us or now
    std::string first_left;
  };
  Recovered recover(const Slots& slots, stage::RedoLog& redo);
  // What an earlier engine had read back may still be in the stage when recover() returns: until
  // this is called, nothing of it counts as done on disk.
  void settle_recovered();
  // Each of those, with its frame (null: it cannot be read), for a visitor that knows better. True:
  // the visitor sees to its end.
  using RecoveredVisitor = std::function<bool(FrameRef, DestinationIndex, const Frame*)>;
  void visit_recovered(const RecoveredVisitor& visit);

  // ---- Into it
  // No larger frame will ever find room.
  [[nodiscard]] std::uint64_t frame_bytes_max() const noexcept;
  enum class AtLimit : std::uint8_t { kDropOldest, kRefuse };
  // Writes a frame for those destinations. It counts once it was committed: its state set with the
  // destinations' bits, in the redo record that clears the stage's. `redo` is for what must make
  // room. Refused: the Error begins with kNoRoomAtLimit.
  [[nodiscard]] Result<FrameRef> write(const NewFrame& frame,
                                       std::vector<DestinationIndex> destinations, AtLimit at_limit,
                                       stage::RedoLog& redo, Timestamp now);
  [[nodiscard]] SegmentState& state_of(FrameRef ref);
  void committed(FrameRef ref);
  void abandoned(FrameRef ref);  // it never will be
  void abandon_uncommitted();
  // A frame that left and is not settled waits again, once its state was set with those bits, in
  // the redo record that clears the stage's. Until given_back() it is nobody else's.
  void begin_giving_back(FrameRef ref, std::uint64_t bits);
  void end_giving_back(FrameRef ref, std::uint64_t bits, bool is_committed);

  // ---- Out of it
  [[nodiscard]] std::optional<FrameRef> oldest(DestinationIndex destination);
  // Bytes of a whole frame. An Error: the disk does not give them.
  [[nodiscard]] Result<std::string> read(FrameRef ref);
  // Its file cannot be had for want of descriptors or the like; it may be soon.
  [[nodiscard]] bool is_out_of_reach(FrameRef ref);
  [[nodiscard]] Result<Frame> parse(FrameRef ref, Bytes whole) const;
  // The bit of a destination in a frame of which it is one.
  [[nodiscard]] std::uint64_t bit_of(FrameRef ref, DestinationIndex destination) const;
  [[nodiscard]] std::int64_t sealed_ns(FrameRef ref) const { return info(ref).sealed_ns; }
  [[nodiscard]] std::size_t record_count(FrameRef ref) const { return info(ref).records; }
  // In the caller's transaction; then, when that is committed, left(). settled(): the records have
  // met their end, also after a power cut.
  void note_left(stage::RedoLog& redo, FrameRef ref, std::uint64_t bits);
  void left(FrameRef ref, std::uint64_t bits);
  void settled(FrameRef ref, std::uint64_t bits);
  // All of it at once; returns the records, one for each destination.
  std::uint64_t drop(FrameRef ref, std::uint64_t bits, ledger::DropReason reason,
                     stage::RedoLog& redo);

  // ---- From time to time
  struct Overdue {
    std::uint64_t expired = 0;
    std::uint64_t policy_changed = 0;
  };
  // Drops what is too old, and what waits too long for a destination that was changed or removed.
  Overdue drop_overdue(stage::RedoLog& redo, Timestamp now);
  [[nodiscard]] Status sync();
  // Lets go of the segment that is written to, when all in it is over.
  void rest();

  struct Figures {
    std::uint64_t bytes = 0;
    std::uint64_t segments = 0;
    std::uint64_t batches = 0;
    std::uint64_t records = 0;
  };
  [[nodiscard]] Figures figures() const noexcept;
  [[nodiscard]] const Settings& settings() const noexcept { return settings_; }
  // Dropped because the limit was reached, since the last call.
  [[nodiscard]] std::uint64_t take_dropped_for_room() noexcept;

 private:
  struct FrameInfo {
    std::uint64_t offset = 0;
    std::uint32_t size_bytes = 0;  // 0 = not there
    std::uint32_t records = 0;
    std::uint32_t destinations = 0;  // into destination_sets_
    std::int64_t sealed_ns = 0;
  };
  struct Held {
    std::uint64_t sequence = 0;  // the file's, unless another one has it already
    std::unique_ptr<SegmentFile> file;
    SegmentState* state = nullptr;
    std::vector<FrameInfo> frames;  // by ordinal
    std::set<std::uint32_t> uncommitted;
    std::map<std::uint32_t, std::uint64_t> giving_back;  // bits, by ordinal
    std::uint64_t unsettled = 0;  // destinations of frames that left but are not settled
    std::int64_t oldest_ns = 0;
    bool is_damaged = false;
  };
  struct Waiting {
    std::int64_t sealed_ns;
    FrameRef ref;
  };
  using Queue = std::deque<Waiting>;

  // recover.cc
  struct Recovery;
  void recover_segment(const std::string& path, Recovery& recovery);
  void leave(const std::string& path, const Error& why, Recovery& recovery);
  void adopt(Held& held, const SegmentFile::Scan& scan, Recovery& recovery);
  void go_on(Held& held, const SegmentFile::Scan& scan, const Recovery& recovery);
  void count_lost(Recovery& recovery);
  void add_frame(Held& held, const SegmentFile::Found& found,
                 const std::vector<DestinationIndex>& slots);

  [[nodiscard]] Status make_active(std::uint64_t frame_bytes, AtLimit at_limit,
                                   stage::RedoLog& redo, Timestamp now);
  void seal_active();
  // False: there is nothing that could go.
  [[nodiscard]] bool drop_oldest_segment(stage::RedoLog& redo);
  void enqueue(const Held& held, std::uint32_t ordinal, std::uint64_t bits);
  [[nodiscard]] bool is_done(const Held& held) const;
  void retire_if_done(std::uint64_t sequence);
  [[nodiscard]] std::uint32_t set_id(std::vector<DestinationIndex> destinations);
  [[nodiscard]] const FrameInfo& info(FrameRef ref) const;
  [[nodiscard]] std::string state_path(std::uint64_t segment_id) const;

  Settings settings_;
  std::string state_directory_;
  Ledger& ledger_;
  int lock_ = -1;
  bool is_recovered_ = false;
  std::uint64_t next_sequence_ = 1;
  std::unordered_map<std::uint64_t, std::unique_ptr<SegmentState>> states_;  // by segment id
  std::set<std::uint64_t> unreachable_states_;  // ids of their segments
  std::map<std::uint64_t, Held> segments_;      // by sequence
  // Done as far as the states know: what was read back from there may still be in the stage.
  std::vector<std::pair<FrameRef, std::uint64_t>> recovered_done_;
  std::uint64_t active_ = 0;  // sequence of the segment that is written to; 0 = none
  std::unordered_map<DestinationIndex, Queue> queues_;
  std::vector<std::vector<DestinationIndex>> destination_sets_;
  std::map<std::vector<DestinationIndex>, std::uint32_t> set_ids_;
  Figures figures_;  // segments is counted, not kept
  std::uint64_t dropped_for_room_ = 0;
  bool is_dirty_ = false;  // written to since the last sync
  Status sealed_sync_;     // of segments that are written to no more
};

}  // namespace sidecast::spool
