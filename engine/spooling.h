// The spool's place in the engine: opened before the redo records are applied, found again after
// them, run beside the workers, and at the end filled with what could not be delivered.
// Threads: the starting and stopping one; run() and stop() make and end the spooler's own.
#pragma once

#include <atomic>
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
  // Null when the config has no spool. The disk is not touched yet.
  [[nodiscard]] static Result<std::unique_ptr<Spooling>> open(const Config& config,
                                                              Context context);

  // For redo records.
  [[nodiscard]] stage::RedoLog& redo() noexcept { return spooler_->redo(); }
  [[nodiscard]] spool::SegmentState* state_of(std::uint64_t segment_id) noexcept {
    return spooler_->state_of(segment_id);
  }
  // After the redo records, before `segments` of the stage are given to workers.
  void recover(const std::vector<std::unique_ptr<stage::Segment>>& segments);
  void connect(Deliverer& deliverer);

  void run();
  // See Spooler::try_pause().
  [[nodiscard]] std::unique_lock<std::mutex> try_pause() { return spooler_->try_pause(); }
  // The engine ends: nothing more is brought back, and delivery must leave so much time.
  [[nodiscard]] Milliseconds begin_to_end() noexcept;
  // After delivery and workers have ended: what is left in `segments`, and its own, goes to disk
  // until the deadline.
  void stop(std::vector<stage::Segment*> segments, const Plan& plan, Instant deadline);

 private:
  Spooling(const Config& config, Context context, std::unique_ptr<stage::RedoLog> redo);

  const spool::Settings settings_;
  Milliseconds reserve_;
  Context context_;
  std::unique_ptr<spool::Spooler> spooler_;
  Deliverer* deliverer_ = nullptr;
  std::thread thread_;
};

// Records in the spool, one for each destination that the plan can deliver them to; of all
// destinations without a plan.
[[nodiscard]] std::uint64_t spooled_records(const Ledger& ledger, const Plan* plan) noexcept;

}  // namespace sidecast
