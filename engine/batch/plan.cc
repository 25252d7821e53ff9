#include "engine/batch/plan.h"

#include <utility>

namespace sidecast {
namespace {

bool writes_same_bytes(const Group& a, const Group& b) {
  const Format& x = a.format;
  const Format& y = b.format;
  return x.dialect == y.dialect && x.encoder == y.encoder &&
         x.dialect_options.resource == y.dialect_options.resource &&
         x.dialect_options.always_hash_trace_id == y.dialect_options.always_hash_trace_id &&
         x.dialect_options.shared_roots == y.dialect_options.shared_roots &&
         a.privacy_mode == b.privacy_mode && a.privacy_keep == b.privacy_keep;
}

}  // namespace

const PlannedGroup* Plan::find_group(GroupIndex slot) const noexcept {
  for (const auto& group : groups) {
    if (group->slot == slot) return group.get();
  }
  return nullptr;
}

Result<std::unique_ptr<Plan>> make_plan(std::shared_ptr<const Config> config, Ledger& ledger) {
  static_assert(kGroupMembersMax == ledger::kGroupMembersMax);
  auto plan = std::make_unique<Plan>(std::move(config));
  for (const DestinationConfig& destination : plan->config->destinations) {
    auto slot = ledger.find_or_add_destination(destination.identity, destination.name,
                                               destination.type->name);
    if (!slot) return fail(std::move(slot.error()).with("destination " + destination.name));
    plan->destinations.push_back({.config = &destination, .slot = *slot, .group = 0});
    // relaxed: workers and delivery thread start later.
    ledger.destination(*slot).state.store(
        destination.enabled ? ledger::DestinationState::kOk : ledger::DestinationState::kDisabled,
        std::memory_order_relaxed);
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
