#include "exporters/destinations/answer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <simdjson.h>

#include "engine/base/utf8.h"
#include "exporters/destinations/options.h"
#include "exporters/destinations/scrub.h"

namespace sidecast {
namespace {

constexpr std::size_t kErrorBodyBytesMax = 64U << 10U;              // more of an error is not read
constexpr std::size_t kScrubbedBytesMax = 4096;                     // of text, before it is cut
constexpr Milliseconds kRetryHintMax = std::chrono::hours(24 * 7);  // keeps sums of times in range

std::string lower_case(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

// ---- Retry-After ------------------------------------------------------------------------------

std::optional<std::int64_t> month_number(std::string_view name) {
  static constexpr std::array<std::string_view, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto* const found = std::find(kMonths.begin(), kMonths.end(), name);
  if (found == kMonths.end()) return std::nullopt;
  return found - kMonths.begin() + 1;
}

// The three forms of RFC 9110 §5.6.7. Weekdays are not checked: they say nothing new.
std::optional<Timestamp> parse_http_date(std::string_view text) {
  const std::string line(text);
  char month[4] = {};
  int day = 0, year = 0, hour = 0, minute = 0, second = 0;
  const bool is_read = std::sscanf(line.c_str(), "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &day, month,
                                   &year, &hour, &minute, &second) == 6 ||
                       std::sscanf(line.c_str(), "%*[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT",
                                   &day, month, &year, &hour, &minute, &second) == 6 ||
                       std::sscanf(line.c_str(), "%*3s %3s %2d %2d:%2d:%2d %4d", month, &day, &hour,
                                   &minute, &second, &year) == 6;
  const auto month_index = month_number(month);
  if (!is_read || !month_index) return std::nullopt;
  if (year < 100) year += year < 70 ? 2000 : 1900;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(*month_index)),
                                         std::chrono::day(static_cast<unsigned>(std::max(day, 0)))};
  const bool is_time = hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 &&
                       second <= 60 && year >= 1970 && year < 2200;
  if (!date.ok() || !is_time) return std::nullopt;
  return Timestamp(std::chrono::sys_days(date)) + std::chrono::hours(hour) +
         std::chrono::minutes(minute) + std::chrono::seconds(second);
}

// ---- The server's words -------------------------------------------------------------------------

std::string message_of_protobuf_status(std::string_view body) {
  try {
    protozero::pbf_reader status(body.data(), body.size());
    while (status.next(2, protozero::pbf_wire_type::length_delimited)) {
      return status.get_string();
    }
  } catch (const protozero::exception&) {
    // Not a Status after all: it says nothing.
  }
  return {};
}

std::string string_member(const simdjson::dom::element& object, const char* name) {
  std::string_view text;
  if (object[name].get(text) != simdjson::SUCCESS) return {};
  return std::string(text);
}

std::string message_of_json(std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS) return {};
  // A list of errors, or one object that holds them or is one.
  simdjson::dom::element first;
  if (document.is_array() && document.at(0).get(first) == simdjson::SUCCESS) document = first;
  if (document["errors"].at(0).get(first) == simdjson::SUCCESS) document = first;
  if (document["error"].get(first) == simdjson::SUCCESS && first.is_object()) document = first;
  if (document.is_string()) return std::string(std::string_view(document));
  for (const char* name : {"message", "error", "error_message", "detail", "title", "reason"}) {
    std::string text = string_member(document, name);
    if (!text.empty()) return text;
  }
  return {};
}

std::string title_of_html(std::string_view body) {
  const std::string lowered = lower_case(body);
  const std::size_t open = lowered.find("<title");
  if (open == std::string::npos) return {};
  const std::size_t begin = lowered.find('>', open);
  const std::size_t end = lowered.find("</title", open);
  if (begin == std::string::npos || end == std::string::npos || begin >= end) return {};
  return std::string(body.substr(begin + 1, end - begin - 1));
}

// By number. google/rpc/code.proto.
constexpr std::array<std::string_view, 17> kGrpcCodes = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

std::string_view grpc_code(std::int64_t number) {
  const bool is_error = number > 0 && number < static_cast<std::int64_t>(kGrpcCodes.size());
  return is_error ? kGrpcCodes[static_cast<std::size_t>(number)] : std::string_view();
}

std::string_view code_of_protobuf_status(std::string_view body) {
  try {
    protozero::pbf_reader status(body.data(), body.size());
    while (status.next(1, protozero::pbf_wire_type::varint)) return grpc_code(status.get_int32());
  } catch (const protozero::exception&) {
    // Not a Status after all: it says nothing.
  }
  return {};
}

std::string_view code_of_json(std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS) return {};
  simdjson::dom::element error;
  if (document["error"].get(error) == simdjson::SUCCESS && error.is_object()) document = error;
  for (const char* member : {"code", "status"}) {
    std::int64_t number = 0;
    if (document[member].get(number) == simdjson::SUCCESS && !grpc_code(number).empty()) {
      return grpc_code(number);
    }
    const std::string name = string_member(document, member);
    const auto* const known = std::find(kGrpcCodes.begin() + 1, kGrpcCodes.end(), name);
    if (known != kGrpcCodes.end()) return *known;
  }
  return {};
}

