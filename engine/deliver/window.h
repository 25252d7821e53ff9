// Window: how many requests of a destination may be under way at once. After a start or an outage
// it doubles with each round of answers (slow start: 1, 2, 4, ...) up to half of what it was when
// the trouble began; from there it grows by one a round. Pure.
#pragma once

#include <algorithm>
#include <cstddef>

namespace sidecast {

class Window {
 public:
  explicit Window(std::size_t max) noexcept : max_(std::max<std::size_t>(1, max)) {}

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  void set_max(std::size_t max) noexcept {
    max_ = std::max<std::size_t>(1, max);
    size_ = std::min(size_, max_);
  }

  // A request was answered. Each answer makes room for one more: that doubles the window with each
  // round. Above the threshold it takes a whole round.
  void grow() noexcept {
    if (size_ < threshold_) {
      ++size_;
    } else if (++answered_ >= size_) {
      answered_ = 0;
      ++size_;
    }
    size_ = std::min(size_, max_);
  }

  // An outage began: one request, a probe, until there is an answer again.
  void collapse() noexcept {
    threshold_ = std::max<std::size_t>(2, size_ / 2);
    size_ = 1;
    answered_ = 0;
  }

 private:
  std::size_t max_;
  std::size_t size_ = 1;
  std::size_t threshold_ = max_;  // below it: slow start
  std::size_t answered_ = 0;      // since the last growth above the threshold
};

}  // namespace sidecast
