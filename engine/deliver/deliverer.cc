#include "engine/deliver/deliverer.h"

#include <utility>

namespace sidecast {
namespace {

constexpr std::chrono::milliseconds kTick{250};

}  // namespace

Deliverer::Deliverer(const Plan& plan, HttpLoop& loop, Ledger& ledger, stage::RedoLog& redo,
                     stage::Stage& stage, Outlet::Refreeze refreeze)
    : loop_(loop),
      settler_(ledger, redo, stage),
      held_(ledger, settler_, plan.config->give_up_after),
      refreeze_(std::move(refreeze)) {
  outlets_.resize(plan.destinations.size());
  for (const auto& group : plan.groups) {
    for (const PlannedMember& member : group->members) {
      outlets_[member.destination] = std::make_unique<Outlet>(
          plan.destinations[member.destination], member.destination, *group,
          Outlet::Context{.loop = loop_,
                          .settler = settler_,
                          .ledger = ledger,
                          .refreeze = refreeze_,
                          .give_up_after = plan.config->give_up_after});
    }
  }
}

void Deliverer::start() {
  tick();
}

void Deliverer::tick() {
  held_.tick(wall_now());
  const Instant now = monotonic_now();
  for (const auto& outlet : outlets_) {
    if (outlet != nullptr) outlet->expire(now);
  }
  loop_.after(kTick, [this] { tick(); });
}

void Deliverer::finish_log() {
  for (const auto& outlet : outlets_) {
    if (outlet != nullptr) outlet->finish_log();
  }
}

void Deliverer::submit(const SealedBatchPtr& sealed) {
  for (const PlannedMember& member : sealed->group->members) {
    if ((sealed->destinations >> member.bit & 1U) == 0) continue;
    outlets_[member.destination]->submit(sealed);
  }
}

void Deliverer::relieve(std::uint64_t bytes) {
  std::uint64_t freed = held_.drop_oldest(bytes);
  while (freed < bytes) {
    Outlet* fullest = nullptr;
    for (const auto& outlet : outlets_) {
      if (outlet == nullptr) continue;
      if (fullest == nullptr || outlet->queued_bytes() > fullest->queued_bytes()) {
        fullest = outlet.get();
      }
    }
    if (fullest == nullptr) return;
    const std::uint64_t before = fullest->queued_bytes();
    if (!fullest->drop_oldest()) return;  // all it holds is under way
    freed += std::max<std::uint64_t>(1, before - fullest->queued_bytes());
  }
}

}  // namespace sidecast
