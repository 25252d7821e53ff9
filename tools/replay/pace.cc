#include "tools/replay/pace.h"

#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "tools/replay/lines.h"

namespace sidecast::replay {
namespace {

// The field with this index of a CSV line without quotes.
std::optional<std::string_view> field(std::string_view line, std::size_t index) {
  for (; index > 0; --index) {
    const std::size_t comma = line.find(',');
    if (comma == std::string_view::npos) return std::nullopt;
    line.remove_prefix(comma + 1);
  }
  return line.substr(0, line.find(','));
}

std::optional<std::size_t> column(std::string_view header, std::string_view name) {
  for (std::size_t index = 0;; ++index) {
    const auto found = field(header, index);
    if (!found) return std::nullopt;
    if (*found == name) return index;
  }
}

std::optional<double> parse_milliseconds(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(value) || value < 0) return std::nullopt;
  return value;
}

}  // namespace

Pace Pace::steady(double per_second) {
  Pace pace;
  pace.interval_ns_ = 1e9 / per_second;
  return pace;
}

Result<Pace> Pace::recorded(const std::string& path, double speed,
                            std::optional<Nanoseconds> duration) {
  auto lines = LineReader::open(path);
  if (!lines) return fail(std::move(lines.error()));
  std::string line;
  Result<bool> more = lines->next(line);
  const auto index = more && *more ? column(line, "arrival_ms") : std::nullopt;
  if (!index) return fail(path + ": has no column 'arrival_ms' in its first line");

  Pace pace;
  pace.arrivals_.emplace();
  for (more = lines->next(line); more && *more; more = lines->next(line)) {
    const auto text = field(line, *index);
    const auto arrival_ms = text ? parse_milliseconds(*text) : std::nullopt;
    if (!arrival_ms)
      return fail(fmt::format("{}:{}: is not an arrival", path, lines->line_number()));
    const Nanoseconds due(std::llround(*arrival_ms * 1e6 / speed));
    if (!pace.arrivals_->empty() && due < pace.arrivals_->back()) {
      return fail(
          fmt::format("{}:{}: arrivals must be sorted by time", path, lines->line_number()));
    }
    if (duration && due > *duration) return pace;
    pace.arrivals_->push_back(due);
  }
  if (!more) return fail(std::move(more.error()));
  return pace;
}

std::optional<Nanoseconds> Pace::due(std::uint64_t number) const {
  if (arrivals_) return (*arrivals_)[number];
  if (interval_ns_ == 0) return std::nullopt;
  return Nanoseconds(std::llround(interval_ns_ * static_cast<double>(number)));
}

}  // namespace sidecast::replay
