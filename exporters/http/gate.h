// Which transfers may be open, when more are wanted than the loop has connections for. A server
// that never answers holds its connection for a whole timeout, and there may be more of those than
// connections; so what has not shown that it answers may use half of them at most, and the rest is
// left to what has:
//
//   |<------------------ open_max ------------------>|
//   |  trials: 1/2 at most   |                       |   no answer yet, or none the last time
//   |       proven: 7/8 at most              |       |   answered the last time
//
// Among trials, those that failed less often go first: whoever is new waits for no line of dead
// ones. Pure. Threads: belongs to the loop's thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "exporters/http/loop.h"

namespace sidecast {

template <typename Waiting>
class Gate {
 public:
  explicit Gate(std::size_t open_max)
      : open_max_(std::max<std::size_t>(1, open_max)),
        proven_max_(std::max<std::size_t>(1, open_max_ - open_max_ / 8)),
        trial_max_(std::max<std::size_t>(1, open_max_ / 2)) {}

  // Its turn comes with next().
  void add(const Standing& standing, Waiting waiting) {
    if (standing.is_proven) {
      proven_.push_back(std::move(waiting));
    } else {
      trials_.emplace(standing.failures, std::move(waiting));
    }
  }
  struct Started {
    Waiting waiting;
    bool is_proven;
  };
  // Whose turn it is, and counted as open from now on; nothing when nobody waits or may start.
  [[nodiscard]] std::optional<Started> next() {
    if (open_proven_ + open_trials_ >= open_max_) return std::nullopt;
    if (!proven_.empty() && open_proven_ < proven_max_) {
      Started started{std::move(proven_.front()), true};
      proven_.pop_front();
      ++open_proven_;
      return started;
    }
    if (!trials_.empty() && open_trials_ < trial_max_) {
      Started started{std::move(trials_.begin()->second), false};
      trials_.erase(trials_.begin());
      ++open_trials_;
      return started;
    }
    return std::nullopt;
  }
  // A trial waits that an open one with so many failures should make room for, once that has had
  // its chance: who is new before who failed, and at a start, when all are new, each after the
  // other. Among those that failed nobody is displaced: a slow server has its whole timeout then.
  [[nodiscard]] bool may_displace(std::uint32_t open_failures) const noexcept {
    if (trials_.empty()) return false;
    const std::uint32_t waiting = trials_.begin()->first;
    return waiting < open_failures || (waiting == 0 && open_failures == 0);
  }
  [[nodiscard]] std::size_t waiting_trials() const noexcept { return trials_.size(); }
  void ended(bool is_proven) noexcept { --(is_proven ? open_proven_ : open_trials_); }
  [[nodiscard]] std::size_t waiting() const noexcept { return proven_.size() + trials_.size(); }
  void clear() noexcept {
    proven_.clear();
    trials_.clear();
  }

 private:
  const std::size_t open_max_;
  const std::size_t proven_max_;
  const std::size_t trial_max_;
  std::size_t open_proven_ = 0;
  std::size_t open_trials_ = 0;
  std::deque<Waiting> proven_;
  std::multimap<std::uint32_t, Waiting> trials_;  // by failures, then in their order
};

}  // namespace sidecast
