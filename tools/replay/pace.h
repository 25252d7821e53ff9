// When each write is due. A pure function of the write's number, so that any thread of any process
// can ask for its own share.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"

namespace sidecast::replay {

inline constexpr std::uint64_t kEndless = std::numeric_limits<std::uint64_t>::max();

class Pace {
 public:
  // As fast as it goes; evenly; or like a recorded arrival trace.
  [[nodiscard]] static Pace unlimited() { return {}; }
  [[nodiscard]] static Pace steady(double per_second);
  // Reads CSV, plain or gzip, whose column `arrival_ms` counts from the start of the file. Times
  // are divided by `speed`; arrivals after `duration` (of the replay) are left out.
  [[nodiscard]] static Result<Pace> recorded(const std::string& path, double speed,
                                             std::optional<Nanoseconds> duration);

  // Since the start; nothing = at once.
  [[nodiscard]] std::optional<Nanoseconds> due(std::uint64_t number) const;
  // How many writes there are at most; kEndless if that is not for the pace to say.
  [[nodiscard]] std::uint64_t count() const noexcept {
    return arrivals_ ? arrivals_->size() : kEndless;
  }

 private:
  Pace() = default;

  double interval_ns_ = 0;  // 0 = unlimited
  std::optional<std::vector<Nanoseconds>> arrivals_;
};

}  // namespace sidecast::replay
