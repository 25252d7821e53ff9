#include "engine/batch/plan.h"

#include <algorithm>
#include <utility>

#include "engine/base/assert.h"

namespace sidecast {
namespace {

bool writes_same_bytes(const Group& a, const Group& b) {
  const Format& x = a.format;
  const Format& y = b.format;
  return x.dialect == y.dialect && x.encoder == y.encoder &&
         x.dialect_options == y.dialect_options && a.privacy_mode == b.privacy_mode &&
         a.privacy_keep == b.privacy_keep;
}

}  // namespace

std::uint8_t PlannedGroup::bit_of(std::size_t destination) const noexcept {
  const auto found = std::find_if(members.begin(), members.end(), [&](const PlannedMember& member) {
    return member.destination == destination;
  });
  SIDECAST_ASSERT(found != members.end());
  return found->bit;
}

std::vector<const PlannedGroup*> takers_of(Plan& plan, const Ledger& ledger, GroupIndex slot) {
  const ledger::GroupSlot& staged = ledger.group(slot);
  std::vector<const PlannedGroup*> takers;
  std::vector<PlannedGroup*> earlier;
  for (std::uint8_t bit = 0; bit < staged.member_count; ++bit) {
    const auto found = plan.enabled_by_slot.find(staged.members[bit]);
    if (found == plan.enabled_by_slot.end()) continue;
    const PlannedGroup& now = *plan.groups[plan.destinations[found->second].group];
    if (now.slot == slot) {
      if (std::find(takers.begin(), takers.end(), &now) == takers.end()) takers.push_back(&now);
      continue;
    }
    auto group = std::find_if(earlier.begin(), earlier.end(),
                              [&](const auto* one) { return one->group == now.group; });
    if (group == earlier.end()) {
      plan.earlier_groups.push_back(std::make_unique<PlannedGroup>());
      group = earlier.insert(earlier.end(), plan.earlier_groups.back().get());
      (*group)->group = now.group;  // one identity, one format but for limits
      (*group)->slot = slot;
      takers.push_back(*group);
    }
    (*group)->members.push_back({.destination = found->second, .bit = bit});
    (*group)->mask |= std::uint64_t{1} << bit;
  }
  return takers;
}

Result<std::unique_ptr<Plan>> make_plan(std::shared_ptr<const Config> config, Ledger& ledger) {
  static_assert(kGroupMembersMax == ledger::kGroupMembersMax);
  auto plan = std::make_unique<Plan>(std::move(config));
  // relaxed, all of them: workers and delivery thread start later.
  for (std::size_t i = 0; i < ledger.destination_count(); ++i) {
    ledger.destination(static_cast<DestinationIndex>(i))
        .state.store(ledger::DestinationState::kRemoved, std::memory_order_relaxed);
  }
  for (const DestinationConfig& destination : plan->config->destinations) {
    auto slot = ledger.find_or_add_destination(destination.identity, destination.name,
                                               destination.type->name);
    if (!slot) return fail(std::move(slot.error()).with("destination " + destination.name));
    plan->destinations.push_back({.config = &destination, .slot = *slot, .group = 0});
    ledger.destination(*slot).state.store(
        destination.enabled ? ledger::DestinationState::kOk : ledger::DestinationState::kDisabled,
        std::memory_order_relaxed);
    if (destination.enabled) {
      plan->enabled_by_slot.emplace(*slot, plan->destinations.size() - 1);
      ledger.destination(*slot).held_since_ns.store(0, std::memory_order_relaxed);
    }
  }
  for (const Group& group : plan->router.groups()) {
    auto planned = std::make_unique<PlannedGroup>();
    planned->group = &group;
    std::vector<DestinationIndex> slots;
    for (const std::size_t member : group.members) slots.push_back(plan->destinations[member].slot);
    std::vector<std::uint8_t> bits;
    auto slot = ledger.find_or_add_group(group.hash, slots, bits);
    if (!slot) return fail(std::move(slot.error()));
    planned->slot = *slot;
    for (std::size_t i = 0; i < group.members.size(); ++i) {
      planned->members.push_back({.destination = group.members[i], .bit = bits[i]});
      planned->mask |= std::uint64_t{1} << bits[i];
      plan->destinations[group.members[i]].group = plan->groups.size();
    }
    planned->members_available = static_cast<std::uint32_t>(group.members.size());
    planned->writes_like = plan->groups.size();
    for (std::size_t i = 0; i < plan->groups.size(); ++i) {
      if (writes_same_bytes(*plan->groups[i]->group, group)) {
        planned->writes_like = i;
        break;
      }
    }
    plan->groups.push_back(std::move(planned));
  }
  return plan;
}

}  // namespace sidecast
