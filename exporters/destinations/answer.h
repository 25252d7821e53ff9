// What every HTTP destination's judge() needs: the standard retry table, Retry-After, and one line
// of explanation out of whatever a server sent. Pure; every byte of a response is hostile: it is
// cut, made printable and freed of what our own request's headers held before anybody sees it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "exporters/exporter.h"

namespace sidecast {

inline constexpr std::size_t kExplanationBytesMax = 300;

// Retry-After in seconds or as a date, in full (a date that has passed is 0); nothing when there is
// none that can be read.
[[nodiscard]] std::optional<Milliseconds> retry_hint(const Response& response, Timestamp now);

// What the server says in its own words: the message of a google.rpc.Status in protobuf or JSON, of
// the usual JSON error shapes, an HTML title, else the text itself. Empty when it says nothing.
[[nodiscard]] std::string server_text(const Response& response);

[[nodiscard]] bool is_html(const Response& response);
// A refusal that is about size, for servers that say 400 where they mean 413.
[[nodiscard]] bool names_size(std::string_view text);

// "HTTP 503: what the server said; what to do", one printable line without our secrets. `advice`
// may be empty.
[[nodiscard]] std::string explain(const Request& request, const Response& response,
                                  std::string_view text, std::string_view advice);

// The table of reference "otlp" §7 for everything but a 2xx: no answer at all, 3xx, 4xx and 5xx.
// `retried_statuses`: this destination's exceptions, retried although the table calls them final.
[[nodiscard]] Verdict judge_refusal(const Request& request, const Response& response, Timestamp now,
                                    std::span<const int> retried_statuses);

}  // namespace sidecast
