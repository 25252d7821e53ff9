#include "engine/deliver/spool_gate.h"

#include <algorithm>
#include <utility>

#include "engine/base/clock.h"
#include "engine/base/test_point.h"

namespace sidecast {

using spool::Spooler;
namespace {

constexpr std::chrono::seconds kMovePause{1};

}  // namespace

struct SpoolGate::Handed {
  struct From {
    PlannedMember member;
    RecordRange range;
  };
  std::vector<From> from;
  std::uint64_t bytes = 0;
  bool only_moves = false;
};

Outlet* SpoolGate::outlet_of(DestinationIndex slot) const noexcept {
  return slot < context_.outlets.size() ? context_.outlets[slot].get() : nullptr;
}

bool SpoolGate::hand_over(Outlet& outlet, Instant now) {
  auto taken = outlet.take_for_spool(outlet.delivers(now));
  if (!taken) return false;
  hand_over(*taken, outlet, now, spool::Spool::AtLimit::kDropOldest);
  return true;
}

bool SpoolGate::may_move() const noexcept {
  if (is_refused_ && (moving_ > 0 || monotonic_now() < move_again_)) return false;
  return takes() == Spooler::Taking::kYes;
}

void SpoolGate::hand_over_aged(Instant now) {
  for (const DestinationIndex slot : context_.busy) {
    Outlet& outlet = *context_.outlets[slot];
    if (outlet.delivers(now)) continue;
    while (may_move()) {
      const SealedBatch* const oldest = outlet.waiting_since(
          now - context_.after, [this](const SealedBatch& one) { return !is_too_large(one); });
      if (oldest == nullptr) break;
      auto taken = outlet.take_for_spool(oldest);
      if (!taken) break;
      hand_over(*taken, outlet, now, spool::Spool::AtLimit::kRefuse);
    }
  }
}

void SpoolGate::take_read_back() {
  const Instant now = monotonic_now();
  for (const DestinationIndex slot : context_.busy) {
    Outlet& outlet = *context_.outlets[slot];
    if (outlet.delivers(now)) continue;
    while (may_move()) {
      const auto taken = outlet.take_read_back();
      if (!taken) break;
      hand_over(*taken, outlet, now, spool::Spool::AtLimit::kRefuse);
    }
  }
}

void SpoolGate::hand_over(const RecordRange& first, Outlet& outlet, Instant now,
                          spool::Spool::AtLimit at_limit) {
  const SealedBatchPtr sealed = first.sealed;
  const Group& group = sealed->group->group;
  const std::size_t begin = first.first;
  const std::size_t count = first.count;
  const bool is_whole = count == sealed->entries.size();

  auto handed = std::make_shared<Handed>();
  auto put = std::make_shared<Spooler::Put>();
  for (const PlannedMember& member : sealed->group->members) {
    Outlet* const other = outlet_of(member.destination);
    if (other == &outlet) {
      handed->from.push_back({.member = member, .range = first});
      continue;
    }
    // One copy on disk for all that wait in vain.
    if (!is_whole || other == nullptr || other->delivers(now)) continue;
    if ((sealed->destinations >> member.bit & 1U) == 0) continue;
    if (auto taken = other->take_for_spool(sealed.get())) {
      handed->from.push_back({.member = member, .range = *std::move(taken)});
    }
  }
  std::sort(handed->from.begin(), handed->from.end(),
            [](const auto& a, const auto& b) { return a.member.bit < b.member.bit; });
  for (const Handed::From& from : handed->from) {
    put->bits |= std::uint64_t{1} << from.member.bit;
    put->destinations.push_back(from.member.destination);
  }
  const auto from = sealed->entries.begin() + static_cast<std::ptrdiff_t>(begin);
  put->entries.assign(from, from + static_cast<std::ptrdiff_t>(count));
  // What is on disk is whole: whoever takes it back may take more than the last one did.
  const bool is_as_staged = sealed->batch->shrunk == nullptr;
  if (is_whole && is_as_staged && group.format.whole_batch) put->body = sealed->batch->body;
  if (const auto form = spool::form_of(group, put->body != nullptr)) {
    put->form = *form;
  } else {
    put->body = nullptr;
  }
  put->sealed_at = sealed->sealed_at;
  put->batch = sealed->number;
  put->first = begin;
  put->keep_alive = sealed;
  put->at_limit = at_limit;
  handed->only_moves = at_limit == spool::Spool::AtLimit::kRefuse;
  if (handed->only_moves) ++moving_;
  for (const stage::EntryRef& ref : put->entries) handed->bytes += ref.entry->encoded_bytes;
  bytes_ += handed->bytes;
  context_.spooler.put(put, [this, put, handed](Spooler::Answer answer) {
    if (!answer.parts.empty()) commit(*put, answer.parts);
    written(*handed, std::move(answer));
  });
}

bool SpoolGate::is_too_large(const SealedBatch& sealed) const noexcept {
  return std::any_of(too_large_.begin(), too_large_.end(),
                     [&](const auto& one) { return one.lock().get() == &sealed; });
}

void SpoolGate::commit(const Spooler::Put& put, const std::vector<Spooler::Part>& parts) {
  const std::span<const stage::EntryRef> entries(put.entries);
  for (const Spooler::Part& part : parts) {
    context_.settler.spooled(
        entries.subspan(part.first, part.count), put.bits, put.destinations,
        {.state = *part.state, .ordinal = part.ref.ordinal, .frame_bits = part.frame_bits},
        {.batch = put.batch, .first = put.first + part.first});
    SIDECAST_TEST_POINT("spool.committed");
  }
}

void SpoolGate::written(const Handed& handed, Spooler::Answer answer) {
  bytes_ -= handed.bytes;
  auto& parts = answer.parts;
  if (handed.only_moves) {
    --moving_;
    is_refused_ = answer.is_refused;
    move_again_ = monotonic_now() + kMovePause;
  }
  if (answer.is_too_large) {
    std::erase_if(too_large_, [](const auto& one) { return one.expired(); });
    too_large_.emplace_back(handed.from.front().range.sealed);
  }
  for (const Handed::From& from : handed.from) {
    if (parts.empty()) put_back(from.range, from.member);
    // It has something to ask for, or to send.
    const DestinationIndex slot = from.member.destination;
    if (outlet_of(slot) != nullptr) context_.busy.insert(slot);
  }
  if (!parts.empty()) context_.spooler.committed(std::move(parts));
}

void SpoolGate::put_back(const RecordRange& range, const PlannedMember& member) {
  if (Outlet* const outlet = outlet_of(member.destination)) {
    outlet->put_back(range);
  } else {
    hold(range, member);
  }
}

// Nobody has touched their bits meanwhile.
void SpoolGate::hold(const RecordRange& range, const PlannedMember& member) {
  std::vector<HeldRecord> records;
  for (std::size_t i = range.first; i < range.first + range.count; ++i) {
    records.push_back(
        {.entry = range.sealed->entries[i], .destination = member.destination, .bit = member.bit});
  }
  context_.held.add(std::move(records), wall_now());
}

void SpoolGate::read_back(const PlannedDestination& destination, bool is_probe) {
  const DestinationIndex slot = destination.slot;
  const auto answered = [this, slot](bool found) {
    if (Outlet* const outlet = outlet_of(slot)) outlet->read_back_answered(found);
  };
  if (is_ending_.load(std::memory_order_relaxed)) {
    answered(false);
    return;
  }
  const std::pair wish(slot, destination.group->slot);
  ++asked_[wish];
  context_.spooler.read_back({.group = destination.group,
                              .bit = destination.group->bit_of(slot),
                              .destination = slot,
                              .is_probe = is_probe},
                             [this, wish, answered](bool found) {
                               if (--asked_[wish] == 0) asked_.erase(wish);
                               answered(found);
                             });
}

void SpoolGate::restored(const SealedBatchPtr& sealed) {
  for (const PlannedMember& member : sealed->group->members) {
    if ((sealed->destinations >> member.bit & 1U) == 0) continue;
    // Before it can be settled.
    context_.settler.read_back({sealed, 0, sealed->entries.size()}, member.destination);
    if (Outlet* const outlet = outlet_of(member.destination)) {
      outlet->submit_restored(sealed);
      context_.busy.insert(member.destination);
    } else {
      hold({sealed, 0, sealed->entries.size()}, member);
    }
  }
}

bool SpoolGate::asks_for(DestinationIndex slot) const {
  const auto first = asked_.lower_bound({slot, 0});
  return first != asked_.end() && first->first.first == slot;
}

std::set<GroupIndex> SpoolGate::groups_asked_for() const {
  std::set<GroupIndex> groups;
  for (const auto& [wish, count] : asked_) groups.insert(wish.second);
  return groups;
}

}  // namespace sidecast
