#include "tools/sidecast/terminal.h"

#include <array>
#include <cstdlib>

#include <fmt/format.h>
#include <unistd.h>

#include "engine/base/utf8.h"

namespace sidecast {

Style::Style(std::FILE* stream) {
  // Read before any thread of ours starts.
  const char* const no_colour = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe)
  const char* const terminal = std::getenv("TERM");       // NOLINT(concurrency-mt-unsafe)
  const bool unwanted = no_colour != nullptr && *no_colour != '\0';
  const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  colour_ = !unwanted && !dumb && isatty(fileno(stream)) == 1;
}

std::string Style::wrap(std::string_view code, std::string_view text) const {
  return colour_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

std::string human_count(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (auto place = static_cast<std::ptrdiff_t>(digits.size()) - 3; place > 0; place -= 3) {
    digits.insert(static_cast<std::size_t>(place), 1, ',');
  }
  return digits;
}

std::string human_count(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", human_count(count), noun, count == 1 ? "" : "s");
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits.at(unit));
}

std::string human_seconds(double seconds) {
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1e3);
  if (seconds < 120) return fmt::format("{:.1f} s", seconds);
  const auto minutes = static_cast<std::uint64_t>(seconds / 60);
  if (minutes < 120) return fmt::format("{} min", minutes);
  return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
}

std::string printable(std::string_view text, std::size_t length_max) {
  std::string shown(utf8_prefix(text, length_max));
  const auto byte_at = [&shown](std::size_t i) { return static_cast<unsigned char>(shown[i]); };
  for (std::size_t i = 0; i < shown.size(); ++i) {
    if (byte_at(i) < 0x20 || byte_at(i) == 0x7F) shown[i] = ' ';
    // U+0080 to U+009F are controls, too: a terminal may take U+009B for the start of an order.
    if (byte_at(i) == 0xC2 && i + 1 < shown.size() && byte_at(i + 1) < 0xA0) {
      shown.replace(i, 2, 2, ' ');
    }
  }
  if (shown.size() < text.size()) shown += "…";
  return shown;
}

void print_error(std::string_view message) {
  fmt::print(stderr, "sidecast: {}\n", message);
}

}  // namespace sidecast
