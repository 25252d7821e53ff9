// The spooler: the one thread that touches the spool's disk, so that no slow or full one ever holds
// up delivery. It writes what the delivery thread hands over, reads back what a destination may
// take again, and lets go of what is over.
//
//   put -> written (uncommitted) -> [delivery: one redo record] -> committed
//   read_back -> frame -> restaged: one redo record {stage's head, frame's state, spooled_out}
//             -> sealed batches, as any others
//
// What is read back is the stage's again, in segments of the spooler's own, of which it may have a
// share. Its place on disk is kept until they are settled, so that a power cut loses nothing. What
// a destination that fails is tried with stands in other segments than what is delivered, so that
// none of it holds those; and where room is wanted, it goes back to the disk.
//
// Threads: run() owns a thread; the marked functions may be called from any. Without that thread,
// before it starts and once it has ended, the others belong to who starts and stops it.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <concurrentqueue/concurrentqueue.h>

#include "engine/base/clock.h"
#include "engine/batch/freezer.h"
#include "engine/batch/sealed_batch.h"
#include "engine/budget.h"
#include "engine/fates/fate_log.h"
#include "engine/ledger/ledger.h"
#include "engine/spool/spool.h"
#include "engine/stage/redo.h"
#include "engine/stage/stage.h"

namespace sidecast::spool {

// Of its segments in the stage, beside those of the workers.
inline constexpr std::uint32_t kStageWriter = ledger::kWorkersMax;
inline constexpr std::uint32_t kProbeWriter = kStageWriter + 1;
[[nodiscard]] constexpr bool is_read_back(stage::SegmentKey key) noexcept {
  return key.worker == kStageWriter || key.worker == kProbeWriter;
}

class Spooler {
 public:
  struct Context {
    Ledger* ledger = nullptr;
    stage::Stage* stage = nullptr;
    std::unique_ptr<stage::RedoLog> redo;
    Budget budget;
    fates::FateLog fates;  // the spooler's own section
    std::atomic<std::uint64_t>* body_bytes_total = nullptr;
    std::function<void(std::function<void()>)> post;  // to the delivery thread
    std::function<void()> relieve;                    // asks for room in the stage; thread-safe
    // Asks for what was read back for destinations that do not take it; thread-safe.
    std::function<void()> reclaim;
    std::function<void(SealedBatchPtr)> restored;  // runs on the delivery thread
    std::function<void()> taken_up;                // what lies in the spool is known; thread-safe
  };
  Spooler(Settings settings, const std::string& state_directory, Context context);

  // Before run(). For redo records; then look(), name_slots() and take_up() find what is on disk. A
  // directory that cannot be used is said, and tried again from time to time.
  [[nodiscard]] SegmentState* state_of(std::uint64_t segment_id) noexcept {
    return spool_.state_of(segment_id);
  }
  [[nodiscard]] stage::RedoLog& redo() noexcept { return *context_.redo; }
  // `stage_sequence`: of the last segment that an earlier spooler left in the stage.
  void start_after(std::uint64_t stage_sequence) noexcept;
  // Those segments, which become this one's to free: what is in them is not done on disk before it
  // is settled here. Before run(); take_up() may be under way.
  void adopt(std::vector<std::unique_ptr<stage::Segment>> segments);

  // ---- the spooler's thread
  // Opens the directory and reads who is named in it: as long as the disk takes.
  void look();
  // After look() and name_slots(): counts in what lies there. Before the start goes on, unless the
  // disk keeps that waiting; else by run().
  void take_up();
  void run();  // until stop()

  // ---- the thread that may give the ledger new slots
  // After look(): gives slots to those who are named there. False: there is nothing to do.
  bool name_slots();
  // Meanwhile none of those slots may be freed.
  [[nodiscard]] bool is_taking_up() const noexcept {
    return opening_.load(std::memory_order_acquire) == Opening::kSlotted;  // pairs with take_up()
  }

  // ---- any thread
  void stop();

