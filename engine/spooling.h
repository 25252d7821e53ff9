// The spool's place in the engine: opened before the redo records are applied, found again after
// them, run beside the workers, and at the end filled with what could not be delivered.
// Threads: the starting and stopping one; run() and stop() make and end the spooler's own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/batch/plan.h"
#include "engine/budget.h"
#include "engine/config/config.h"
#include "engine/deliver/deliverer.h"
#include "engine/ledger/ledger.h"
#include "engine/ledger/paths.h"
#include "engine/spool/spooler.h"
#include "engine/stage/redo.h"
#include "engine/stage/stage.h"
#include "exporters/http/loop.h"

namespace sidecast {

class Spooling {
 public:
  struct Context {
    const EnginePaths& paths;
    Ledger& ledger;
    stage::Stage& stage;
    HttpLoop& loop;
    Budget budget;
    fates::FateLog fates;
    std::atomic<std::uint64_t>& body_bytes_total;
    std::function<void()> relieve;  // asks for room in the stage; thread-safe
  };
  ~Spooling();
  Spooling(const Spooling&) = delete;
  Spooling& operator=(const Spooling&) = delete;
  // Null when the config has no spool. The disk is not touched yet.
  [[nodiscard]] static Result<std::unique_ptr<Spooling>> open(const Config& config,
                                                              Context context);

  // For redo records.
  [[nodiscard]] stage::RedoLog& redo() noexcept { return spooler_->redo(); }
  [[nodiscard]] spool::SegmentState* state_of(std::uint64_t segment_id) noexcept {
    return spooler_->state_of(segment_id);
  }
  // After the redo records, before `segments` of the stage are given to workers. A disk that does
  // not answer is waited for some seconds; what lies there is taken up when it does.
  void recover(const std::vector<std::unique_ptr<stage::Segment>>& segments);
  // What was found is being counted in: no slots may be freed, and the sums may not hold.
  [[nodiscard]] bool is_taking_up() const noexcept { return spooler_->is_taking_up(); }
  // False: what is in the spool is not known.
  [[nodiscard]] bool is_open() const noexcept { return spooler_->is_open(); }
  // Those of `segments` that an earlier spooler wrote.
  void adopt(std::vector<std::unique_ptr<stage::Segment>> segments) {
    spooler_->adopt(std::move(segments));
  }
  void connect(Deliverer& deliverer);

  void run();
  // Housekeeping, from time to time: for a directory that could not be used at the start.
  void look() { spooler_->name_slots(); }
  // See Spooler::try_pause().
  [[nodiscard]] std::unique_lock<std::mutex> try_pause() { return spooler_->try_pause(); }
  // The engine ends: nothing more is brought back, and delivery must leave so much time.
  [[nodiscard]] Milliseconds begin_to_end() noexcept;
  // After delivery and workers have ended: what is left in `segments`, and its own, goes to disk
  // until the deadline. False: the disk does not answer, and the spooler's thread hangs on it; what
  // was not written is still the stage's. Nothing of this may be destroyed then.
  [[nodiscard]] bool stop(std::vector<stage::Segment*> segments, const Plan& plan,
                          Instant deadline);

 private:
  Spooling(const Config& config, Context context, std::unique_ptr<stage::RedoLog> redo);
  void write_leftovers();

  const spool::Settings settings_;
  Milliseconds reserve_;
  Context context_;
  // Shared with the thread, which may still hang on the disk when a start has failed.
  std::shared_ptr<spool::Spooler> spooler_;
  Deliverer* deliverer_ = nullptr;
  std::thread thread_;
  // Between who starts and the thread, which does one step after the other: each has to be asked
  // for, and says when it is done.
  struct Beginning {
    enum class Step : std::uint8_t { kNone, kLook, kTakeUp, kRun, kEnd };
    std::mutex mutex;
    std::condition_variable changed;
    Step asked = Step::kLook;
    Step done = Step::kNone;
    // The starter's: whether it was done in time.
    [[nodiscard]] bool ask(Step step, Nanoseconds patience);
    // The thread's: waits for the next step.
    [[nodiscard]] Step next(Step last);
  };
  std::shared_ptr<Beginning> beginning_ = std::make_shared<Beginning>();
  // Between who stops and the thread that ends.
  struct Ending {
    std::vector<stage::Segment*> segments;
    const Plan* plan = nullptr;
    Instant deadline;
    std::mutex mutex;
    std::condition_variable over;
    bool is_over = false;
    bool is_given_up = false;  // nothing may be settled any more
  };
  Ending ending_;
};

// Records in the spool, one for each destination that the plan can deliver them to; of all
// destinations without a plan.
[[nodiscard]] std::uint64_t spooled_records(const Ledger& ledger, const Plan* plan) noexcept;

}  // namespace sidecast
