#include "engine/config/units.h"

#include <array>
#include <charconv>
#include <limits>
#include <span>

#include <fmt/format.h>

namespace sidecast {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// Ascending, the ones that messages use first.
constexpr std::array<Unit, 10> kSizeUnits = {{{"B", 1},
                                              {"KiB", 1ULL << 10U},
                                              {"MiB", 1ULL << 20U},
                                              {"GiB", 1ULL << 30U},
                                              {"TiB", 1ULL << 40U},
                                              {"KB", 1'000},
                                              {"MB", 1'000'000},
                                              {"GB", 1'000'000'000},
                                              {"TB", 1'000'000'000'000},
                                              {"", 1}}};
constexpr std::size_t kSizeUnitsShown = 5;

constexpr std::array<Unit, 5> kDurationUnits = {
    {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};

std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                             std::uint64_t max) noexcept {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  std::string_view name(rest, static_cast<std::size_t>(end - rest));
  if (name.size() > 1 && name.front() == ' ') name.remove_prefix(1);
  for (const Unit& unit : units) {
    if (unit.name != name) continue;
    if (number > max / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

std::string text_with_unit(std::uint64_t value, std::span<const Unit> units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) best = &unit;
  }
  return fmt::format("{}{}", value / best->factor, best->name);
}

}  // namespace

std::optional<std::uint64_t> parse_size_bytes(std::string_view text) noexcept {
  return parse_with_unit(text, kSizeUnits, std::numeric_limits<std::uint64_t>::max());
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) noexcept {
  // So small that no conversion to nanoseconds and no addition to a clock overflows.
  constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max() / 1'000'000'000;
  const auto value = parse_with_unit(text, kDurationUnits, kMax);
  if (!value) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(*value));
}

std::string size_text(std::uint64_t bytes) {
  return text_with_unit(bytes, std::span(kSizeUnits).first(kSizeUnitsShown));
}

std::string duration_text(std::chrono::milliseconds duration) {
  return text_with_unit(static_cast<std::uint64_t>(duration.count()), kDurationUnits);
}

}  // namespace sidecast
