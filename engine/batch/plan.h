// The plan: one configuration made ready to run. Which groups there are, which slot of the ledger
// and which bit of an entry's mask stand for whom. Immutable but for the marked fields; workers and
// delivery thread share it, and let go of it when the next one is handed to them. Slots mean the
// same in every plan, so whatever was staged or sealed under an earlier one keeps its meaning.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/running.h"
#include "engine/ledger/ledger.h"
#include "engine/route/route.h"

namespace sidecast {

struct PlannedMember {
  DestinationIndex destination;  // slot of the ledger
  std::uint8_t bit;              // of an entry's pending mask
  bool operator==(const PlannedMember&) const = default;
};

// Outlives its plan while a batch of it is under way, and is part of the next one when nothing of
// it has changed.
struct PlannedGroup {
  Group group;  // `members` are of the plan that made it
  GroupIndex slot = 0;
  std::vector<PlannedMember> members;
  std::uint64_t mask = 0;  // the members' bits
  // Writer: the delivery thread. While no member can take anything, a batch may grow to its limit.
  std::atomic<std::uint32_t> members_available{0};
  // Writer: the delivery thread. Uncompressed; less than the format's limit once the only member
  // has refused larger ones.
  std::atomic<std::uint64_t> batch_bytes_max{std::numeric_limits<std::uint64_t>::max()};

  // Of a destination that is a member.
  [[nodiscard]] std::uint8_t bit_of(DestinationIndex destination) const noexcept;
};
using PlannedGroupPtr = std::shared_ptr<PlannedGroup>;

struct PlannedDestination {
  DestinationConfigPtr config;
  DestinationIndex slot = 0;
  PlannedGroupPtr group;  // null: disabled
};

struct Plan {
  Plan(std::shared_ptr<const Config> checked,
       std::span<const DestinationConfig* const> destination_configs)
      : config(std::move(checked)), router(destination_configs) {}

  std::shared_ptr<const Config> config;
  Router router;
  std::vector<PlannedGroupPtr> groups;  // parallel to router.groups()
  // Parallel to `groups`. Equal for those that write the same bytes of a record, which are then
  // written once: the index of the first such group.
  std::vector<std::size_t> writes_like;
  std::vector<PlannedDestination> destinations;
  std::unordered_map<DestinationIndex, std::size_t> enabled_by_slot;  // into `destinations`
  std::unordered_map<GroupIndex, std::size_t> group_by_slot;          // into `groups`
};
using PlanPtr = std::shared_ptr<const Plan>;

// The groups whose members are to take what was staged under that ledger slot, at most one per
// group of the plan; bits of nobody's are those of destinations that were changed, disabled or
// removed. Identity decides. A staged group may be no more (another sampling rate, other API keys,
// other neighbours): then destinations that are still the same take it under the bits they had
// there, in groups for which nothing new is staged.
[[nodiscard]] std::vector<PlannedGroupPtr> takers_of(const Plan& plan, const Ledger& ledger,
                                                     GroupIndex slot);

// Gives every destination and group of `running` its slot in the ledger. Disabled destinations get
// one (their counts stay visible) but no part in any group. Groups that stay as they are in
// `before` (null at the start) are taken over from it. Called by the housekeeping thread.
[[nodiscard]] Result<PlanPtr> make_plan(const RunningConfig& running, Ledger& ledger,
                                        const Plan* before);

// Says in the ledger which destinations are there and which are no more. Nobody else writes these
// fields meanwhile.
void mark_destinations(const Plan& plan, Ledger& ledger);

}  // namespace sidecast
