// A worker: drains its lanes in bounded passes and takes each record all the way into the stage:
// copy out, decode, normalise, route, write in each needed form, commit, batch. One thread each.
//
// A pass ends with one redo record {counters, stage heads, lane tails}: until then the records are
// still the ring's, afterwards they are the stage's, and no instant of death lies between.
//
// Threads: run() owns a thread; the marked functions may be called from any.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <concurrentqueue/concurrentqueue.h>

#include "engine/batch/batcher.h"
#include "engine/batch/plan.h"
#include "engine/budget.h"
#include "engine/fates/fate_log.h"
#include "engine/intake/counters.h"
#include "engine/intake/ring_handle.h"
#include "engine/normalise/normalise.h"
#include "engine/route/route.h"
#include "engine/stage/stage.h"
#include "engine/tail/tap.h"
#include "shm/record.h"

namespace sidecast {

class Worker {
 public:
  struct Context {
    std::uint32_t index = 0;
    PlanPtr plan;
    Ledger* ledger = nullptr;
    stage::Stage* stage = nullptr;
    std::unique_ptr<stage::RedoLog> redo;
    std::atomic<std::uint64_t>* body_bytes_total = nullptr;
    Budget budget;
    fates::FateLog fates;
    const tail::Tap* tap = nullptr;               // null: nobody can watch
    std::atomic<bool>* oversized_said = nullptr;  // in the log, once a start
    Batcher::Submit submit;                       // thread-safe
    // Asks for room, urgently when rings fill up meanwhile; thread-safe.
    std::function<void(bool urgent)> relieve;
    std::vector<ledger::Suspect> poison;  // records that killed an engine twice
    NormaliseOptions normalise;
  };
  explicit Worker(Context context);

  // Segments and entries of an earlier engine; before run().
  struct Recovered {
    std::vector<std::unique_ptr<stage::Segment>> segments;
    struct Part {
      PlannedGroupPtr group;
      std::uint64_t destinations;
      std::vector<stage::EntryRef> entries;
    };
    std::vector<Part> parts;
  };
  void adopt(Recovered recovered);

  void run();  // until stop()
  // Of the stage; once it has ended.
  void list_segments(std::vector<stage::Segment*>& segments) const {
    for (const auto& segment : writer_.segments()) segments.push_back(segment.get());
  }

  // ---- any thread
  // Reads no further record and seals what is open; batches may still be frozen again.
  void stop_reading() noexcept { reading_.store(false, std::memory_order_relaxed); }
  void stop();
  void add_lane(RingHandlePtr ring, std::uint32_t lane);
  // Goes on with the next plan, between two records. `redo` is set when that plan needs larger
  // transactions: another mapping of the same file.
  void follow(PlanPtr plan, std::unique_ptr<stage::RedoLog> redo);
  // The plan that records are routed by now. Nothing is staged for an older one any more.
  [[nodiscard]] bool follows(const Plan& plan) const noexcept {
    return plan_.load(std::memory_order_acquire) == &plan;  // pairs with the store in take_plan()
  }
  void refreeze(PlannedGroupPtr group, std::vector<stage::EntryRef> entries,
                std::uint64_t destinations, Instant sealed_at, Shrinking shrinking);
  // Passes in a row that found no record, no open batch and no message.
  [[nodiscard]] std::uint64_t quiet_passes() const noexcept {
    return quiet_passes_.load(std::memory_order_acquire);
  }
  // Seal batches at once whenever nothing is left to read.
  void seal_eagerly() noexcept { eager_.store(true, std::memory_order_relaxed); }

 private:
  struct Lane {
    RingHandlePtr ring;
    std::uint32_t lane = 0;
    shm::LaneCursor cursor;     // of the next record to copy out
    shm::LaneCursor committed;  // released to the writer
    bool done = false;
  };
  struct Message {
    RingHandlePtr ring;  // a new lane...
    std::uint32_t lane = 0;
    PlanPtr plan;  // ...or the next plan...
    std::unique_ptr<stage::RedoLog> redo;
    PlannedGroupPtr group;  // ...or entries to freeze again
    std::vector<stage::EntryRef> entries;
    std::uint64_t destinations = 0;
    Instant sealed_at;
    Shrinking shrinking;  // of the one entry, if it is asked for
  };
  // One record's spans for one group, encoded, before they are staged.
  struct Written {
    std::size_t group = 0;
    std::size_t offset = 0;  // in encoded_
    std::size_t size = 0;
    std::uint32_t span_count = 0;
  };

  // Records read; 0 = the lanes were empty.
  [[nodiscard]] std::size_t pass();
  [[nodiscard]] std::size_t drain_lane(Lane& lane);
  // False: there is no room for it now; it stays the ring's.
  [[nodiscard]] bool take_record(const Lane& lane, std::uint64_t sequence);
  [[nodiscard]] bool route_and_stage(const Lane& lane, const Trace& trace, std::uint64_t sequence);
  // To the log of fates, and to who watches.
  void tell_arrival(const Lane& lane, const Trace& trace, std::uint64_t sequence,
                    std::uint64_t span_bytes, std::uint16_t flags);
  void write_forms(const Trace& trace);
  // Bytes that the forms take in the stage.
  [[nodiscard]] std::uint64_t staged_bytes(const stage::EntryFields& fields) const;
  // Shortens content until the forms take what the stage has for one record. False: they cannot.
  [[nodiscard]] bool shrink_forms(stage::EntryFields& fields, std::uint64_t& bytes);
  // Room in the stage for these bytes, and heap for the bodies they become.
  [[nodiscard]] bool has_room(std::uint64_t bytes);
  [[nodiscard]] bool wait_for_room(std::uint64_t bytes);
  [[nodiscard]] bool rings_fill_up() const noexcept;
  void commit();
  void tally(std::size_t group, Decision decision);
  [[nodiscard]] bool take_messages();
  void take_plan();
  void sleep(std::chrono::milliseconds duration);
  [[nodiscard]] bool is_poison(const Lane& lane, std::uint64_t sequence) const noexcept;

  Context context_;
  stage::StageWriter writer_;
  Batcher batcher_;
  Normaliser normaliser_;
  PendingCounters counters_;
  ledger::WorkerBlock& block_;
  Arena arena_;
  std::vector<Lane> lanes_;
  std::vector<Lane> lanes_joining_;  // from the next pass on
  std::string record_;               // one record, copied out
  shm::RecordView view_;
  ByteBuffer encoded_;  // all forms of one record, one after the other
  std::vector<Written> written_;
  std::vector<Routed> routed_;
  std::vector<fates::Decision> decisions_;  // of routed_, for the log of fates
  tail::Pen pen_;
  // Records by decision, per group, since the last commit.
  std::vector<std::array<std::uint64_t, 3>> tallies_;
  std::vector<std::size_t> tallied_;  // groups with a tally
  // Staged since the last commit: they reach the batcher once they are committed.
  std::vector<std::pair<std::size_t, stage::EntryRef>> uncommitted_;
  std::uint64_t uncommitted_bytes_ = 0;
  std::uint64_t uncommitted_records_ = 0;

  PlanPtr next_plan_;  // and its redo log, until the record in hand is done
  std::unique_ptr<stage::RedoLog> next_redo_;

  std::atomic<const Plan*> plan_;  // for follows()
  moodycamel::ConcurrentQueue<Message> messages_;
  std::mutex mutex_;  // for sleeping only
  std::condition_variable wake_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> eager_{false};
  std::atomic<bool> reading_{true};
  std::atomic<std::uint64_t> quiet_passes_{0};
};

}  // namespace sidecast
