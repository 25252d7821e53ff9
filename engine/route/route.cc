#include "engine/route/route.h"

#include <algorithm>

namespace sidecast {
namespace {

// A key is named by its id or its name; an absent one is never in a list.
bool names_key(const std::vector<std::string>& sorted, const RouteKey& key) noexcept {
  const auto holds = [&sorted](Text text) {
    return !text.empty() && std::binary_search(sorted.begin(), sorted.end(), text, std::less<>());
  };
  return holds(key.api_key_id) || holds(key.api_key_name);
}

}  // namespace

Router::Router(std::span<const DestinationConfig> destinations)
    : groups_(make_groups(destinations)) {
  rules_.reserve(groups_.size());
  for (const Group& group : groups_) {
    // Any member's rules are everybody's: they are part of the group's hash.
    const DestinationConfig& destination = destinations[group.members.front()];
    const auto index = static_cast<std::uint32_t>(rules_.size());
    rules_.push_back({destination.api_keys_include, destination.api_keys_exclude,
                      Sampling(destination.sampling_rate, destination.sampling_salt)});
    if (destination.accounts.empty()) all_accounts_.push_back(index);
    for (const std::string& account : destination.accounts) by_account_[account].push_back(index);
  }
}

std::span<const Routed> Router::route(const RouteKey& key, std::vector<Routed>& out) const {
  out.clear();
  append(all_accounts_, key, out);
  if (!key.account.empty()) {
    const auto found = by_account_.find(key.account);
    if (found != by_account_.end()) append(found->second, key, out);
  }
  return out;
}

void Router::append(const GroupIndices& indices, const RouteKey& key,
                    std::vector<Routed>& out) const {
  for (const std::uint32_t index : indices) out.push_back({index, decide(rules_[index], key)});
}

Decision Router::decide(const Rule& rule, const RouteKey& key) const noexcept {
  const bool is_included = rule.keys_include.empty() || names_key(rule.keys_include, key);
  if (!is_included || names_key(rule.keys_exclude, key)) return Decision::kFiltered;
  if (!rule.sampling.keeps(key.session_id, key.trace_id)) return Decision::kSampledOut;
  return Decision::kRouted;
}

}  // namespace sidecast
