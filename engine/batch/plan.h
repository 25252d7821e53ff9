// The plan: one configuration made ready to run. Which groups there are, which slot of the ledger
// and which bit of an entry's mask stand for whom. Immutable but for the marked fields; workers and
// delivery thread share it.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/config.h"
#include "engine/ledger/ledger.h"
#include "engine/route/route.h"

namespace sidecast {

struct PlannedMember {
  std::size_t destination;  // index into Plan::destinations
  std::uint8_t bit;         // of an entry's pending mask
};

struct PlannedGroup {
  const Group* group = nullptr;
  GroupIndex slot = 0;
  std::vector<PlannedMember> members;
  std::uint64_t mask = 0;  // the members' bits
  // Equal for groups that write the same bytes of a record, which are then written once.
  std::size_t writes_like = 0;  // index of the first such group
  // Writer: the delivery thread. While no member can take anything, a batch may grow to its limit.
  std::atomic<std::uint32_t> members_available{0};
  // Writer: the delivery thread. Uncompressed; less than the format's limit once the only member
  // has refused larger ones.
  std::atomic<std::uint64_t> batch_bytes_max{std::numeric_limits<std::uint64_t>::max()};

  // Of a destination (index into Plan::destinations) that is a member.
  [[nodiscard]] std::uint8_t bit_of(std::size_t destination) const noexcept;
};

struct PlannedDestination {
  const DestinationConfig* config = nullptr;
  DestinationIndex slot = 0;
  std::size_t group = 0;  // index into Plan::groups
};

struct Plan {
  explicit Plan(std::shared_ptr<const Config> checked)
      : config(std::move(checked)), router(config->destinations) {}

  std::shared_ptr<const Config> config;
  Router router;
  std::vector<std::unique_ptr<PlannedGroup>> groups;  // parallel to router.groups()
  std::vector<PlannedDestination> destinations;
  std::unordered_map<DestinationIndex, std::size_t> enabled_by_slot;  // into `destinations`
  // Of staged entries whose group is no more (another sampling rate, other API keys, other
  // neighbours): destinations that are still the same, under the bits they had there. Nothing new
  // is staged for them. See takers_of().
  std::vector<std::unique_ptr<PlannedGroup>> earlier_groups;
};

// The groups whose members are to take what was staged under that ledger slot, at most one per
// group of the plan; bits of nobody's are those of destinations that were changed, disabled or
// removed. Identity decides. Before threads start.
[[nodiscard]] std::vector<const PlannedGroup*> takers_of(Plan& plan, const Ledger& ledger,
                                                         GroupIndex slot);

// Appends what is new to the ledger, and marks what is in it no more. Disabled destinations get a
// slot (their counts stay visible) but no part in any group.
[[nodiscard]] Result<std::unique_ptr<Plan>> make_plan(std::shared_ptr<const Config> config,
                                                      Ledger& ledger);

}  // namespace sidecast