// ---- One printable line -------------------------------------------------------------------------

// How many bytes at `text` draw nothing or disturb the line: controls, line separators, marks that
// change the direction of writing. 0 for ordinary text. `text` is valid UTF-8.
std::size_t invisible_bytes(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) <= 0x20 || byte(0) == 0x7f) return 1;
  if (byte(0) == 0xc2 && byte(1) < 0xa0) return 2;
  if (byte(0) == 0xe2 && byte(1) == 0x80) {
    const bool is_mark =
        (byte(2) >= 0x8b && byte(2) <= 0x8f) || (byte(2) >= 0xa8 && byte(2) <= 0xae);
    return is_mark ? 3 : 0;
  }
  if (byte(0) == 0xe2 && byte(1) == 0x81) return byte(2) >= 0xa0 && byte(2) <= 0xaf ? 3 : 0;
  if (byte(0) == 0xef && byte(1) == 0xbb && byte(2) == 0xbf) return 3;
  return 0;
}

// At most kScrubbedBytesMax bytes; runs of what cannot be seen become one blank.
std::string printable(std::string_view text) {
  Arena arena(1024);
  text = to_valid_utf8(utf8_prefix(text, kErrorBodyBytesMax), arena);
  std::string line;
  while (!text.empty() && line.size() < kScrubbedBytesMax) {
    if (const std::size_t count = invisible_bytes(text); count > 0) {
      if (!line.empty() && line.back() != ' ') line += ' ';
      text.remove_prefix(count);
      continue;
    }
    line += text.front();
    text.remove_prefix(1);
    while (!text.empty() && (static_cast<unsigned char>(text.front()) & 0xc0U) == 0x80U) {
      line += text.front();
      text.remove_prefix(1);
    }
  }
  if (line.ends_with(' ')) line.pop_back();
  return line;
}

std::string_view failure_name(Response::Failure failure) {
  using Failure = Response::Failure;
  switch (failure) {
    case Failure::kNone:
      return "";
    case Failure::kResolve:
      return "name lookup failed";
    case Failure::kConnect:
      return "connect failed";
    case Failure::kTls:
      return "TLS failed";
    case Failure::kTimeout:
      return "no answer in time";
    case Failure::kReset:
      return "connection lost";
    case Failure::kRefusedAddress:
      return "address not allowed";
    case Failure::kOther:
      return "request failed";
  }
  return "request failed";
}

// libcurl's words on certificates quote names out of them, which the server chose.
std::string unquoted(std::string_view text) {
  std::string line;
  while (!text.empty()) {
    const std::size_t open = text.find(" '");
    line += text.substr(0, open);
    if (open == std::string_view::npos) break;
    line += " ...";
    const std::size_t close = text.find('\'', open + 2);
    if (close == std::string_view::npos) break;
    text.remove_prefix(close + 1);
  }
  return line;
}

Verdict judge_failure(const Response& response) {
  Verdict verdict;
  const bool is_refused = response.failure == Response::Failure::kRefusedAddress;
  verdict.kind = is_refused ? Verdict::Kind::kPause : Verdict::Kind::kRetry;
  verdict.explanation = explain(response, printable(unquoted(response.failure_text)),
                                is_refused ? "metadata services are never allowed, private "
                                             "addresses only for the operator's destinations"
                                           : "");
  return verdict;
}

}  // namespace

std::optional<Milliseconds> retry_hint(const Response& response, Timestamp now) {
  const std::string_view value = trim_blanks(header_value(response, "retry-after"));
  if (value.empty()) return std::nullopt;
  std::uint64_t seconds = 0;
  const char* const end = value.data() + value.size();
  const auto [rest, error] = std::from_chars(value.data(), end, seconds);
  // Some servers send fractions; the whole seconds are enough, rounded up.
  const bool has_fraction = rest != end && *rest == '.';
  if (rest != value.data() && (rest == end || has_fraction)) {
    const auto max = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(kRetryHintMax).count());
    if (error != std::errc() || seconds >= max) return kRetryHintMax;
    return std::chrono::seconds(seconds + (has_fraction ? 1 : 0));
  }
  const auto date = parse_http_date(value);
  if (!date) return std::nullopt;
  const auto wait = std::chrono::ceil<Milliseconds>(*date - now);
  return std::clamp(wait, Milliseconds(0), kRetryHintMax);
}

bool is_html(const Response& response) {
  const std::string start = lower_case(trim_blanks(std::string_view(response.body).substr(0, 256)));
  if (start.starts_with("<!doctype html") || start.starts_with("<html")) return true;
  return !start.empty() &&
         lower_case(header_value(response, "content-type")).starts_with("text/html");
}

