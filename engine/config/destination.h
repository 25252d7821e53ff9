// One entry of `destinations:`: the keys every destination has, and the options that its type's
// descriptor lists.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/config/config.h"
#include "engine/config/yaml_reader.h"

namespace sidecast {

// Where each name stands that this config has used.
using DestinationNames = std::unordered_map<std::string, Position>;

// What a tenant's file says for all its destinations (tenants.h).
struct TenantScope {
  std::string name;                   // comes before theirs
  std::vector<std::string> accounts;  // sorted; no destination gets records of another one
};

// Nothing when it has errors, which are reported to `context.problems`. `tenant` is null for the
// operator's own.
[[nodiscard]] std::optional<DestinationConfig> read_destination(
    const YamlNode& map, ReadContext context, std::span<const Destination* const> types,
    DestinationNames& names, const TenantScope* tenant = nullptr);

}  // namespace sidecast
