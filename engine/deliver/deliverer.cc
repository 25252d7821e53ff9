#include "engine/deliver/deliverer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/ledger/retire.h"

namespace sidecast {
namespace {

constexpr std::chrono::milliseconds kTick{250};
constexpr std::chrono::milliseconds kReliefPause{20};
// A destination that delivers holds others up when its batches wait so long, and so many times as
// long as those of another one that gets a comparable amount (at least that part of it) and could
// take so many times as much: whoever is the slowest has all the waiting, however little it is
// behind, since what it makes room for is all that the others get.
constexpr std::chrono::seconds kLagMax{2};
constexpr int kFarBehind = 3;
constexpr double kComparable = 1.0 / 3;
// Behind that far, it is compared with everybody.
constexpr std::chrono::seconds kLagIntolerable{10};

}  // namespace

Deliverer::Deliverer(PlanPtr plan, HttpLoop& loop, Ledger& ledger, stage::RedoLog& redo,
                     stage::Stage& stage, Outlet::Refreeze refreeze, fates::FateLog fates)
    : plan_(std::move(plan)),
      loop_(loop),
      ledger_(ledger),
      redo_(redo),
      give_up_after_(plan_->config->give_up_after),
      settler_(ledger, redo, stage, fates),
      held_(ledger, settler_, give_up_after_),
      refreeze_(std::move(refreeze)),
      fates_(fates) {
  mark_destinations(*plan_, ledger_);
  for (const auto& [slot, index] : plan_->enabled_by_slot) {
    forget_leave(slot);
    open(plan_->destinations[index]);
  }
}

void Deliverer::open(const PlannedDestination& destination) {
  if (outlets_.size() <= destination.slot) outlets_.resize(destination.slot + 1);
  outlets_[destination.slot] =
      std::make_unique<Outlet>(destination, Outlet::Context{.loop = loop_,
                                                            .settler = settler_,
                                                            .ledger = ledger_,
                                                            .refreeze = refreeze_,
                                                            .held = held_,
                                                            .give_up_after = give_up_after_,
                                                            .fates = fates_,
                                                            .read_back = read_back_});
  if (outlets_[destination.slot]->has_spooled()) busy_.insert(destination.slot);
}

// Whoever holds records of it next, in the stage or in the spool, notes the time anew.
void Deliverer::forget_leave(DestinationIndex slot) {
  ledger_.destination(slot).held_since_ns.store(0, std::memory_order_relaxed);
}

void Deliverer::follow(PlanPtr plan) {
  plan_ = std::move(plan);
  give_up_after_ = plan_->config->give_up_after;
  mark_destinations(*plan_, ledger_);
  for (std::size_t slot = 0; slot < outlets_.size(); ++slot) {
    const auto index = static_cast<DestinationIndex>(slot);
    if (outlets_[slot] == nullptr || plan_->enabled_by_slot.contains(index)) continue;
    if (outlets_[slot]->has_left()) continue;
    forget_leave(index);
    outlets_[slot]->leave();
    busy_.insert(index);  // until it is gone
  }
  for (const auto& [slot, index] : plan_->enabled_by_slot) {
    forget_leave(slot);
    const PlannedDestination& destination = plan_->destinations[index];
    if (slot < outlets_.size() && outlets_[slot] != nullptr) {
      outlets_[slot]->follow(destination);
    } else {
      open(destination);
    }
    release(held_.take(slot));
  }
}

std::vector<DestinationIndex> Deliverer::retire(std::size_t count_max) {
  std::set<DestinationIndex> planned;  // the disabled too
  for (const PlannedDestination& destination : plan_->destinations) {
    planned.insert(destination.slot);
  }
  return retire_counts(ledger_, redo_, count_max, [&](DestinationIndex slot) {
    const bool has_outlet = slot < outlets_.size() && outlets_[slot] != nullptr;
    const bool is_asked_for = gate_ != nullptr && gate_->asks_for(slot);
    return !has_outlet && !is_asked_for && !planned.contains(slot);
  });
}

// Of one destination: each is frozen again for the group and bit it was staged with.
void Deliverer::release(const std::vector<HeldRecord>& records) {
  std::map<std::pair<GroupIndex, std::uint8_t>, std::vector<stage::EntryRef>> parts;
  for (const HeldRecord& record : records) {
    parts[{record.entry.entry->group, record.bit}].push_back(record.entry);
  }
  for (const auto& [place, entries] : parts) {
    const std::uint64_t bit = std::uint64_t{1} << place.second;
    for (const PlannedGroupPtr& taker : takers_of(*plan_, ledger_, place.first)) {
      if ((taker->mask & bit) != 0) refreeze_(taker, entries, bit, monotonic_now(), {});
    }
  }
}

void Deliverer::start() {
  tick();
}

void Deliverer::tick() {
  held_.tick(wall_now());
  const Instant now = monotonic_now();
  std::erase_if(busy_, [&](DestinationIndex slot) {
    std::unique_ptr<Outlet>& outlet = outlets_[slot];
    outlet->expire(now);
    if (outlet->is_gone()) outlet.reset();
    return outlet == nullptr || outlet->is_quiet(now);
  });
  if (gate_ != nullptr) gate_->hand_over_aged(now);
  loop_.after(kTick, [this] { tick(); });
}

void Deliverer::use_spool(spool::Spooler& spooler, std::chrono::milliseconds after) {
  gate_ = std::make_unique<SpoolGate>(SpoolGate::Context{.outlets = outlets_,
                                                         .busy = busy_,
                                                         .held = held_,
                                                         .settler = settler_,
                                                         .spooler = spooler,
                                                         .after = after});
  read_back_ = [this](const PlannedDestination& destination, bool is_probe) {
    gate_->read_back(destination, is_probe);
  };
  look_for_spooled();
}

void Deliverer::look_for_spooled() {
  for (const auto& [slot, index] : plan_->enabled_by_slot) {
    if (outlets_[slot] != nullptr && outlets_[slot]->has_spooled()) busy_.insert(slot);
  }
}

void Deliverer::finish_log() {
  for (const auto& outlet : outlets_) {
    if (outlet != nullptr) outlet->finish_log();
  }
}

void Deliverer::submit(const SealedBatchPtr& sealed) {
  for (const PlannedMember& member : sealed->group->members) {
    if ((sealed->destinations >> member.bit & 1U) == 0) continue;
    const bool has_outlet =
        member.destination < outlets_.size() && outlets_[member.destination] != nullptr;
    if (!has_outlet) {
      hold(*sealed, member);
      continue;
    }
    outlets_[member.destination]->submit(sealed);
    busy_.insert(member.destination);
  }
}

// Staged under an earlier plan for a destination that is gone.
void Deliverer::hold(const SealedBatch& sealed, const PlannedMember& member) {
  std::vector<HeldRecord> records;
  for (const stage::EntryRef& entry : sealed.entries) {
    records.push_back({.entry = entry, .destination = member.destination, .bit = member.bit});
  }
  held_.add(std::move(records), wall_now());
}

Pinned Deliverer::pinned(Instant now) const {
  Pinned pinned;
  for (const DestinationIndex slot : busy_) {
    const Outlet& outlet = *outlets_[slot];
    if (!outlet.delivers(now)) continue;
    for (const Outlet::Place& place : outlet.places()) pinned.add(place.group, place.bit);
  }
  return pinned;
}

bool Deliverer::holds_others_up(const Outlet& outlet, Instant now) const {
  const auto lag = outlet.lag(now);
  if (lag < kLagMax) return false;
  const bool is_intolerable = lag >= kLagIntolerable;
  const double comparable_bytes = outlet.recent_bytes(now) * kComparable;
  return std::any_of(busy_.begin(), busy_.end(), [&](DestinationIndex slot) {
    const Outlet& other = *outlets_[slot];
    if (!other.accepts(now) || other.lag(now) * kFarBehind >= lag) return false;
    return is_intolerable || (other.recent_bytes(now) >= comparable_bytes &&
                              other.busy_share(now) * kFarBehind < 1.0);
  });
}

Outlet* Deliverer::victim(const Missing& missing, Pinned& pinned, Instant now, bool urgent) const {
  Outlet* chosen = nullptr;
  bool chosen_delivers = true;
  for (const DestinationIndex slot : busy_) {
    Outlet* const outlet = outlets_[slot].get();
    const SealedBatch* const oldest = outlet->oldest();
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
    chosen = outlet;
    chosen_delivers = delivers;
  }
  return chosen;
}

std::uint64_t Deliverer::relieve(Outlet& outlet, Shortage shortage, Instant now, bool urgent) {
  const std::uint64_t before = outlet.queued_bytes();
  const auto taking = gate_ == nullptr ? spool::Spooler::Taking::kNo : gate_->takes();
  const bool is_too_large =
      gate_ != nullptr && outlet.oldest() != nullptr && gate_->is_too_large(*outlet.oldest());
  const bool is_handed_over =
      taking == spool::Spooler::Taking::kYes && !is_too_large && gate_->hand_over(outlet, now);
  // A disk that is too slow must not fill a ring, either.
  const bool may_drop = is_too_large || taking == spool::Spooler::Taking::kNo ||
                        (taking == spool::Spooler::Taking::kBusy && urgent);
  if (!is_handed_over) {
    outlet.hurry();
    if (!may_drop || !outlet.drop_oldest(shortage)) return 0;
  }
  return std::max<std::uint64_t>(1, before - std::min(before, outlet.queued_bytes()));
}

void Deliverer::relieve(const std::function<Missing()>& missing, bool urgent) {
  const Instant now = monotonic_now();
  if (now < relieve_again_) return;
  const Missing first = missing();
  const std::uint64_t goal = std::max(first.stage_bytes, first.body_bytes);
  if (goal == 0) return;
  Pinned pins = pinned(now);
  const bool spools = gate_ != nullptr && gate_->takes() != spool::Spooler::Taking::kNo;
  std::uint64_t freed = spools ? gate_->bytes_on_their_way() : 0;
  // Held records have no bodies.
  const auto drop_held = [&] {
    return first.stage_bytes > 0 ? held_.drop_oldest(first.stage_bytes, first.shortage) : 0;
  };
  if (!spools) freed += drop_held();
  const auto is_missing = [&missing] {
    const Missing still = missing();
    return still.stage_bytes > 0 || still.body_bytes > 0;
  };
  while (freed < goal && is_missing()) {
    Outlet* const outlet = victim(missing(), pins, now, urgent);
    if (outlet == nullptr) break;
    const std::uint64_t bytes = relieve(*outlet, first.shortage, now, urgent);
    if (bytes == 0) break;
    freed += bytes;
  }
  if (spools && freed == 0) static_cast<void>(drop_held());
  // Segments are shared, also with requests that are under way: more drops at once might not free
  // them sooner, nor does looking more often.
  if (is_missing()) relieve_again_ = now + kReliefPause;
}

}  // namespace sidecast
