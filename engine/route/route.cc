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

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// "europe" takes eu, europe, eu-west-1 and europe-west4; "us" takes us and us-east-1; so with any
// name: a region belongs to what stands before one of its hyphens. "global" is where none is known.
bool is_within(Text region, Text wanted) {
  if (wanted == "europe" && is_within(region, "eu")) return true;
  if (region.empty()) return wanted == "global";
  if (region.size() < wanted.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (lower(region[i]) != wanted[i]) return false;
  }
  return region.size() == wanted.size() || region[wanted.size()] == '-' ||
         region[wanted.size()] == '_';
}

bool names_region(const std::vector<std::string>& wanted, Text region) {
  return std::any_of(wanted.begin(), wanted.end(),
                     [region](const std::string& one) { return is_within(region, one); });
}

// A record of which nothing is known.
struct NoTrace {
  Arena arena{1U << 10U};
  Trace trace{arena};
};

}  // namespace

Router::Router(std::span<const DestinationConfig* const> destinations)
    : groups_(make_groups(destinations)) {
  rules_.reserve(groups_.size());
  for (const Group& group : groups_) {
    // Any member's rules are everybody's: they are part of the group's hash.
    const DestinationConfig& destination = *destinations[group.members.front()];
    const auto index = static_cast<std::uint32_t>(rules_.size());
    rules_.push_back({destination.api_keys_include, destination.api_keys_exclude,
                      destination.regions, Filter(destination.filter_rules),
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

Decision Router::decide(const Rule& rule, const RouteKey& key) const {
  const bool is_included = rule.keys_include.empty() || names_key(rule.keys_include, key);
  if (!is_included || names_key(rule.keys_exclude, key)) return Decision::kFiltered;
  if (!rule.regions.empty() && !names_region(rule.regions, key.region)) return Decision::kFiltered;
  if (!rule.filter.takes_all()) {
    static const NoTrace kNoTrace;
    if (!rule.filter.takes(key.trace != nullptr ? *key.trace : kNoTrace.trace)) {
      return Decision::kFiltered;
    }
  }
  if (!rule.sampling.keeps(key.session_id, key.trace_id)) return Decision::kSampledOut;
  return Decision::kRouted;
}

}  // namespace sidecast
