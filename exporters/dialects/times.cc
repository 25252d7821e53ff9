#include "exporters/dialects/times.h"

#include <algorithm>

#include <fmt/format.h>

namespace sidecast {

Text iso_time(Timestamp time, std::array<char, kIsoTimeBytes>& text) noexcept {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<Milliseconds>(time - day));
  const auto written = fmt::format_to_n(
      text.data(), text.size(), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
      static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
      static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(),
      clock.seconds().count(), clock.subseconds().count());
  return {text.data(), std::min(written.size, text.size())};
}

}  // namespace sidecast
