// Backoff: how long a destination is left alone after a failure. Exponential with positive jitter;
// a hint of the server wins when it is longer (reference "otlp" §7). Pure: randomness comes in.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

namespace sidecast {

struct BackoffLimits {
  std::chrono::milliseconds first{1'000};
  std::chrono::milliseconds max{30'000};
  double factor = 1.5;
  double jitter = 0.5;  // up to that share is added, never taken away
};

// `failures` in a row, at least 1; `random` in [0, 1).
[[nodiscard]] inline std::chrono::milliseconds backoff_delay(
    const BackoffLimits& limits, unsigned failures, double random,
    std::optional<std::chrono::milliseconds> hint) {
  const double steps = std::min(failures, 64U) - 1.0;
  const double base =
      std::min(static_cast<double>(limits.max.count()),
               static_cast<double>(limits.first.count()) * std::pow(limits.factor, steps));
  const std::chrono::milliseconds computed(
      static_cast<std::chrono::milliseconds::rep>(base * (1.0 + limits.jitter * random)));
  return hint.has_value() ? std::max(*hint, computed) : computed;
}

}  // namespace sidecast
