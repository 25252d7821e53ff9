// Latency in a fixed number of buckets: bucket i holds what took less than 2^(i/4) milliseconds
// (and not less than the bucket before), so a quantile is right within 19 %.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>

#include "engine/ledger/layout.h"

namespace sidecast {

[[nodiscard]] inline std::size_t latency_bucket(std::chrono::microseconds latency) noexcept {
  const double ms = static_cast<double>(latency.count()) / 1000.0;
  if (ms < 1.0) return 0;
  const auto bucket = static_cast<std::size_t>(std::floor(std::log2(ms) * 4.0)) + 1;
  return std::min(bucket, ledger::kLatencyBuckets - 1);
}

// The upper edge, in milliseconds, of the bucket that holds the quantile; 0 without any.
[[nodiscard]] inline double latency_quantile_ms(
    const std::array<std::atomic<std::uint32_t>, ledger::kLatencyBuckets>& buckets,
    double quantile) {
  std::array<std::uint64_t, ledger::kLatencyBuckets> counts{};
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    counts[i] = buckets[i].load(std::memory_order_relaxed);  // a snapshot is all it can be
    total += counts[i];
  }
  if (total == 0) return 0;
  const auto wanted = static_cast<std::uint64_t>(std::ceil(quantile * static_cast<double>(total)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    seen += counts[i];
    if (seen >= wanted) return std::pow(2.0, static_cast<double>(i) / 4.0);
  }
  return std::pow(2.0, static_cast<double>(counts.size()) / 4.0);
}

}  // namespace sidecast
