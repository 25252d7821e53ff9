// All that an engine consists of. engine_start.cc puts it in its place, engine_plans.cc goes from
// one configuration to the next, engine.cc runs it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/batch/plan.h"
#include "engine/batch/sealed_batch.h"
#include "engine/budget.h"
#include "engine/config/running.h"
#include "engine/deliver/deliverer.h"
#include "engine/engine.h"
#include "engine/fates/fate_log.h"
#include "engine/intake/ring_keeper.h"
#include "engine/intake/worker.h"
#include "engine/ledger/ledger.h"
#include "engine/ledger/paths.h"
#include "engine/lock.h"
#include "engine/spooling.h"
#include "engine/stage/redo.h"
#include "engine/stage/stage.h"
#include "engine/tail/tap.h"
#include "exporters/http/loop.h"
#include "shm/reader.h"

namespace sidecast {

struct Engine::Impl {
  Impl(RunningConfig checked, Options chosen, EngineLock taken);

  // ---- engine_start.cc: everything in its place
  Status open();
  Status recover();
  void open_fates();
  void open_tap();
  // Of one that is configured no more: what was moving there or back when its engine died moves all
  // the same, now, while the counters are those of then.
  struct FormerSpool {
    std::unique_ptr<spool::Spool> states;
    std::unique_ptr<stage::RedoLog> redo;
  };
  Status open_spool(std::vector<stage::RedoLog*>& logs, FormerSpool& former);
  [[nodiscard]] fates::FateLog fates_of(std::size_t section) const {
    return fates == nullptr ? fates::FateLog() : fates->log(static_cast<std::uint32_t>(section));
  }
  // Workers have the first ones; then comes the spooler's, if there is one.
  [[nodiscard]] std::size_t delivery_section() const noexcept {
    return budget.workers + (config->spool ? 1 : 0);
  }

  // ---- engine_plans.cc: from one plan to the next
  Status apply(const RunningConfig& next);
  void publish_writer_settings();
  [[nodiscard]] Result<std::vector<std::unique_ptr<stage::RedoLog>>> larger_redo(const Plan& next);
  // A transaction may touch the four route counters of every destination.
  [[nodiscard]] static std::size_t operations_for(const Plan& plan);
  void in_delivery(const std::function<void()>& task);
  void free_slots();

  // ---- engine.cc: while it runs
  bool run(const std::atomic<bool>& stop);
  void submit(SealedBatchPtr sealed);
  void ask_for_room(bool urgent);
  [[nodiscard]] Deliverer::Missing missing() const noexcept;
  void stop_spool(Instant deadline);
  void beat(ledger::EngineState state);
  void verify_ledger(std::string_view when);

  RunningConfig running;
  std::shared_ptr<const Config> config;
  Budget budget;
  Options options;
  EngineLock lock;
  EnginePaths paths;
  std::atomic<std::uint64_t> body_bytes{0};  // before all that may still hold a batch
  std::unique_ptr<shm::RingDirectory> directory;
  std::unique_ptr<Ledger> ledger;
  std::unique_ptr<fates::FateFile> fates;  // null: none are kept
  std::unique_ptr<tail::Tap> tap;          // before the workers, who write to it
  std::unique_ptr<stage::Stage> stage;
  PlanPtr plan;
  std::size_t route_operations = 0;  // of a worker's largest transaction
  std::unique_ptr<stage::RedoLog> settle_redo;
  std::unique_ptr<stage::RedoLog> ring_redo;
  std::unique_ptr<HttpLoop> loop;
  std::unique_ptr<Deliverer> deliverer;
  std::unique_ptr<Spooling> spooling;  // null: no spool
  std::vector<std::unique_ptr<Worker>> workers;
  std::unique_ptr<RingKeeper> keeper;
  std::atomic<std::size_t> next_refreeze{0};
  std::atomic<bool> oversized_said{false};
  std::atomic<bool> room_asked{false};
  std::atomic<bool> room_is_urgent{false};
  bool is_stuck = false;  // see Spooling::stop()
};

}  // namespace sidecast
