// What the config says about the spool.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace sidecast::spool {

enum class Sync : std::uint8_t { kNever, kAlways, kInterval };

struct Settings {
  std::string directory;
  std::uint64_t limit_bytes = 10ULL << 30U;
  std::chrono::seconds age_max{std::chrono::hours(24)};
  // So long a batch waits in memory for a destination that does not take it.
  std::chrono::milliseconds after{30'000};
  Sync sync = Sync::kNever;
  // Bounds what is known in memory of what is on disk.
  std::uint64_t batches_max = 1U << 20U;
  bool operator==(const Settings&) const = default;
};

}  // namespace sidecast::spool
