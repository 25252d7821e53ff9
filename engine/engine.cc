#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <future>
#include <mutex>
#include <set>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/batch/plan.h"
#include "engine/budget.h"
#include "engine/deliver/deliverer.h"
#include "engine/directories.h"
#include "engine/fates/fate_log.h"
#include "engine/intake/ring_keeper.h"
#include "engine/intake/worker.h"
#include "engine/ledger/ledger.h"
#include "engine/ledger/paths.h"
#include "engine/ledger/retire.h"
#include "engine/ledger/snapshot.h"
#include "engine/lock.h"
#include "engine/recovery.h"
#include "engine/reload.h"
#include "engine/spooling.h"
#include "engine/stage/redo.h"
#include "engine/stage/stage.h"
#include "exporters/http/loop.h"
#include "shm/reader.h"

namespace sidecast {
namespace {

constexpr std::chrono::milliseconds kHousekeeping{100};
constexpr std::chrono::milliseconds kEndingPoll{10};  // while something is waited for
constexpr std::chrono::milliseconds kHeartbeat{500};
constexpr std::chrono::seconds kFreeSlots{1};
// Settling takes at most so many records a transaction (settle.cc), and a counter.
constexpr std::size_t kSettleOperations = 8192;
constexpr std::size_t kCommitOperations = 4096;  // lanes and heads of a worker's transaction

std::uint64_t resident_bytes() {
  std::FILE* const statm = std::fopen("/proc/self/statm", "re");
  if (statm == nullptr) return 0;
  unsigned long long total = 0;
  unsigned long long resident = 0;
  const int fields = std::fscanf(statm, "%llu %llu", &total, &resident);
  std::fclose(statm);
  return fields == 2 ? resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

std::size_t wanted_workers(const Config& config) {
  const std::size_t cpus = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t wanted =
      config.workers != 0 ? config.workers : std::max<std::size_t>(1, cpus - 1);
  return std::min(wanted, ledger::kWorkersMax);
}

// A transaction may touch the four route counters of every destination.
std::size_t operations_for(const Plan& plan) {
  return plan.destinations.size() * 4 + kCommitOperations;
}

}  // namespace

struct Engine::Impl {
  Impl(RunningConfig checked, Options chosen, EngineLock taken)
      : running(std::move(checked)),
        config(running.config),
        budget(make_budget(config->memory_limit_bytes, wanted_workers(*config))),
        options(std::move(chosen)),
        lock(std::move(taken)),
        paths(config->ring_dir) {}

