// What every HTTP destination's judge() needs: the standard retry table, Retry-After, one line of
// explanation, and the server's own words. Pure; every byte of a response is hostile.
//
// The explanation is logged and kept in the ledger, so it holds a status, a code out of a fixed
// list and our own advice, and nothing else: servers quote what they refuse, content and
// credentials, and no scrubbing finds all of a prompt. Their words stand apart, for a person who
// asks for content.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "exporters/exporter.h"

namespace sidecast {

inline constexpr std::size_t kExplanationBytesMax = 200;
inline constexpr std::size_t kServerTextBytesMax = 300;

// Retry-After in seconds or as a date, in full (a date that has passed is 0); nothing when there is
// none that can be read.
[[nodiscard]] std::optional<Milliseconds> retry_hint(const Response& response, Timestamp now);

// What the server says in its own words: the message of a google.rpc.Status in protobuf or JSON, of
// the usual JSON error shapes, an HTML title, else the text itself. Empty when it says nothing.
[[nodiscard]] std::string server_text(const Response& response);

[[nodiscard]] bool is_html(const Response& response);
[[nodiscard]] bool is_grpc(const Response& response);
// A refusal that is about size, for servers that say 400 where they mean 413.
[[nodiscard]] bool names_size(std::string_view text);

// The name of a gRPC status, when the answer holds one (in a google.rpc.Status, in protobuf or
// JSON): one of a fixed list, or empty.
[[nodiscard]] std::string_view known_code(const Response& response);

// The name of a gRPC status of google/rpc/code.proto; UNKNOWN for any other number.
[[nodiscard]] std::string_view grpc_code_name(int number) noexcept;

// "HTTP 503 (UNAVAILABLE); what to do", one printable line. `code` and `advice` may be empty and
// are never a server's free text.
[[nodiscard]] std::string explain(const Response& response, std::string_view code,
                                  std::string_view advice);

// A server's words as a person may see them: one line, cut, without what our request held.
[[nodiscard]] std::string shown_text(const Request& request, std::string_view text);

// The table of reference "otlp" §7 for everything but a 2xx: no answer at all, 3xx, 4xx and 5xx.
// `retried_statuses`: this destination's exceptions, retried although the table calls them final.
[[nodiscard]] Verdict judge_refusal(const Request& request, const Response& response, Timestamp now,
                                    std::span<const int> retried_statuses);

}  // namespace sidecast
