// Timing one short operation at a time with the time stamp counter, and the quantiles of many.
//
// Each operation pays for its own stores: before the first stamp and the last, the core's stores
// drain. Otherwise the first locked instruction of a write would pay for the copy before it, and a
// memcpy of 2 KB would not be charged at all, since it fits into the store buffer. What an empty
// measurement reads is taken off each sample.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <time.h>

namespace sidecast::shm {

inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  unsigned aux = 0;
  const std::uint64_t now = __builtin_ia32_rdtscp(&aux);
  __builtin_ia32_lfence();
  return now;
#else
  std::uint64_t now = 0;
  asm volatile("isb; mrs %0, cntvct_el0" : "=r"(now));
  return now;
#endif
}

// Lets the core's stores drain.
inline void settle() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

enum class Stores : std::uint8_t { kDrained, kInFlight };  // when an operation counts as over

// What the optimiser must believe to have been read and changed.
inline void clobber_memory() noexcept {
  asm volatile("" ::: "memory");
}

struct TickScale {
  double ns_per_tick = 1;
  // Between two stamps with nothing between them.
  std::uint64_t empty_ticks = 0;
  std::uint64_t empty_drained_ticks = 0;
};

// Measured once, in some 50 ms.
inline const TickScale& tick_scale() {
  static const TickScale scale = [] {
    using Clock = std::chrono::steady_clock;
    TickScale measured;
    const auto empty_ticks = [](Stores stores) {
      std::vector<std::uint64_t> empty(10'001);
      for (std::uint64_t& sample : empty) {
        settle();
        const std::uint64_t start = ticks();
        if (stores == Stores::kDrained) settle();
        sample = ticks() - start;
      }
      std::nth_element(empty.begin(), empty.begin() + 5000, empty.end());
      return empty[5000];
    };
    measured.empty_ticks = empty_ticks(Stores::kInFlight);
    measured.empty_drained_ticks = empty_ticks(Stores::kDrained);
    const auto wall_start = Clock::now();
    const std::uint64_t start = ticks();
    while (Clock::now() - wall_start < std::chrono::milliseconds(50)) {
    }
    const std::chrono::duration<double, std::nano> wall = Clock::now() - wall_start;
    measured.ns_per_tick = wall.count() / static_cast<double>(ticks() - start);
    return measured;
  }();
  return scale;
}

inline void spin_ns(double ns) noexcept {
  const std::uint64_t end = ticks() + static_cast<std::uint64_t>(ns / tick_scale().ns_per_tick);
  while (ticks() < end) {
  }
}

// The clock is part of a gateway's work: it reads it when a request ends.
inline std::int64_t now_ns() noexcept {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

struct Quantiles {
  double p50_ns = 0;
  double p99_ns = 0;
  double p999_ns = 0;
};

class Samples {
 public:
  explicit Samples(std::size_t capacity) { ticks_.reserve(capacity); }

  template <typename Operation>
  void time(Operation&& operation, Stores stores = Stores::kDrained) {
    settle();
    const std::uint64_t start = ticks();
    operation();
    clobber_memory();
    if (stores == Stores::kDrained) settle();
    const std::uint64_t taken = ticks() - start;
    const std::uint64_t empty =
        stores == Stores::kDrained ? tick_scale().empty_drained_ticks : tick_scale().empty_ticks;
    ticks_.push_back(static_cast<std::uint32_t>(taken > empty ? taken - empty : 0));
  }
  void append(const Samples& other) {
    ticks_.insert(ticks_.end(), other.ticks_.begin(), other.ticks_.end());
  }
  [[nodiscard]] std::size_t count() const noexcept { return ticks_.size(); }
  // `operations` per sample, where one alone is too short to be timed.
  [[nodiscard]] Quantiles quantiles(int operations = 1) {
    const double scale = tick_scale().ns_per_tick / operations;
    return {at(0.50) * scale, at(0.99) * scale, at(0.999) * scale};
  }

 private:
  double at(double quantile) {
    if (ticks_.empty()) return 0;
    const auto index = static_cast<std::ptrdiff_t>(quantile * static_cast<double>(count() - 1));
    std::nth_element(ticks_.begin(), ticks_.begin() + index, ticks_.end());
    return ticks_[static_cast<std::size_t>(index)];
  }

  std::vector<std::uint32_t> ticks_;
};

// Walks over more memory than the second-level cache holds, so that what follows starts cold.
inline void chill() {
  static std::vector<char> memory(8u << 20);
  for (std::size_t at = 0; at < memory.size(); at += 64) ++memory[at];
  clobber_memory();
}

inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace sidecast::shm
