// A destination's losses in the log: one line when batches begin to be dropped for a reason, with
// the cause and what to do, and one with the count when that is over. Never one per record or
// batch: the counters are exact, this is for whoever reads the log. Threads: belongs to the
// delivery thread.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/clock.h"
#include "engine/ledger/layout.h"

namespace sidecast {

// What there is too little of when batches are dropped for want of room.
enum class Shortage { kMemoryLimit, kFileSystem };
// "memory is full", and what an operator can do about it.
[[nodiscard]] std::string_view shortage_text(Shortage shortage) noexcept;
[[nodiscard]] std::string_view shortage_remedy(Shortage shortage) noexcept;

// From the first loss until a while without any.
class LossEpisode {
 public:
  // Longer than a destination that takes nothing leaves between two batches (batcher.cc).
  static constexpr std::chrono::seconds kQuiet{60};

  [[nodiscard]] bool is_open() const noexcept { return records_ != 0; }
  // True when it begins with this.
  [[nodiscard]] bool add(std::uint64_t records, Instant now) noexcept;
  // The records it cost, when it is over: once.
  [[nodiscard]] std::optional<std::uint64_t> end_if_quiet(Instant now) noexcept;
  [[nodiscard]] std::optional<std::uint64_t> end() noexcept;

 private:
  std::uint64_t records_ = 0;  // 0 = there is none
  Instant last_;
};

class LossLog {
 public:
  LossLog(std::string destination, std::chrono::seconds give_up_after)
      : destination_(std::move(destination)), give_up_after_(give_up_after) {}

  // `cause` in one line, without a server's words; may be empty.
  void dropped(ledger::DropReason reason, std::uint64_t records, const std::string& cause,
               Instant now, Shortage shortage = Shortage::kMemoryLimit);
  // The destination refused them for good. `cause` as above.
  void rejected(std::uint64_t records, const std::string& cause, Instant now);
  void tick(Instant now);
  void set_give_up_after(std::chrono::seconds give_up_after) { give_up_after_ = give_up_after; }
  // No episode is open.
  [[nodiscard]] bool is_quiet() const noexcept {
    return std::none_of(episodes_.begin(), episodes_.end(),
                        [](const LossEpisode& episode) { return episode.is_open(); });
  }
  // Ends every episode: nothing more is dropped.
  void finish();

 private:
  void report_end(std::size_t reason, std::uint64_t records) const;
  void report_end_of_rejections(std::optional<std::uint64_t> records) const;

  std::string destination_;
  std::chrono::seconds give_up_after_;
  std::array<LossEpisode, ledger::kDropReasons.size()> episodes_;
  LossEpisode rejections_;
};

}  // namespace sidecast
