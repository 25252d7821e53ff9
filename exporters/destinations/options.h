// Reading option values: each function checks one, and its Error names the option, what was given
// and what is allowed, so that a person can mend the config without looking elsewhere. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "exporters/exporter.h"

namespace sidecast {

// "; did you mean 'X'?" for the nearest of `known`, or nothing when none is near.
[[nodiscard]] std::string did_you_mean(std::string_view given,
                                       std::span<const std::string_view> known);

// Every option that is required and not secret has a value. (A secret one is missed by
// authorise(), where secrets are seen.)
[[nodiscard]] Status check_required(const OptionValues& options, std::span<const Option> known);

[[nodiscard]] Result<std::string_view> parse_choice(std::string_view option, std::string_view value,
                                                    std::span<const std::string_view> allowed);
[[nodiscard]] Result<bool> parse_flag(std::string_view option, std::string_view value);

struct Range {
  std::uint64_t min;
  std::uint64_t max;
};
[[nodiscard]] Result<std::uint64_t> parse_number(std::string_view option, std::string_view value,
                                                 Range range);
// A number of bytes, with or without a unit: 4194304, 4096KiB, 4MiB, 4MB.
[[nodiscard]] Result<std::uint64_t> parse_bytes(std::string_view option, std::string_view value,
                                                Range range);
// Names and values as the OpenTelemetry environment variables write them: "key=value,key2=value2",
// values percent-encoded where they need it. Names differ and are not empty.
[[nodiscard]] Result<std::vector<std::pair<std::string, std::string>>> parse_pairs(
    std::string_view option, std::string_view value);
// Comma-separated HTTP statuses that mean an error, 400 to 599.
[[nodiscard]] Result<std::vector<int>> parse_statuses(std::string_view option,
                                                      std::string_view value);

// An http:// or https:// URL, taken apart; text() puts it together again.
struct Url {
  std::string scheme;
  std::string authority;  // host, and port when one was given
  std::string path;       // begins with / or is empty; no trailing / unless it was given
  std::string query;      // begins with ? or is empty

  [[nodiscard]] std::string text() const { return scheme + "://" + authority + path + query; }
};
// Without credentials (they belong into options of their own, where they stay secret) or a
// fragment.
[[nodiscard]] Result<Url> parse_url(std::string_view option, std::string_view value);

// A header that may be sent: a name of the RFC's characters, a value on one line.
[[nodiscard]] bool is_header_name(std::string_view name) noexcept;
[[nodiscard]] bool is_header_value(std::string_view value) noexcept;

// The headers that the user adds to every request. Names in `taken` (lower case) and those that
// follow from the body are refused: two of one would contradict each other.
[[nodiscard]] Result<std::vector<Header>> extra_headers(
    const OptionValues& options, std::span<const std::string_view> taken = {});

[[nodiscard]] std::string_view trim_blanks(std::string_view text) noexcept;
[[nodiscard]] std::vector<std::string_view> split_list(std::string_view text, char separator);

}  // namespace sidecast
