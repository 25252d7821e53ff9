// From one plan to the next while everything runs, and the ledger's slots of what is in none any
// more.
#include <algorithm>
#include <future>
#include <mutex>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "engine/base/log.h"
#include "engine/engine_impl.h"
#include "engine/ledger/retire.h"
#include "engine/recovery.h"

namespace sidecast {
namespace {

constexpr std::size_t kCommitOperations = 4096;  // lanes and heads of a worker's transaction

}  // namespace

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

std::size_t Engine::Impl::operations_for(const Plan& plan) {
  return plan.destinations.size() * 4 + kCommitOperations;
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
    if (spooling->is_taking_up()) return;
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

}  // namespace sidecast
