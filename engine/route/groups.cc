#include "engine/route/groups.h"

#include <string_view>
#include <unordered_map>

#include "engine/base/assert.h"

namespace sidecast {
namespace {

Group make_group(const DestinationConfig& first) {
  SIDECAST_ASSERT(first.exporter != nullptr);
  return {.hash = first.group,
          .format = first.exporter->format(),
          .privacy_mode = first.privacy_mode,
          .privacy_keep = first.privacy_keep,
          .takes_all_accounts = first.accounts.empty(),
          .members = {}};
}

}  // namespace

std::vector<const DestinationConfig*> pointers_to(std::span<const DestinationConfig> destinations) {
  std::vector<const DestinationConfig*> pointers;
  pointers.reserve(destinations.size());
  for (const DestinationConfig& destination : destinations) pointers.push_back(&destination);
  return pointers;
}

std::vector<Group> make_groups(std::span<const DestinationConfig> destinations) {
  return make_groups(pointers_to(destinations));
}

std::vector<Group> make_groups(std::span<const DestinationConfig* const> destinations) {
  std::vector<Group> groups;
  // The group of that hash that still has room.
  std::unordered_map<std::string_view, std::size_t> open;
  for (std::size_t i = 0; i < destinations.size(); ++i) {
    const DestinationConfig& destination = *destinations[i];
    if (!destination.enabled) continue;
    const auto [found, is_new] = open.emplace(destination.group, groups.size());
    if (!is_new && groups[found->second].members.size() == kGroupMembersMax) {
      found->second = groups.size();
    }
    if (found->second == groups.size()) groups.push_back(make_group(destination));
    groups[found->second].members.push_back(static_cast<std::uint32_t>(i));
  }
  return groups;
}

}  // namespace sidecast
