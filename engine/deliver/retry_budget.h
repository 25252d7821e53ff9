// Retry budget: of a destination's requests about half may be retries. Each answer earns one, up to
// a reserve, and so does a while without any: a dead destination is still asked now and then, and
// one that fails most of the time is not asked the more for it. Pure: time comes in.
#pragma once

#include <algorithm>
#include <chrono>

#include "engine/base/clock.h"

namespace sidecast {

class RetryBudget {
 public:
  static constexpr double kReserve = 10;
  static constexpr std::chrono::seconds kEarnedAfter{10};

  // The destination did its part, whatever it said.
  void answered() noexcept { credit_ = std::min(kReserve, credit_ + 1); }

  // Something must be sent again. When that may be, at the earliest.
  [[nodiscard]] Instant spend(Instant now) noexcept {
    const std::chrono::duration<double> quiet = now - spent_at_;
    credit_ = std::min(kReserve, credit_ + quiet / kEarnedAfter) - 1;
    spent_at_ = now;
    if (credit_ >= 0) return now;
    return now + std::chrono::ceil<Instant::duration>(-credit_ * kEarnedAfter);
  }

 private:
  double credit_ = kReserve;  // at least -1
  Instant spent_at_{};
};

}  // namespace sidecast
