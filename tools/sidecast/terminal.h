// What people see: colour where it helps and is wanted, numbers that can be read.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace sidecast {

// Colour for one stream: on for a terminal, unless NO_COLOR is set or the terminal is dumb.
class Style {
 public:
  explicit Style(std::FILE* stream);
  explicit Style(bool colour) noexcept : colour_(colour) {}

  [[nodiscard]] std::string bold(std::string_view text) const { return wrap("1", text); }
  [[nodiscard]] std::string dim(std::string_view text) const { return wrap("2", text); }
  [[nodiscard]] std::string good(std::string_view text) const { return wrap("32", text); }
  [[nodiscard]] std::string warn(std::string_view text) const { return wrap("33", text); }
  [[nodiscard]] std::string bad(std::string_view text) const { return wrap("31", text); }

 private:
  [[nodiscard]] std::string wrap(std::string_view code, std::string_view text) const;

  bool colour_ = false;
};

[[nodiscard]] std::string human_count(std::uint64_t count);  // 1,234,567
[[nodiscard]] std::string human_count(std::uint64_t count,
                                      std::string_view noun);  // 1 span, 2 spans
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);    // 12.3 MiB
[[nodiscard]] std::string human_seconds(double seconds);       // 850 ms, 12.3 s, 2 h 05 min

// Text from outside, safe for a terminal: control characters become spaces, at most `length_max`
// bytes with a mark where something was cut.
[[nodiscard]] std::string printable(std::string_view text, std::size_t length_max);

// One line to stderr: "sidecast: " and the message.
void print_error(std::string_view message);

}  // namespace sidecast
