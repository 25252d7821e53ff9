#include "exporters/destinations/options.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <set>

#include "engine/base/utf8.h"

namespace sidecast {
namespace {

constexpr std::size_t kQuotedBytesMax = 60;

// What was given, for a message: cut, and without bytes that could disturb a terminal.
std::string quoted(std::string_view value) {
  std::string text = "'";
  for (const char c : utf8_prefix(value, kQuotedBytesMax)) {
    text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  text += value.size() > kQuotedBytesMax ? "...'" : "'";
  return text;
}

std::string join(std::span<const std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) {
    if (!text.empty()) text += ", ";
    text += part;
  }
  return text;
}

std::size_t edit_distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < right.size(); ++j) {
      const std::size_t replaced = diagonal + (left[i] == right[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_escape = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                           hex_digit(text[i + 2]) >= 0;
    if (!is_escape) {
      decoded += text[i];
      continue;
    }
    decoded += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
    i += 2;
  }
  return decoded;
}

Result<std::uint64_t> out_of_range(std::string_view option, std::string_view value, Range range,
                                   std::string_view what) {
  return fail(std::string(option) + " is " + quoted(value) + "; it must be " + std::string(what) +
              " from " + std::to_string(range.min) + " to " + std::to_string(range.max));
}

Status check_authority(std::string_view authority) {
  if (authority.find('@') != std::string_view::npos) {
    return fail("holds a user or password; put credentials into an option of their own");
  }
  std::string_view host = authority;
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return fail("has an IPv6 address without ]");
    host = authority.substr(1, end - 1);
    const std::string_view rest = authority.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') return fail("has text between ] and the path");
    if (!rest.empty()) port = rest.substr(1);
    if (!rest.empty() && port.empty()) return fail("has an empty port");
  } else if (const std::size_t colon = authority.find(':'); colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
    if (port.empty()) return fail("has an empty port");
  }
  if (host.empty()) return fail("has no host");
  if (port.empty()) return {};
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number == 0 || number > 65535) {
    return fail("has a port that is not a number from 1 to 65535");
  }
  return {};
}

// What the exporter or libcurl writes itself.
constexpr std::string_view kOwnHeaders[] = {
    "content-type", "content-encoding", "content-length", "transfer-encoding", "host",
    "te",           "grpc-encoding"};

std::string lower_case(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

}  // namespace

std::string_view trim_blanks(std::string_view text) noexcept {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::vector<std::string_view> split_list(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    const std::string_view part = trim_blanks(text.substr(0, end));
    if (!part.empty()) parts.push_back(part);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return parts;
}

std::string did_you_mean(std::string_view given, std::span<const std::string_view> known) {
  std::string_view nearest;
  std::size_t smallest = std::max<std::size_t>(2, given.size() / 3) + 1;
  if (given.size() > kQuotedBytesMax) return {};
  for (const std::string_view candidate : known) {
    const std::size_t distance = edit_distance(given, candidate);
    if (distance >= smallest || distance >= candidate.size()) continue;
    smallest = distance;
    nearest = candidate;
  }
  if (nearest.empty()) return {};
  return "; did you mean '" + std::string(nearest) + "'?";
}

Status check_required(const OptionValues& options, std::span<const Option> known) {
  for (const Option& option : known) {
    if (!option.required || option.secret) continue;
    if (trim_blanks(options.get(option.name)).empty()) {
      return fail(std::string(option.name) + " is missing: " + std::string(option.help));
    }
  }
  return {};
}

Result<std::string_view> parse_choice(std::string_view option, std::string_view value,
                                      std::span<const std::string_view> allowed) {
  for (const std::string_view candidate : allowed) {
    if (candidate == value) return candidate;  // of the table, so that it outlives the value
  }
  return fail(std::string(option) + " is " + quoted(value) + "; it must be one of " +
              join(allowed) + did_you_mean(value, allowed));
}

Result<bool> parse_flag(std::string_view option, std::string_view value) {
  if (value == "true" || value == "yes" || value == "on" || value == "1") return true;
  if (value == "false" || value == "no" || value == "off" || value == "0") return false;
  return fail(std::string(option) + " is " + quoted(value) + "; it must be true or false");
}

Result<std::uint64_t> parse_number(std::string_view option, std::string_view value, Range range) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool is_number = error == std::errc() && end == value.data() + value.size();
  if (!is_number || number < range.min || number > range.max) {
    return out_of_range(option, value, range, "a whole number");
  }
  return number;
}

