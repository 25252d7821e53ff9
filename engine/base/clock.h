// Time. Timestamp is wall-clock time as it stands on the wire (unix nanoseconds); Instant is the
// monotonic clock that delays and ages are measured with. Code that decides takes both as
// arguments, so that tests need no sleeping; only loops read the clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace sidecast {

using Nanoseconds = std::chrono::nanoseconds;
using Milliseconds = std::chrono::milliseconds;
using Timestamp = std::chrono::time_point<std::chrono::system_clock, Nanoseconds>;
using Instant = std::chrono::steady_clock::time_point;

[[nodiscard]] inline Timestamp timestamp_from_ns(std::int64_t unix_ns) noexcept {
  return Timestamp(Nanoseconds(unix_ns));
}
[[nodiscard]] inline std::int64_t unix_ns(Timestamp time) noexcept {
  return time.time_since_epoch().count();
}
[[nodiscard]] inline Timestamp wall_now() noexcept {
  return std::chrono::time_point_cast<Nanoseconds>(std::chrono::system_clock::now());
}
[[nodiscard]] inline Instant monotonic_now() noexcept {
  return std::chrono::steady_clock::now();
}

}  // namespace sidecast
