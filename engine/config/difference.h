// What a reload changes: the difference of two checked configurations, destination by destination.
// Pure. Names are what a person sees; the pipeline itself goes by identity (batch/plan.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/config/running.h"

namespace sidecast {

enum class DestinationChange : std::uint8_t {
  kAdded,
  kRemoved,   // what is queued is held, then dropped(policy_changed)
  kReplaced,  // the same name, another identity: as removed and added
  kEnabled,
  kDisabled,     // as removed
  kCredentials,  // they apply to what is queued
  kSettings,     // others that leave what is queued alone
};
// In that order; what `sidecast reload --json` calls them.
inline constexpr std::array<std::string_view, 7> kDestinationChanges = {
    "added", "removed", "replaced", "enabled", "disabled", "credentials", "settings"};

struct ConfigDifference {
  struct Change {
    std::string name;
    DestinationChange change;
    bool operator==(const Change&) const = default;
  };
  std::vector<Change> destinations;  // by name
  std::size_t unchanged = 0;         // destinations
  // Keys of the operator's file, sorted.
  std::vector<std::string> applied;
  std::vector<std::string> needs_restart;  // left as they were
};

[[nodiscard]] ConfigDifference difference(const RunningConfig& before, const RunningConfig& after);

// Of one identity: what authorises its requests.
[[nodiscard]] bool have_equal_credentials(const DestinationConfig& a, const DestinationConfig& b);

// What `after` is once applied to a running engine: settings that need a restart stay as in
// `before`.
void keep_until_restart(const Config& before, RunningConfig& after);

}  // namespace sidecast