bool is_grpc(const Response& response) {
  return lower_case(header_value(response, "content-type")).starts_with("application/grpc");
}

std::string server_text(const Response& response) {
  const std::string_view body = std::string_view(response.body).substr(0, kErrorBodyBytesMax);
  if (body.empty()) return {};
  if (is_html(response)) {
    const std::string title = title_of_html(body);
    return title.empty() ? "an HTML page" : "an HTML page titled " + title;
  }
  const std::string type = lower_case(header_value(response, "content-type"));
  if (type.find("protobuf") != std::string::npos) return message_of_protobuf_status(body);
  const std::string_view start = trim_blanks(body.substr(0, 64));
  if (start.starts_with('{') || start.starts_with('[') || start.starts_with('"')) {
    std::string text = message_of_json(body);
    if (!text.empty()) return text;
  }
  return std::string(body);
}

bool names_size(std::string_view text) {
  static constexpr std::string_view kPhrases[] = {
      "too large", "too big",   "larger than",  "size limit",   "limit size",  "maximum size",
      "max size",  "body size", "payload size", "message size", "request size"};
  const std::string lowered = lower_case(text.substr(0, kScrubbedBytesMax));
  return std::any_of(std::begin(kPhrases), std::end(kPhrases), [&](std::string_view phrase) {
    return lowered.find(phrase) != std::string::npos;
  });
}

std::string_view known_code(const Response& response) {
  const std::string_view body = std::string_view(response.body).substr(0, kErrorBodyBytesMax);
  const std::string type = lower_case(header_value(response, "content-type"));
  if (type.find("protobuf") != std::string::npos) return code_of_protobuf_status(body);
  return trim_blanks(body.substr(0, 64)).starts_with('{') ? code_of_json(body) : std::string_view();
}

std::string_view grpc_code_name(int number) noexcept {
  const bool is_known = number >= 0 && number < static_cast<int>(kGrpcCodes.size());
  return kGrpcCodes[is_known ? static_cast<std::size_t>(number) : 2];
}

std::string explain(const Response& response, std::string_view code, std::string_view advice) {
  const bool is_answer = response.failure == Response::Failure::kNone;
  std::string line = is_answer ? "HTTP " + std::to_string(response.status)
                               : std::string(failure_name(response.failure));
  if (!code.empty()) line += is_answer ? " (" + std::string(code) + ")" : ": " + std::string(code);
  if (!advice.empty()) line += "; " + std::string(advice);
  return std::string(utf8_prefix(line, kExplanationBytesMax));
}

std::string shown_text(const Request& request, std::string_view text) {
  std::string said = scrub(printable(text), request);
  if (said.size() <= kServerTextBytesMax) return said;
  return std::string(utf8_prefix(said, kServerTextBytesMax - 3)) + "...";
}

Verdict judge_refusal(const Request& request, const Response& response, Timestamp now,
                      std::span<const int> retried_statuses) {
  if (response.failure != Response::Failure::kNone) return judge_failure(response);
  const int status = response.status;
  const std::string text = server_text(response);
  Verdict verdict;
  std::string_view advice;
  const std::string_view code = known_code(response);
  const auto hint = retry_hint(response, now);
  // What gRPC says of a message over its limit; with a time to wait it is a throttle.
  const bool is_message_too_large = code == "RESOURCE_EXHAUSTED" && !hint && names_size(text);
  const bool is_exception =
      std::find(retried_statuses.begin(), retried_statuses.end(), status) != retried_statuses.end();
  const bool is_too_large = status == 413 || (status == 400 && names_size(text));
  if (is_message_too_large || (is_too_large && !is_exception)) {
    verdict.kind = Verdict::Kind::kSplit;
    verdict.reason = RejectReason::kTooLarge;
    advice = "the request is larger than it takes";
  } else if (status == 429 || (status >= 502 && status <= 504) || is_exception || status < 200) {
    verdict.kind = Verdict::Kind::kRetry;
    verdict.retry_hint = hint;
  } else if (status == 401 || status == 403 || status == 407) {
    verdict.kind = Verdict::Kind::kPause;
    verdict.retry_hint = hint;
    advice = "check the credentials";
  } else if (status == 404 || (status >= 300 && status < 400)) {
    verdict.kind = Verdict::Kind::kPause;
    verdict.retry_hint = hint;
    advice =
        status == 404 ? "check the endpoint" : "redirects are not followed; check the endpoint";
  } else {
    verdict.kind = Verdict::Kind::kRejected;
    verdict.blames_content = status == 400 || status == 422 || code == "RESOURCE_EXHAUSTED";
  }
  std::string wait;
  if (verdict.retry_hint && verdict.retry_hint->count() > 0) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*verdict.retry_hint);
    wait = "asks to wait " + std::to_string(seconds.count()) + " s";
    if (!advice.empty()) wait += "; ";
  }
  verdict.explanation = explain(response, code, wait + std::string(advice));
  verdict.server_text = shown_text(request, text);
  return verdict;
}

}  // namespace sidecast
