#include "engine/deliver/deliverer.h"

#include <algorithm>
#include <utility>

namespace sidecast {
namespace {

constexpr std::chrono::milliseconds kTick{250};
constexpr std::chrono::milliseconds kReliefPause{20};
// A destination that delivers holds others up when its batches wait so long, and so many times as
// long as those of another one that gets a comparable amount (at least that part of it).
constexpr std::chrono::seconds kLagMax{2};
constexpr int kFarBehind = 3;
constexpr double kComparable = 1.0 / 3;
// Behind that far, it is compared with everybody.
constexpr std::chrono::seconds kLagIntolerable{10};

}  // namespace

Deliverer::Deliverer(const Plan& plan, HttpLoop& loop, Ledger& ledger, stage::RedoLog& redo,
                     stage::Stage& stage, Outlet::Refreeze refreeze)
    : plan_(plan),
      loop_(loop),
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

Pinned Deliverer::pinned(Instant now) const {
  Pinned pinned;
  const auto add = [&](const PlannedGroup& group) {
    for (const PlannedMember& member : group.members) {
      const Outlet* const outlet = outlets_[member.destination].get();
      if (outlet != nullptr && outlet->delivers(now)) pinned.add(group, member.bit);
    }
  };
  for (const auto& group : plan_.groups) add(*group);
  for (const auto& group : plan_.earlier_groups) add(*group);
  return pinned;
}

bool Deliverer::holds_others_up(const Outlet& outlet, Instant now) const {
  const auto lag = outlet.lag(now);
  if (lag < kLagMax) return false;
  const double comparable_bytes =
      lag < kLagIntolerable ? outlet.recent_bytes(now) * kComparable : 0.0;
  return std::any_of(outlets_.begin(), outlets_.end(), [&](const auto& other) {
    return other != nullptr && other->accepts(now) && other->lag(now) * kFarBehind < lag &&
           other->recent_bytes(now) >= comparable_bytes;
  });
}

Outlet* Deliverer::victim(const Missing& missing, Pinned& pinned, Instant now, bool urgent) const {
  Outlet* chosen = nullptr;
  bool chosen_delivers = true;
  for (const auto& outlet : outlets_) {
    const SealedBatch* const oldest = outlet == nullptr ? nullptr : outlet->oldest();
    if (oldest == nullptr) continue;  // all it holds is under way
    const bool delivers = outlet->delivers(now);
    if (delivers && !(urgent && holds_others_up(*outlet, now))) continue;
    const bool better =
        chosen == nullptr || (chosen_delivers && !delivers) ||
        (chosen_delivers == delivers && outlet->queued_bytes() > chosen->queued_bytes());
    if (!better) continue;
    const bool frees = (missing.body_bytes > 0 && !pinned.body(*oldest)) ||
                       (missing.stage_bytes > 0 && !pinned.segments(*oldest));
    if (!delivers && !frees) continue;
    chosen = outlet.get();
    chosen_delivers = delivers;
  }
  return chosen;
}

void Deliverer::relieve(const std::function<Missing()>& missing, bool urgent) {
  const Instant now = monotonic_now();
  if (now < relieve_again_) return;
  const Missing first = missing();
  const std::uint64_t goal = std::max(first.stage_bytes, first.body_bytes);
  if (goal == 0) return;
  Pinned pins = pinned(now);
  // Held records have no bodies.
  std::uint64_t dropped = first.stage_bytes > 0 ? held_.drop_oldest(first.stage_bytes) : 0;
  const auto is_missing = [&missing] {
    const Missing still = missing();
    return still.stage_bytes > 0 || still.body_bytes > 0;
  };
  while (dropped < goal && is_missing()) {
    Outlet* const outlet = victim(missing(), pins, now, urgent);
    if (outlet == nullptr) break;
    outlet->hurry();
    const std::uint64_t before = outlet->queued_bytes();
    if (!outlet->drop_oldest()) break;
    dropped += std::max<std::uint64_t>(1, before - outlet->queued_bytes());
  }
  // Segments are shared, also with requests that are under way: more drops at once might not free
  // them sooner, nor does looking more often.
  if (is_missing()) relieve_again_ = now + kReliefPause;
}

}  // namespace sidecast