  struct Put {
    std::vector<stage::EntryRef> entries;
    std::shared_ptr<const std::string> body;     // frozen, of exactly these; null = none
    BodyForm form;                               // of a frozen body; else who wrote the records
    std::uint64_t bits = 0;                      // of the entries' masks
    std::vector<DestinationIndex> destinations;  // the bits', from the lowest on
    Instant sealed_at;
    std::uint64_t batch = 0;  // in the log of fates, where they stand from `first` on; 0 = in none
    std::size_t first = 0;
    std::shared_ptr<const void> keep_alive;  // what body and entries belong to
    // At spool.limit: memory wants the room, so older batches make place. Else it only moves.
    Spool::AtLimit at_limit = Spool::AtLimit::kRefuse;
  };
  // Where records [first, first + count) of a put are.
  struct Part {
    FrameRef ref;
    SegmentState* state = nullptr;
    std::size_t first = 0;
    std::size_t count = 0;
    std::uint64_t frame_bits = 0;  // with which the frame waits for the put's destinations
    bool is_given_back = false;    // they had been read back from there
  };
  using PutPtr = std::shared_ptr<const Put>;
  enum class Taking { kYes, kBusy, kNo };
  // Whether a put would be taken: kBusy when too many wait already, kNo while the disk takes none.
  [[nodiscard]] Taking takes() const noexcept;
  // While this lock is held, no transaction of the spooler is under way and none is begun. Not
  // owned: one is.
  [[nodiscard]] std::unique_lock<std::mutex> try_pause() {
    return std::unique_lock(transactions_, std::try_to_lock);
  }
  // No parts: it failed, or was refused at spool.limit, or will always fail, since a record of it
  // is larger than the spool may be.
  struct Answer {
    std::vector<Part> parts;
    bool is_too_large = false;
    bool is_refused = false;
  };
  // `written` runs on the delivery thread.
  void put(PutPtr put, std::function<void(Answer)> written);
  void committed(std::vector<Part> parts);

  struct Wish {
    PlannedGroupPtr group;
    std::uint8_t bit = 0;  // of the group's entries
    DestinationIndex destination = 0;
    bool is_probe = false;  // of a destination that did not take the last one
  };
  // The oldest batch of that destination goes to `restored`, then `answered` runs on the delivery
  // thread, with whether there was one and room for it.
  void read_back(Wish wish, std::function<void(bool)> answered);

  // ---- without a thread of its own
  // All of it or nothing. An Error: the disk takes nothing.
  [[nodiscard]] Result<Answer> write(const Put& put);
  void commit(const std::vector<Part>& parts);
  // Nothing that was read back is in the stage any more: it is settled, or spooled again.
  void settle_restaged();
  // What was read back and is settled is done on disk.
  void collect();
  // What was written and never committed will not be.
  void abandon();
  // The last words to the disk.
  void finish();
  // Of records that were read back and are still in the stage: from which frame.
  struct Origin {
    FrameRef ref;
    std::int64_t sealed_ns = 0;  // unix time
  };
  [[nodiscard]] std::unordered_map<const stage::Entry*, Origin> origins() const;
  [[nodiscard]] bool is_open() const noexcept {
    return opening_.load(std::memory_order_relaxed) == Opening::kOpen;
  }
  [[nodiscard]] std::array<const stage::StageWriter*, 2> writers() const noexcept {
    return {&writer_, &probes_};
  }
  void publish();

 private:
  struct Message {
    PutPtr put;  // one of these
    std::function<void(Answer)> written;
    std::vector<Part> parts;
    Wish wish;
    std::function<void(bool)> answered;
  };
  struct Waiting {
    Wish wish;
    std::function<void(bool)> answered;
    Instant since;
    // What there was no room for, so that it need not be read again to know.
    std::optional<FrameRef> ref = std::nullopt;
    std::uint64_t bytes = 0;
  };
  struct Restaged {
    FrameRef ref;
    std::uint64_t bit = 0;
    DestinationIndex destination = 0;
    std::vector<stage::EntryRef> entries;
    std::size_t settled = 0;  // so many of them, at least
    bool is_whole = true;     // these are all the frame's records
  };
  enum class Outcome { kRestaged, kNothing, kNoRoom };

