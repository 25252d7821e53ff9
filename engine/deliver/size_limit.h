// How large a batch and a record a destination takes, as far as its answers have shown, and how far
// a record that it refuses is shrunk. Sizes are uncompressed bytes of encoded records. What was
// learnt is kept over restarts (the ledger's slot), and forgotten slowly: limits are raised by
// hand, and a proxy in between may have been the reason.
//
// Pure: times come in. Threads: belongs to the delivery thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

#include "engine/base/clock.h"
#include "engine/batch/sealed_batch.h"

namespace sidecast {

class SizeLimit {
 public:
  static constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();
  // Without a refusal for so long, twice as much is tried.
  static constexpr std::chrono::hours kRaiseAfter{1};
  // Nobody's batches are that large: a limit above is none.
  static constexpr std::uint64_t kForgetBytes = 256U << 20U;
  // A record that is refused four times, ever smaller, is not refused for its size.
  static constexpr std::uint32_t kAttemptsMax = 4;
  // What is this small already is not worth shrinking.
  static constexpr std::uint64_t kShrinkBytesMin = 64U << 10U;

  struct State {
    std::uint64_t batch_bytes_max = kNone;       // a request of so much was taken, more was refused
    std::uint64_t record_bytes_refused = kNone;  // a record of so much was refused alone
    Timestamp learnt{};
  };

  SizeLimit() = default;
  explicit SizeLimit(State state) noexcept : state_(state) {}

  [[nodiscard]] const State& state() const noexcept { return state_; }
  [[nodiscard]] std::uint64_t batch_bytes_max() const noexcept { return state_.batch_bytes_max; }
  [[nodiscard]] std::uint64_t accepted_bytes_max() const noexcept { return accepted_bytes_max_; }
  [[nodiscard]] bool refuses_record(std::uint64_t bytes) const noexcept {
    return bytes >= state_.record_bytes_refused;
  }

  void accepted(std::uint64_t bytes) noexcept {
    accepted_bytes_max_ = std::max(accepted_bytes_max_, bytes);
    if (bytes >= state_.record_bytes_refused) state_.record_bytes_refused = kNone;
  }
  // True when it is less than was known.
  [[nodiscard]] bool learn_batch(std::uint64_t bytes_max, Timestamp now) noexcept {
    if (bytes_max >= state_.batch_bytes_max) return false;
    state_.batch_bytes_max = bytes_max;
    state_.learnt = now;
    return true;
  }
  // A record was refused for its size. True when that is the first one.
  [[nodiscard]] bool learn_record(std::uint64_t bytes, Timestamp now) noexcept {
    const bool is_first = state_.record_bytes_refused == kNone;
    state_.record_bytes_refused = std::min(state_.record_bytes_refused, bytes);
    state_.learnt = now;
    return is_first;
  }
  // True when something was raised.
  [[nodiscard]] bool raise_if_due(Timestamp now) noexcept {
    if (state_.batch_bytes_max == kNone && state_.record_bytes_refused == kNone) return false;
    // A clock that was set back must not hold a limit for ever.
    if (now >= state_.learnt && now - state_.learnt < kRaiseAfter) return false;
    state_.batch_bytes_max = doubled(state_.batch_bytes_max);
    state_.record_bytes_refused = doubled(state_.record_bytes_refused);
    state_.learnt = now;
    return true;
  }

  // How to make a record smaller that was refused, or would be, after `last`. Nothing: it was tried
  // enough. What was taken before is the best guess, unless it is far below.
  [[nodiscard]] std::optional<Shrinking> shrinking_after(const Shrinking& last,
                                                         std::uint64_t record_bytes) const {
    const std::uint64_t from = last.attempt > 0
                                   ? std::min(last.bytes_max, record_bytes)
                                   : std::min(record_bytes, state_.record_bytes_refused);
    if (from < kShrinkBytesMin || last.attempt >= kAttemptsMax) return std::nullopt;
    const std::uint64_t bytes_max =
        accepted_bytes_max_ < from ? std::max(accepted_bytes_max_, from / 4) : from / 4;
    return Shrinking{.attempt = last.attempt + 1, .bytes_max = bytes_max};
  }

 private:
  [[nodiscard]] static std::uint64_t doubled(std::uint64_t bytes) noexcept {
    return bytes >= kForgetBytes / 2 ? kNone : bytes * 2;
  }

  State state_;
  std::uint64_t accepted_bytes_max_ = 0;  // since the start
};

}  // namespace sidecast
