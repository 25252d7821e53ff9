#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "engine/base/log.h"
#include "engine/directories.h"
#include "engine/engine_impl.h"
#include "engine/ledger/snapshot.h"
#include "engine/reload.h"

namespace sidecast {
namespace {

constexpr std::chrono::milliseconds kHousekeeping{100};
constexpr std::chrono::milliseconds kEndingPoll{10};  // while something is waited for
constexpr std::chrono::milliseconds kHeartbeat{500};
constexpr std::chrono::seconds kFreeSlots{1};

std::uint64_t resident_bytes() {
  std::FILE* const statm = std::fopen("/proc/self/statm", "re");
  if (statm == nullptr) return 0;
  unsigned long long total = 0;
  unsigned long long resident = 0;
  const int fields = std::fscanf(statm, "%llu %llu", &total, &resident);
  std::fclose(statm);
  return fields == 2 ? resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace

void Engine::Impl::stop_spool(Instant deadline) {
  if (spooling == nullptr) return;
  std::vector<stage::Segment*> segments;
  for (const auto& worker : workers) worker->list_segments(segments);
  is_stuck = !spooling->stop(std::move(segments), *plan, deadline);
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

  if (spooling == nullptr || !spooling->is_taking_up()) verify_ledger("at the start");
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
  const auto nothing_spooled = [this] {
    return (spooling == nullptr || spooling->is_open()) &&
           spooled_records(*ledger, plan.get()) == 0;
  };
  const auto everything_settled = [&] {
    return keeper->all_drained() && workers_quiet() && stage_settled() && nothing_spooled();
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
    tap->look(now);
    if (spooling != nullptr) spooling->look();
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

  const bool nothing_left = keeper->all_drained() && stage->unsettled() == 0 && nothing_spooled();
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

bool Engine::is_stuck() const noexcept {
  return impl_->is_stuck;
}

}  // namespace sidecast