  void begin();
  // True: there is more to do.
  [[nodiscard]] bool pass();
  void send(Message message);
  [[nodiscard]] bool take_messages();
  void write_and_answer(const PutPtr& put, const std::function<void(Answer)>& written);
  // Of `count` records from `first` on, in as many frames as it takes. False: a single one of them
  // is too large for the spool.
  [[nodiscard]] Result<bool> write_part(const Put& put, Part part, NewFrame frame,
                                        std::vector<Part>& parts);
  struct Run {
    std::size_t count = 0;
    std::int64_t sealed_ns = std::numeric_limits<std::int64_t>::max();  // of where they come from
  };
  [[nodiscard]] Run new_from(const Put& put, std::size_t first);
  void take_back(const std::vector<Part>& parts);
  // ---- giving_back.cc
  // The frame that a record was read back from, if that is known; valid until it is settled.
  [[nodiscard]] const Restaged* restaged_with(const stage::EntryRef& ref) const;
  // Whether the records from `first` on are just those of that frame.
  [[nodiscard]] static bool can_go_back(const Restaged& one, const Put& put, std::size_t first);
  // To where they were: nothing is written then, and at spool.limit nothing makes room.
  [[nodiscard]] std::optional<Part> give_back(const Put& put, std::size_t first);
  void end_giving_back(const Part& part, bool is_committed);
  // What an earlier engine had read back, in its segments: it is known again from which frame.
  void find_adopted();
  void serve_wishes(Instant now);
  [[nodiscard]] stage::StageWriter& writer_for(const Wish& wish) noexcept {
    return wish.is_probe ? probes_ : writer_;
  }
  [[nodiscard]] bool make_room(const Wish& wish, std::uint64_t bytes);
  [[nodiscard]] Outcome restage_oldest(Waiting& waiting);
  [[nodiscard]] Outcome restage(Waiting& waiting, FrameRef ref, const Frame& frame);
  void drop_damaged(FrameRef ref, const std::string& why);
  void settled(const Restaged& one);
  void tick(Instant now);
  void open_late(Instant now);
  void note_failure(const Error& error, Instant now);
  void note_success();
  void say_overdue(const Spool::Overdue& overdue);

  Context context_;
  Spool spool_;
  stage::StageWriter writer_;
  stage::StageWriter probes_;
  Freezer freezer_;
  Compressor compressor_;
  std::deque<Waiting> wishes_;
  // What was restaged into each segment of ours, until it is settled.
  std::unordered_map<const stage::Segment*, std::vector<Restaged>> restaged_;
  std::vector<Restaged> giving_back_;  // until the delivery thread has committed it
  std::unordered_map<DestinationIndex, std::size_t> in_stage_;  // batches of them
  // Segments of an earlier engine's spooler, with their bytes: they take nothing of our share. When
  // they are gone, what find_adopted() could not tell of is settled.
  std::unordered_map<const stage::Segment*, std::uint64_t> adopted_;
  Instant reclaim_again_{};
  Instant next_tick_{};
  Instant next_overdue_{};
  bool is_loss_told_ = false;
  bool is_too_large_told_ = false;

  // look() -> kNamed, name_slots() -> kSlotted, take_up() -> kOpen. Each store is a release, and
  // what the one thread leaves for the other stands in names_ and slots_.
  enum class Opening : std::uint8_t { kClosed, kNamed, kSlotted, kOpen };
  std::atomic<Opening> opening_{Opening::kClosed};
  std::vector<DestinationName> names_;
  Spool::Slots slots_;
  std::atomic<ledger::SpoolState> state_{ledger::SpoolState::kUnusable};
  std::atomic<Instant::rep> again_at_{0};  // after a failure: when to try again
  std::atomic<std::uint32_t> puts_waiting_{0};
  moodycamel::ConcurrentQueue<Message> messages_;
  std::mutex transactions_;
  std::mutex mutex_;  // for sleeping only
  std::condition_variable wake_;
  std::atomic<bool> stop_{false};
};

}  // namespace sidecast::spool
