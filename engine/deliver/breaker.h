// Breaker: when a destination may be sent to, and how much at once.
//
//   closed ---failure---> open ---delay over---> half open ---success---> closed (slow start)
//                          ^    (one request)        |
//                          '--------failure----------'
//
// A failure begins a new round. Requests that were sent in an earlier round meet the same trouble:
// their failures do not count again (four open requests and one bad second are one failure, not
// four), and their successes do not end a wait that began after they were sent. A delay that the
// server asked for holds whoever was told it, and nothing shortens it; one of our own choice is
// longer when the retry budget is spent, and shorter when there is a hurry.
//
// Pure: time and randomness come in. Threads: belongs to the delivery thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/base/clock.h"
#include "engine/deliver/backoff.h"
#include "engine/deliver/retry_budget.h"
#include "engine/deliver/window.h"

namespace sidecast {

class Breaker {
 public:
  using Round = std::uint64_t;

  explicit Breaker(std::size_t window_max) noexcept : window_(window_max) {}

  // Half open, the window is one request: the probe.
  [[nodiscard]] bool may_send(Instant now) const noexcept {
    return under_way_ < window_.size() && now >= not_before_;
  }
  [[nodiscard]] bool is_closed() const noexcept { return !is_open_; }
  [[nodiscard]] Instant not_before() const noexcept { return not_before_; }
  [[nodiscard]] std::size_t under_way() const noexcept { return under_way_; }
  [[nodiscard]] unsigned failures() const noexcept { return failures_; }  // in a row
  [[nodiscard]] Round round() const noexcept { return round_; }

  // A request starts, in the round that is returned; a request ends, whatever its answer.
  Round sent() noexcept {
    ++under_way_;
    return round_;
  }
  void ended() noexcept { --under_way_; }

  // What kept it from sending is mended, as far as we are told: the next request shows. One that is
  // under way meets the old trouble still.
  void begin_anew() noexcept {
    ++round_;
    failures_ = 0;
    not_before_ = {};
  }
  void set_window_max(std::size_t max) noexcept { window_.set_max(max); }

  // The destination took a request of that round, or refused only that request.
  void succeeded(Round round, Instant now) noexcept {
    budget_.answered();
    if (round != round_ || now < not_before_) return;
    is_open_ = false;
    failures_ = 0;
    window_.grow();
  }

  // The destination did not take a request of that round, for reasons of its own. `random` in
  // [0, 1).
  void failed(Round round, const BackoffLimits& limits,
              std::optional<std::chrono::milliseconds> hint, Instant now, double random) noexcept {
    if (hint) asked_until_ = std::max(asked_until_, now + *hint);
    if (round != round_) {
      if (hint && now + *hint > not_before_ && hint->count() > 0) wait_until(now + *hint);
      return;
    }
    ++round_;
    ++failures_;
    const Instant affordable = budget_.spend(now);
    wait_until(std::max(now + backoff_delay(limits, failures_, random, hint), affordable));
    hurried_ = std::max({now + backoff_delay(limits, 1, random, {}), asked_until_, affordable});
  }

  // Waiting costs more than asking: it waits no longer than after a first failure, unless the
  // server asked for more or the budget is spent.
  void hurry() noexcept {
    if (is_open_) not_before_ = std::min(not_before_, std::max(hurried_, asked_until_));
  }

 private:
  void wait_until(Instant then) noexcept {
    if (!is_open_) window_.collapse();
    is_open_ = true;
    if (then > not_before_) not_before_ = then;
  }

  Window window_;
  RetryBudget budget_;
  std::size_t under_way_ = 0;
  bool is_open_ = false;
  unsigned failures_ = 0;
  Round round_ = 0;
  Instant not_before_{};
  Instant asked_until_{};  // by the server
  Instant hurried_{};      // what not_before_ becomes in a hurry
};

}  // namespace sidecast