Result<std::uint64_t> parse_bytes(std::string_view option, std::string_view value, Range range) {
  struct Unit {
    std::string_view name;
    std::uint64_t bytes;
  };
  static constexpr Unit kUnits[] = {{"", 1},
                                    {"B", 1},
                                    {"KiB", 1ULL << 10U},
                                    {"MiB", 1ULL << 20U},
                                    {"GiB", 1ULL << 30U},
                                    {"KB", 1'000},
                                    {"MB", 1'000'000},
                                    {"GB", 1'000'000'000}};
  constexpr std::string_view kWhat = "bytes (units: KiB, MiB, GiB, KB, MB, GB)";
  const std::size_t digits = std::min(value.find_first_not_of("0123456789"), value.size());
  const std::string_view unit_name = trim_blanks(value.substr(digits));
  const auto* const unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                        [&](const Unit& each) { return each.name == unit_name; });
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + digits, number);
  if (digits == 0 || error != std::errc() || unit == std::end(kUnits) ||
      number > range.max / unit->bytes || number * unit->bytes < range.min) {
    return out_of_range(option, value, range, kWhat);
  }
  return number * unit->bytes;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_pairs(std::string_view option,
                                                                     std::string_view value) {
  std::vector<std::pair<std::string, std::string>> pairs;
  std::set<std::string> names;
  for (const std::string_view part : split_list(value, ',')) {
    const std::size_t equals = part.find('=');
    std::string name = percent_decoded(trim_blanks(part.substr(0, equals)));
    if (equals == std::string_view::npos || name.empty()) {
      return fail(std::string(option) + " has the part " + quoted(part) +
                  "; it must read key=value, with commas between the pairs");
    }
    std::string text = percent_decoded(trim_blanks(part.substr(equals + 1)));
    if (!is_valid_utf8(name) || !is_valid_utf8(text)) {
      return fail(std::string(option) + " has the part " + quoted(part) + ", which is not UTF-8");
    }
    if (!names.insert(name).second) {
      return fail(std::string(option) + " names " + quoted(name) + " twice");
    }
    pairs.emplace_back(std::move(name), std::move(text));
  }
  return pairs;
}

Result<std::vector<int>> parse_statuses(std::string_view option, std::string_view value) {
  std::vector<int> statuses;
  for (const std::string_view part : split_list(value, ',')) {
    const auto status = parse_number(option, part, {.min = 400, .max = 599});
    if (!status) return fail(status.error());
    statuses.push_back(static_cast<int>(*status));
  }
  return statuses;
}

Result<Url> parse_url(std::string_view option, std::string_view value) {
  // The value is not quoted back: it may hold credentials, which is one of the mistakes found here.
  const auto wrong = [option](std::string_view what) {
    return fail(std::string(option) + " " + std::string(what) +
                "; it must be a URL such as https://host:4318");
  };
  const std::string_view given = trim_blanks(value);
  const std::size_t scheme_end = given.find("://");
  if (scheme_end == std::string_view::npos) return wrong("has no http:// or https://");
  Url url;
  for (const char c : given.substr(0, scheme_end)) {
    url.scheme += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  if (url.scheme != "http" && url.scheme != "https") return wrong("has no http:// or https://");
  for (const char c : given) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>') {
      return wrong("holds a character that no URL has");
    }
  }
  if (given.find('#') != std::string_view::npos) return wrong("holds a fragment (#...)");
  std::string_view rest = given.substr(scheme_end + 3);
  const std::size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
  url.authority = rest.substr(0, authority_end);
  if (const Status checked = check_authority(url.authority); !checked) {
    return wrong(checked.error().message());
  }
  rest.remove_prefix(authority_end);
  const std::size_t query = std::min(rest.find('?'), rest.size());
  url.path = rest.substr(0, query);
  url.query = rest.substr(query);
  return url;
}

bool is_header_name(std::string_view name) noexcept {
  constexpr std::string_view kToken =
      "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return !name.empty() && name.find_first_not_of(kToken) == std::string_view::npos;
}

bool is_header_value(std::string_view value) noexcept {
  return std::all_of(value.begin(), value.end(), [](char c) {
    return (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) || c == '\t';
  });
}

Result<std::vector<Header>> extra_headers(const OptionValues& options,
                                          std::span<const std::string_view> taken) {
  std::vector<Header> headers;
  for (const auto& [name, value] : options.headers) {
    if (!is_header_name(name)) return fail("headers: '" + name + "' is not a header name");
    if (!is_header_value(value)) {
      return fail("headers: the value of " + name + " holds a line break or control character");
    }
    const std::string lowered = lower_case(name);
    const auto is_name = [&lowered](std::string_view own) { return own == lowered; };
    if (std::any_of(std::begin(kOwnHeaders), std::end(kOwnHeaders), is_name)) {
      return fail("headers: " + name + " follows from the encoding and cannot be set");
    }
    if (std::any_of(taken.begin(), taken.end(), is_name)) {
      return fail("headers: " + name + " is written by this type of destination; use its options");
    }
    headers.push_back({name, value});
  }
  return headers;
}

}  // namespace sidecast