  Status open();
  void open_fates();
  [[nodiscard]] fates::FateLog fates_of(std::size_t section) const {
    return fates == nullptr ? fates::FateLog() : fates->log(static_cast<std::uint32_t>(section));
  }
  // Workers have the first ones; then comes the spooler's, if there is one.
  [[nodiscard]] std::size_t delivery_section() const noexcept {
    return budget.workers + (config->spool ? 1 : 0);
  }
  Status recover();
  void publish_writer_settings();
  Status apply(const RunningConfig& next);
  [[nodiscard]] Result<std::vector<std::unique_ptr<stage::RedoLog>>> larger_redo(const Plan& next);
  void in_delivery(const std::function<void()>& task);
  void free_slots();
  void submit(SealedBatchPtr sealed);
  void ask_for_room(bool urgent);
  [[nodiscard]] Deliverer::Missing missing() const noexcept;
  Status open_spool(std::vector<stage::RedoLog*>& logs);
  void stop_spool(Instant deadline);
  void beat(ledger::EngineState state);
  void verify_ledger(std::string_view when);
  bool run(const std::atomic<bool>& stop);

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
};

Status Engine::Impl::open() {
  std::string error;
  directory = shm::RingDirectory::open(config->ring_dir, error);
  if (directory == nullptr) return fail(error);
  publish_writer_settings();

  auto opened = Ledger::open(paths.ledger);
  if (!opened) return fail(std::move(opened.error()));
  ledger = std::move(*opened);
  open_fates();
  stage = std::make_unique<stage::Stage>(
      paths.stage, ledger->header().epoch,
      stage::StageLimits{.bytes_max = budget.stage_bytes, .segment_bytes = budget.segment_bytes});
  auto planned = make_plan(running, *ledger, nullptr);
  if (!planned) return fail(std::move(planned.error()));
  plan = std::move(*planned);
  loop = std::make_unique<HttpLoop>(
      HttpLoop::Settings{.user_agent = fmt::format("sidecast/{} OTel-OTLP-Exporter-cpp/{}",
                                                   options.version, options.version)});
  return recover();
}

void Engine::Impl::publish_writer_settings() {
  const shm::WriterSettings settings{.ring_bytes = config->ring_bytes,
                                     .lanes = config->lanes,
                                     .record_bytes_max = config->record_bytes_max,
                                     .switched_off = config->writers_off};
  std::string error;
  if (!directory->publish(settings, error)) {
    log_warning("{}; gateways that make a ring go on with what was published before", error);
  }
}

void Engine::Impl::open_fates() {
  const std::uint64_t bytes = config->explain_bytes.value_or(budget.fates_bytes);
  if (bytes == 0) {
    static_cast<void>(std::remove(paths.fates.c_str()));
    return;
  }
  auto opened =
      fates::FateFile::open(paths.fates, bytes, static_cast<std::uint32_t>(delivery_section() + 1),
                            ledger->header().epoch);
  if (opened) {
    fates = std::move(*opened);
  } else {
    log_warning("{}; `sidecast explain` will know nothing of what comes; make room there",
                opened.error().message());
  }
}

Status Engine::Impl::recover() {
  const std::size_t worker_count = budget.workers;
  route_operations = operations_for(*plan);
  std::vector<std::unique_ptr<stage::RedoLog>> worker_redo;
  std::vector<stage::RedoLog*> logs;
  // Every worker's log there may be: the engine before may have had more workers.
  for (std::size_t i = 0; i < ledger::kWorkersMax; ++i) {
    const std::string path = paths.redo(fmt::format("worker{}", i));
    if (i >= worker_count && !std::filesystem::exists(path)) continue;
    auto redo = stage::RedoLog::open(path, route_operations);
    if (!redo) return fail(std::move(redo.error()));
    logs.push_back(redo->get());
    worker_redo.push_back(std::move(*redo));
  }
  for (auto* const kept : {&settle_redo, &ring_redo}) {
    auto redo = stage::RedoLog::open(paths.redo(kept == &settle_redo ? "settle" : "rings"),
                                     kSettleOperations);
    if (!redo) return fail(std::move(redo.error()));
    *kept = std::move(*redo);
    logs.push_back(kept->get());
  }

  if (Status opened = open_spool(logs); !opened) return opened;
  auto segments = stage->recover();
  if (!segments) return fail(std::move(segments.error()));
  std::vector<std::shared_ptr<shm::Ring>> rings = directory->discover();
  const stage::RedoTargets targets{
      .ledger = ledger.get(),
      .segment = [&](stage::SegmentKey key) -> stage::Segment* {
        const auto found = std::find_if(segments->begin(), segments->end(),
                                        [&](const auto& one) { return one->key() == key; });
        return found == segments->end() ? nullptr : found->get();
      },
      .ring = [&](const shm::RingUuid& uuid) -> shm::Ring* {
        const auto found = std::find_if(rings.begin(), rings.end(),
                                        [&](const auto& one) { return one->info().uuid == uuid; });
        return found == rings.end() ? nullptr : found->get();
      },
      .spool_segment = [&](std::uint64_t id) -> spool::SegmentState* {
        return spooling == nullptr ? nullptr : spooling->state_of(id);
      }};
  bool redone = false;
  for (stage::RedoLog* const log : logs) redone = log->recover(targets) || redone;

  std::erase_if(rings, [](const auto& ring) { return ring->is_removed(); });
  reconcile_rings(rings, directory->quarantined(), *ledger, *ring_redo);
  drop_damaged(*segments, *ledger, *settle_redo, *stage);

  if (spooling != nullptr) spooling->recover(*segments);

  Recovery recovery = sort_entries(std::move(*segments), *plan, *ledger, *stage, worker_count);
  if (redone || recovery.entries > 0) {
    log_info("recovered: {} staged records are still to be delivered{}", recovery.entries,
             redone ? ", an unfinished transaction was completed" : "");
  }
  const std::vector<ledger::Suspect> poison = find_poison(*ledger);

  deliverer = std::make_unique<Deliverer>(
      plan, *loop, *ledger, *settle_redo, *stage,
      [this](PlannedGroupPtr group, std::vector<stage::EntryRef> entries,
             std::uint64_t destinations, Instant sealed_at, Shrinking shrinking) {
        // relaxed: any worker will do.
        workers[next_refreeze.fetch_add(1, std::memory_order_relaxed) % workers.size()]->refreeze(
            std::move(group), std::move(entries), destinations, sealed_at, shrinking);
      },
      fates_of(delivery_section()));
  if (spooling != nullptr) spooling->connect(*deliverer);
  for (std::size_t i = 0; i < worker_count; ++i) {
    workers.push_back(std::make_unique<Worker>(
        Worker::Context{.index = static_cast<std::uint32_t>(i),
                        .plan = plan,
                        .ledger = ledger.get(),
                        .stage = stage.get(),
                        .redo = std::move(worker_redo[i]),
                        .body_bytes_total = &body_bytes,
                        .budget = budget,
                        .fates = fates_of(i),
                        .oversized_said = &oversized_said,
                        .submit = [this](SealedBatchPtr sealed) { submit(std::move(sealed)); },
                        .relieve = [this](bool urgent) { ask_for_room(urgent); },
                        .poison = poison,
                        .normalise = {.id_characters_max = config->id_characters_max}}));
  }
  keeper = std::make_unique<RingKeeper>(*directory, *ledger, *ring_redo, workers, paths.quarantine);
  keeper->adopt(std::move(rings));
  deliverer->hold(std::move(recovery.held));
  for (std::size_t i = 0; i < worker_count; ++i) workers[i]->adopt(std::move(recovery.workers[i]));
  return {};
}

// Redo logs for transactions of that plan where those in use are too small: other mappings of the
// same files, which the workers take over between two transactions.
Result<std::vector<std::unique_ptr<stage::RedoLog>>> Engine::Impl::larger_redo(const Plan& next) {
  std::vector<std::unique_ptr<stage::RedoLog>> logs(workers.size());
  const std::size_t needed = operations_for(next);
  if (needed <= route_operations) return logs;
  const std::size_t wanted = std::max(needed, route_operations * 2);
  for (std::size_t i = 0; i < logs.size(); ++i) {
    auto log = stage::RedoLog::open(paths.redo(fmt::format("worker{}", i)), wanted);
    if (!log) return fail(std::move(log.error()));
    logs[i] = std::move(*log);
  }
  route_operations = wanted;
  return logs;
}

// Whatever can fail comes first: then nothing has changed. The delivery thread goes over before any
// worker does, so that every batch finds its outlet.
Status Engine::Impl::apply(const RunningConfig& next) {
  auto planned = make_plan(next, *ledger, plan.get());
  if (!planned) return fail(std::move(planned.error()));
  auto logs = larger_redo(**planned);
  if (!logs) return fail(std::move(logs.error()));
  in_delivery([&] { deliverer->follow(*planned); });
  for (std::size_t i = 0; i < workers.size(); ++i) {
    workers[i]->follow(*planned, std::move((*logs)[i]));
  }
  plan = *std::move(planned);
  running = next;
  config = running.config;
  publish_writer_settings();
  return {};
}

// Runs it on the delivery thread and waits for its end.
void Engine::Impl::in_delivery(const std::function<void()>& task) {
  std::promise<void> done;
  loop->post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

// Slots of what is gone, when they have become many. Nobody counts for them once every worker goes
// by the plan that is without them.
void Engine::Impl::free_slots() {
  const auto surplus = [](std::size_t used, std::size_t planned) {
    return used - planned - std::min(used - planned, kGoneKept);
  };
  const std::size_t destinations = surplus(ledger->destinations_used(), plan->destinations.size());
  const std::size_t groups = surplus(ledger->groups_used(), plan->groups.size());
  if (destinations + groups == 0) return;
  if (!std::all_of(workers.begin(), workers.end(),
                   [this](const auto& worker) { return worker->follows(*plan); })) {
    return;
  }
  std::unique_lock<std::mutex> pause;
  if (spooling != nullptr) {
    pause = spooling->try_pause();
    if (!pause) return;  // the next time, then
  }
  std::vector<DestinationIndex> retired;
  std::set<GroupIndex> asked_for;
  in_delivery([&] {
    if (destinations > 0) retired = deliverer->retire(destinations);
    if (deliverer->spool() != nullptr) asked_for = deliverer->spool()->groups_asked_for();
  });
  for (const DestinationIndex index : retired) ledger->free_destination(index);
  if (groups == 0) return;
  const std::vector<bool> staged = groups_staged(*ledger, paths.stage);
  for (std::size_t i = 0; i < staged.size(); ++i) {
    const auto index = static_cast<GroupIndex>(i);
    const bool is_free = ledger->group(index).member_count == 0;
    if (is_free || staged[i] || asked_for.contains(index)) continue;
    if (plan->group_by_slot.contains(index)) continue;
    ledger->free_group(index);
  }
}

Status Engine::Impl::open_spool(std::vector<stage::RedoLog*>& logs) {
  auto opened = Spooling::open(*config, {.paths = paths,
                                         .ledger = *ledger,
                                         .stage = *stage,
                                         .loop = *loop,
                                         .budget = budget,
                                         .fates = fates_of(budget.workers),
                                         .body_bytes_total = body_bytes,
                                         .relieve = [this] { ask_for_room(false); }});
  if (!opened) return fail(std::move(opened.error()));
  spooling = std::move(*opened);
  if (spooling != nullptr) logs.push_back(&spooling->redo());
  return {};
}

void Engine::Impl::stop_spool(Instant deadline) {
  if (spooling == nullptr) return;
  std::vector<stage::Segment*> segments;
  for (const auto& worker : workers) worker->list_segments(segments);
  spooling->stop(std::move(segments), *plan, deadline);
}

void Engine::Impl::submit(SealedBatchPtr sealed) {
  loop->post([this, sealed = std::move(sealed)] {
    deliverer->submit(sealed);
    // Bodies beyond their share: here, not only when a worker waits for it.
    if (missing().body_bytes > 0) deliverer->relieve([this] { return missing(); }, false);
  });
}

Deliverer::Missing Engine::Impl::missing() const noexcept {
  // relaxed: a figure.
  const std::uint64_t bodies = body_bytes.load(std::memory_order_relaxed);
  return {
      .stage_bytes = stage->missing_bytes(),
      .body_bytes = bodies - std::min(bodies, budget.body_bytes),
      .shortage = stage->is_file_system_full() ? Shortage::kFileSystem : Shortage::kMemoryLimit};
}

void Engine::Impl::ask_for_room(bool urgent) {
  // relaxed: the mailbox orders it.
  if (urgent) room_is_urgent.store(true, std::memory_order_relaxed);
  // Asked once, however often workers look while they wait.
  if (room_asked.exchange(true, std::memory_order_relaxed)) return;
  loop->post([this] {
    room_asked.store(false, std::memory_order_relaxed);
    const bool is_urgent = room_is_urgent.exchange(false, std::memory_order_relaxed);
    deliverer->relieve([this] { return missing(); }, is_urgent);
  });
}

void Engine::Impl::beat(ledger::EngineState state) {
  // relaxed: figures for stats; each is read by itself.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  ledger::LedgerHeader& header = ledger->header();
  header.state.store(state, kRelaxed);
  header.heartbeat_ns.store(unix_ns(wall_now()), kRelaxed);
  header.memory_bytes.store(resident_bytes(), kRelaxed);
  header.stage_bytes.store(stage->bytes(), kRelaxed);
}

// Only while no thread of ours counts: then the sums must be exact, whatever gateways write.
void Engine::Impl::verify_ledger(std::string_view when) {
  const auto stats = read_stats(config->ring_dir);
  if (!stats) return;
  for (const std::string& broken : check_identities(*stats)) {
    log_error("the ledger does not add up {}: {}", when, broken);
    ledger->header().ledger_mismatches.fetch_add(1, std::memory_order_relaxed);
  }
}

bool Engine::Impl::run(const std::atomic<bool>& stop) {
  ledger::LedgerHeader& header = ledger->header();
  header.pid.store(getpid());
  header.started_ns.store(unix_ns(wall_now()));
  header.memory_limit_bytes.store(config->memory_limit_bytes);
  header.engine_version = {};
  std::copy_n(options.version.data(),
              std::min(options.version.size(), header.engine_version.size() - 1),
              header.engine_version.data());
  beat(ledger::EngineState::kRunning);
  log_info("sidecastd {} serves {} with {} workers and {} destinations", options.version,
           config->ring_dir, workers.size(), plan->destinations.size());

  verify_ledger("at the start");
  loop->post([this] { deliverer->start(); });
  std::vector<std::thread> threads;
  for (const auto& worker : workers) {
    if (options.drain) worker->seal_eagerly();
    threads.emplace_back([&worker] { worker->run(); });
  }
  std::thread delivery([this] { loop->run(); });
  if (spooling != nullptr) spooling->run();

  const auto workers_quiet = [this] {
    return std::all_of(workers.begin(), workers.end(),
                       [](const auto& worker) { return worker->quiet_passes() >= 2; });
  };
  // But for what is held for nobody: time alone settles that.
  const auto stage_settled = [this] { return stage->unsettled() <= deliverer->held(); };
  const auto everything_settled = [&] {
    return keeper->all_drained() && workers_quiet() && stage_settled() &&
           spooled_records(*ledger, plan.get()) == 0;
  };

  Reloader reloader(options.loader, options.reload_asked, paths,
                    {.running = [this]() -> const RunningConfig& { return running; },
                     .apply = [this](const RunningConfig& next) { return apply(next); }});
  Instant next_beat{};
  Instant next_free{};
  Instant last_progress = monotonic_now();
  std::uint64_t settled_before = 0;
  std::uint64_t unsettled_before = 0;
  bool done = false;
  while (!stop.load(std::memory_order_relaxed) && !done) {
    const Instant now = monotonic_now();
    keeper->sweep(now);
    if (now >= next_free) {
      free_slots();
      next_free = now + kFreeSlots;
    }
    if (now >= next_beat) {
      beat(ledger::EngineState::kRunning);
      next_beat = now + kHeartbeat;
    }
    reloader.look(now);
    if (options.drain) {
      if (deliverer->settled() != settled_before || stage->unsettled() != unsettled_before) {
        last_progress = now;
        settled_before = deliverer->settled();
        unsettled_before = stage->unsettled();
      }
      done = everything_settled() || now - last_progress > config->shutdown_deadline;
    }
    std::this_thread::sleep_for(options.drain ? kEndingPoll : kHousekeeping);
  }

  beat(ledger::EngineState::kStopping);
  for (const auto& worker : workers) worker->stop_reading();
  const Instant deadline = monotonic_now() + config->shutdown_deadline;
  const Instant flush_until = spooling == nullptr ? deadline : deadline - spooling->begin_to_end();
  while (!done && monotonic_now() < flush_until && !(workers_quiet() && stage_settled())) {
    std::this_thread::sleep_for(kEndingPoll);
  }
  loop->stop();
  delivery.join();
  deliverer->finish_log();
  for (const auto& worker : workers) worker->stop();
  for (std::thread& thread : threads) thread.join();
  stop_spool(deadline);
  keeper->remove_drained();  // and finds no ring: nobody would read it

  const bool nothing_left =
      keeper->all_drained() && stage->unsettled() == 0 && spooled_records(*ledger, plan.get()) == 0;
  verify_ledger("at the end");
  beat(ledger::EngineState::kStopped);
  if (stage->unsettled() > 0) {
    log_warning("{} records are not delivered yet; they wait in the stage for the next start",
                stage->unsettled());
  }
  log_info("stopped");
  return nothing_left;
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(RunningConfig config, Options options,
                                             const std::atomic<bool>& stop) {
  const std::string ring_dir = config.config->ring_dir;
  const EnginePaths paths(ring_dir);
  if (Status made = make_directories(ring_dir, paths); !made) {
    return fail(with_advice_on_room(std::move(made.error()), ring_dir));
  }
  auto lock =
      EngineLock::take(paths.lock, {.ledger = paths.ledger, .after = options.takeover_after}, stop);
  if (!lock) return fail(with_advice_on_room(std::move(lock.error()), ring_dir));
  if (!lock->has_value()) return nullptr;
  auto impl = std::make_unique<Impl>(std::move(config), std::move(options), std::move(**lock));
  if (Status opened = impl->open(); !opened) {
    return fail(with_advice_on_room(std::move(opened.error()), ring_dir));
  }
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

bool Engine::run(const std::atomic<bool>& stop) {
  return impl_->run(stop);
}

}  // namespace sidecast
