#include "engine/batch/plan.h"

#include <algorithm>
#include <functional>
#include <string_view>
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

// Equal for groups that write the same bytes; others may share it. Ten thousand groups are not to
// be compared with each other.
std::size_t bytes_hash(const Group& group) {
  std::size_t hash = std::hash<const void*>()(group.format.dialect);
  const auto mix = [&hash](std::size_t value) { hash = hash * 0x9E3779B97F4A7C15U + value; };
  mix(std::hash<const void*>()(group.format.encoder));
  mix(group.privacy_mode ? 1 : 0);
  for (const auto& [name, value] : group.format.dialect_options.resource) {
    mix(std::hash<std::string_view>()(name));
    mix(std::hash<std::string_view>()(value));
  }
  return hash;
}

std::vector<std::size_t> find_equal_writers(const std::vector<PlannedGroupPtr>& groups) {
  std::vector<std::size_t> writes_like;
  std::unordered_map<std::size_t, std::vector<std::size_t>> first_of;  // by hash
  for (std::size_t i = 0; i < groups.size(); ++i) {
    std::vector<std::size_t>& candidates = first_of[bytes_hash(groups[i]->group)];
    const auto same = std::find_if(candidates.begin(), candidates.end(), [&](std::size_t first) {
      return writes_same_bytes(groups[first]->group, groups[i]->group);
    });
    writes_like.push_back(same == candidates.end() ? i : *same);
    if (writes_like.back() == i) candidates.push_back(i);
  }
  return writes_like;
}

// Null: there is none that is the same to the last member.
PlannedGroupPtr unchanged_group(const Plan* before, GroupIndex slot,
                                const std::vector<PlannedMember>& members) {
  if (before == nullptr) return nullptr;
  const auto found = before->group_by_slot.find(slot);
  if (found == before->group_by_slot.end()) return nullptr;
  const PlannedGroupPtr& group = before->groups[found->second];
  return group->members == members ? group : nullptr;
}

// Equal hashes are equal settings, and a slot is of one hash.
Result<PlannedGroupPtr> plan_group(const Group& group, const Plan& plan, Ledger& ledger,
                                   const Plan* before) {
  std::vector<DestinationIndex> slots;
  for (const std::size_t member : group.members) slots.push_back(plan.destinations[member].slot);
  std::vector<std::uint8_t> bits;
  const auto slot = ledger.find_or_add_group(group.hash, slots, bits);
  if (!slot) return fail(slot.error());
  std::vector<PlannedMember> members;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    members.push_back({.destination = slots[i], .bit = bits[i]});
  }
  if (PlannedGroupPtr same = unchanged_group(before, *slot, members)) return same;
  auto planned = std::make_shared<PlannedGroup>();
  planned->group = group;
  planned->slot = *slot;
  planned->members = std::move(members);
  for (const PlannedMember& member : planned->members) {
    planned->mask |= std::uint64_t{1} << member.bit;
  }
  // relaxed: nobody else knows the group yet.
  planned->members_available.store(static_cast<std::uint32_t>(slots.size()),
                                   std::memory_order_relaxed);
  return planned;
}

}  // namespace

std::uint8_t PlannedGroup::bit_of(DestinationIndex destination) const noexcept {
  const auto found = std::find_if(members.begin(), members.end(), [&](const PlannedMember& member) {
    return member.destination == destination;
  });
  SIDECAST_ASSERT(found != members.end());
  return found->bit;
}

std::vector<PlannedGroupPtr> takers_of(const Plan& plan, const Ledger& ledger, GroupIndex slot) {
  const ledger::GroupSlot& staged = ledger.group(slot);
  std::vector<PlannedGroupPtr> takers;
  std::unordered_map<const PlannedGroup*, PlannedGroupPtr> earlier;  // by what it is now
  for (std::uint8_t bit = 0; bit < staged.member_count; ++bit) {
    const auto found = plan.enabled_by_slot.find(staged.members[bit]);
    if (found == plan.enabled_by_slot.end()) continue;
    const PlannedDestination& destination = plan.destinations[found->second];
    const PlannedGroupPtr& now = destination.group;
    if (now->slot == slot) {
      if (std::find(takers.begin(), takers.end(), now) == takers.end()) takers.push_back(now);
      continue;
    }
    PlannedGroupPtr& group = earlier[now.get()];
    if (group == nullptr) {
      group = std::make_shared<PlannedGroup>();
      group->group = now->group;  // one identity, one format but for limits
      group->slot = slot;
      takers.push_back(group);
    }
    group->members.push_back({.destination = destination.slot, .bit = bit});
    group->mask |= std::uint64_t{1} << bit;
  }
  return takers;
}

Result<PlanPtr> make_plan(const RunningConfig& running, Ledger& ledger, const Plan* before) {
  static_assert(kGroupMembersMax == ledger::kGroupMembersMax);
  std::vector<const DestinationConfig*> configs;
  configs.reserve(running.destinations.size());
  for (const DestinationConfigPtr& config : running.destinations) configs.push_back(config.get());
  auto plan = std::make_shared<Plan>(running.config, configs);
  for (const DestinationConfigPtr& config : running.destinations) {
    auto slot = ledger.find_or_add_destination(config->identity, config->name, config->type->name);
    if (!slot) return fail(std::move(slot.error()).with("destination " + config->name));
    if (config->enabled) plan->enabled_by_slot.emplace(*slot, plan->destinations.size());
    plan->destinations.push_back({.config = config, .slot = *slot, .group = nullptr});
  }
  for (const Group& group : plan->router.groups()) {
    auto planned = plan_group(group, *plan, ledger, before);
    if (!planned) return fail(std::move(planned.error()));
    for (const std::size_t member : group.members) plan->destinations[member].group = *planned;
    plan->group_by_slot.emplace((*planned)->slot, plan->groups.size());
    plan->groups.push_back(*std::move(planned));
  }
  plan->writes_like = find_equal_writers(plan->groups);
  return plan;
}

void mark_destinations(const Plan& plan, Ledger& ledger) {
  using ledger::DestinationState;
  // Each is stored once: the spooler must not see one removed that stays.
  std::vector<DestinationState> states(ledger.destination_count(), DestinationState::kRemoved);
  for (const PlannedDestination& destination : plan.destinations) {
    const bool enabled = destination.group != nullptr;
    states[destination.slot] = enabled ? DestinationState::kOk : DestinationState::kDisabled;
  }
  for (std::size_t i = 0; i < states.size(); ++i) {
    // relaxed: figures for stats.
    ledger.destination(static_cast<DestinationIndex>(i))
        .state.store(states[i], std::memory_order_relaxed);
  }
}

}  // namespace sidecast
