// The config that `sidecast init` writes. Pure.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "exporters/exporter.h"

namespace sidecast {

struct StarterDestination {
  const Destination* type = nullptr;
  std::map<std::string_view, std::string_view> values;  // for options that have no default
};

// Every setting of the engine and every option of these destinations, with help and defaults. Lines
// that begin with "# " are prose; with "#" alone, a setting at its default, to be uncommented.
// Secrets are references to the environment, ${env:TYPE_OPTION}.
[[nodiscard]] std::string starter_config(std::span<const StarterDestination> destinations);

// What stands where only the user knows the value.
inline constexpr std::string_view kStarterPlaceholder = "CHANGE-ME";

}  // namespace sidecast
