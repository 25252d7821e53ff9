// Which groups of destinations receive a record. Compiled from a config once, then immutable: all
// workers share one Router and swap to the next on reload.
//
//   record -> its account's groups + those that take all accounts
//          -> API key, region and filter rules allow it? no: kFiltered
//          -> session kept? no: kSampledOut -> kRouted
//
// Every group returned counts as `matched` for each of its members, and the decision
// says which of filtered, sampled_out or routed it is: matched = filtered + sampled_out + routed
// holds by construction. A record for which nothing is returned is `unrouted`.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/config/config.h"
#include "engine/model/ids.h"
#include "engine/model/trace.h"
#include "engine/route/filter.h"
#include "engine/route/groups.h"
#include "engine/route/sampling.h"

namespace sidecast {

// What routing looks at. Views; nothing is kept.
struct RouteKey {
  Text account{};  // empty: only destinations that take all accounts match
  Text api_key_id{};
  Text api_key_name{};
  Text session_id{};
  TraceId trace_id{};
  Text region{};  // where it was served
  // For filter rules; null: there is nothing to look at, and no rule finds a value.
  const Trace* trace = nullptr;
};

enum class Decision : std::uint8_t { kFiltered, kSampledOut, kRouted };

struct Routed {
  std::uint32_t group_index = 0;  // into Router::groups()
  Decision decision = Decision::kRouted;
  bool operator==(const Routed&) const = default;
};

class Router {
 public:
  // Copies what it needs of the config, but for what Format points to (static tables).
  explicit Router(std::span<const DestinationConfig* const> destinations);
  explicit Router(std::span<const DestinationConfig> destinations)
      : Router(pointers_to(destinations)) {}

  [[nodiscard]] std::span<const Group> groups() const noexcept { return groups_; }

  // The groups whose accounts hold the record's, each once. `out` is the caller's to reuse and is
  // overwritten: after a few records nothing allocates. Any thread.
  std::span<const Routed> route(const RouteKey& key, std::vector<Routed>& out) const;

 private:
  // What decides about a record of an account the group takes. Parallel to groups_.
  struct Rule {
    std::vector<std::string> keys_include;  // sorted; empty = all
    std::vector<std::string> keys_exclude;  // sorted
    std::vector<std::string> regions;       // lower case; empty = anywhere
    Filter filter;
    Sampling sampling;
  };
  struct AccountHash {
    using is_transparent = void;
    std::size_t operator()(Text account) const noexcept { return std::hash<Text>()(account); }
  };
  using GroupIndices = std::vector<std::uint32_t>;

  [[nodiscard]] Decision decide(const Rule& rule, const RouteKey& key) const;
  void append(const GroupIndices& indices, const RouteKey& key, std::vector<Routed>& out) const;

  std::vector<Group> groups_;
  std::vector<Rule> rules_;
  GroupIndices all_accounts_;
  std::unordered_map<std::string, GroupIndices, AccountHash, std::equal_to<>> by_account_;
};

}  // namespace sidecast
