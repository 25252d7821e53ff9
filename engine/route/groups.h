// Groups: destinations for which the same records become the same bytes. Their spans are encoded,
// staged, batched and compressed once; only address and credentials differ.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/config/config.h"
#include "exporters/exporter.h"

namespace sidecast {

struct Group {
  std::string hash;  // DestinationConfig::group of every member
  Format format;
  bool privacy_mode = false;
  std::vector<std::string> privacy_keep;
  bool takes_all_accounts = false;     // else a batch of mixed accounts must never reach it
  std::vector<std::uint32_t> members;  // indices into the destinations, ascending; not empty
};

// A set of members is one 64-bit word wherever fates are kept.
inline constexpr std::size_t kGroupMembersMax = 64;

[[nodiscard]] std::vector<const DestinationConfig*> pointers_to(
    std::span<const DestinationConfig> destinations);

// The groups of all enabled destinations, in the order of their first members. Members beyond
// kGroupMembersMax make another group with the same hash.
[[nodiscard]] std::vector<Group> make_groups(
    std::span<const DestinationConfig* const> destinations);
[[nodiscard]] std::vector<Group> make_groups(std::span<const DestinationConfig> destinations);

}  // namespace sidecast
