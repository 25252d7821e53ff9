// An engine's start: what an earlier one left is opened, its unfinished transactions are completed,
// and what it had not delivered is given to this one's threads.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "engine/base/log.h"
#include "engine/engine_impl.h"
#include "engine/recovery.h"

namespace sidecast {
namespace {

// Settling takes at most so many records a transaction (settle.cc), and a counter.
constexpr std::size_t kSettleOperations = 8192;

// What channels may copy of what is under way, of memory_limit: a part of what is the engine's own.
constexpr std::uint64_t kCopiesShare = 16;

std::size_t wanted_workers(const Config& config) {
  const std::size_t cpus = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t wanted =
      config.workers != 0 ? config.workers : std::max<std::size_t>(1, cpus - 1);
  return std::min(wanted, ledger::kWorkersMax);
}

}  // namespace

Engine::Impl::Impl(RunningConfig checked, Options chosen, EngineLock taken)
    : running(std::move(checked)),
      config(running.config),
      budget(make_budget(config->memory_limit_bytes, wanted_workers(*config))),
      options(std::move(chosen)),
      lock(std::move(taken)),
      paths(config->ring_dir) {}

Status Engine::Impl::open() {
  std::string error;
  directory = shm::RingDirectory::open(config->ring_dir, error);
  if (directory == nullptr) return fail(error);
  publish_writer_settings();

  auto opened = Ledger::open(paths.ledger);
  if (!opened) return fail(std::move(opened.error()));
  ledger = std::move(*opened);
  open_fates();
  open_tap();
  stage = std::make_unique<stage::Stage>(
      paths.stage, ledger->header().epoch,
      stage::StageLimits{.bytes_max = budget.stage_bytes, .segment_bytes = budget.segment_bytes});
  auto planned = make_plan(running, *ledger, nullptr);
  if (!planned) return fail(std::move(planned.error()));
  plan = std::move(*planned);
  loop = std::make_unique<HttpLoop>(HttpLoop::Settings{
      .copied_bytes_max = static_cast<std::size_t>(config->memory_limit_bytes / kCopiesShare),
      .user_agent =
          fmt::format("sidecast/{} OTel-OTLP-Exporter-cpp/{}", options.version, options.version)});
  return recover();
}

void Engine::Impl::open_tap() {
  const Result<int> listening = tail::listen_at(paths.directory);
  if (!listening) log_warning("{}; `sidecast tail` will see nothing", listening.error().message());
  tap = std::make_unique<tail::Tap>(listening ? *listening : -1);
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

  FormerSpool former;
  if (Status opened = open_spool(logs, former); !opened) return opened;
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
        if (former.states != nullptr) return former.states->state_of(id);
        return spooling == nullptr ? nullptr : spooling->state_of(id);
      }};
  bool redone = false;
  for (stage::RedoLog* const log : logs) redone = log->recover(targets) || redone;

  std::erase_if(rings, [](const auto& ring) { return ring->is_removed(); });
  reconcile_rings(rings, directory->quarantined(), *ledger, *ring_redo);
  drop_damaged(*segments, *ledger, *settle_redo, *stage);

  if (spooling != nullptr) spooling->recover(*segments);

  Recovery recovery =
      sort_entries(std::move(*segments), *plan, *ledger, *stage, worker_count, spooling != nullptr);
  if (spooling != nullptr) spooling->adopt(std::move(recovery.read_back));
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
                        .tap = tap.get(),
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

Status Engine::Impl::open_spool(std::vector<stage::RedoLog*>& logs, FormerSpool& former) {
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
  if (spooling != nullptr) {
    logs.push_back(&spooling->redo());
  } else if (std::filesystem::exists(paths.redo("spool"))) {
    auto redo = stage::RedoLog::open(paths.redo("spool"), 1);  // as large as it is
    if (!redo) return fail(std::move(redo.error()));
    former.redo = std::move(*redo);
    former.states = std::make_unique<spool::Spool>(spool::Settings{}, paths.spool, *ledger);
    logs.push_back(former.redo.get());
  }
  return {};
}

}  // namespace sidecast
