#include "engine/normalise/errors.h"

#include <algorithm>
#include <charconv>

namespace sidecast {
namespace {

constexpr std::size_t kTypeMax = 64;

// Types are names with few values: what reads like a sentence or an id is none.
bool is_type(Text type) noexcept {
  return !type.empty() && type.size() <= kTypeMax &&
         std::all_of(type.begin(), type.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
         });
}

void set_type(Outcome& outcome, Text type) noexcept {
  if (outcome.error_type.empty() && is_type(type)) outcome.error_type = type;
}

// AWS writes "com.amazon.coral.service#ValidationException:http://..." where others write a name.
Text aws_type(Text type) noexcept {
  type = type.substr(0, type.find(':'));
  const std::size_t hash = type.rfind('#');
  return hash == Text::npos ? type : type.substr(hash + 1);
}

// The providers that a router tried before this one, where the gateway itself names none. When that
// was, it does not say.
void read_previous_errors(JsonValue errors, Reading& reading) {
  constexpr std::size_t kAttemptsMax = 64;
  Trace& trace = reading.trace;
  if (!trace.attempts.empty()) return;
  for (const JsonMember element : errors) {
    if (!element.value.is_object() || trace.attempts.size() == kAttemptsMax) continue;
    Attempt& attempt = trace.attempts.emplace_back();
    attempt.start = trace.start;
    attempt.end = trace.start;
    attempt.provider = reading.text(element.value.find("provider_name"));
    const JsonValue code = element.value.find("code");
    attempt.http_status =
        static_cast<std::int32_t>(std::clamp<std::int64_t>(code.integer().value_or(0), 0, 999));
    attempt.error_type = code.is_present() && is_type(code.is_string() ? code.word() : code.raw())
                             ? (code.is_string() ? code.word() : code.raw())
                             : Text("_OTHER");
    attempt.error_message = reading.text_or_json(element.value.find("message"));
  }
}

void read_error_object(JsonValue error, Reading& reading) {
  Outcome& outcome = reading.trace.outcome;
  const JsonValue metadata = error.find("metadata");
  set_if_empty(reading.trace.provider, reading.text(metadata.find("provider_name")));
  read_previous_errors(metadata.find("previous_errors"), reading);
  set_type(outcome, error.find("metadata", "error_type").word());  // the router's own, if one is
  set_type(outcome, error.find("type").word());
  set_type(outcome, error.find("status").word());
  const JsonValue code = error.find("code");
  set_type(outcome, code.is_string() ? code.word() : Text(code.integer() ? code.raw() : Text()));
  JsonValue message = error.find("message");
  if (!message.is_present()) message = error.find("detail");
  if (!message.is_present()) message = error;
  set_if_empty(outcome.error_message, reading.text_or_json(message));
}

bool is_error_reason(Text reason) noexcept {
  return reason == "error" || reason == "ERROR" || reason == "failed";
}

// What was never said, of an answer that did not come to its end (reference "conventions" §5.4).
void settle_finish_reasons(Trace& trace) {
  constexpr Text kError = "error";
  const auto settle = [&](Text& reason) {
    if (reason.empty() || reason == "in_progress" || reason == "queued") reason = kError;
  };
  for (Text& reason : trace.finish_reasons) settle(reason);
  for (Message& message : trace.output_messages) settle(message.finish_reason);
  if (trace.finish_reasons.empty()) trace.finish_reasons.push_back(kError);
}

}  // namespace

void read_error(JsonValue body, bool is_failure, Reading& reading) {
  Outcome& outcome = reading.trace.outcome;
  if (body.is_array()) {  // Google answers a failed stream with a list of one
    for (const JsonMember element : body) {
      if (element.value.is_object()) read_error(element.value, is_failure, reading);
      return;
    }
  }
  const JsonValue error = body.find("error");
  if (error.is_object() && !error.is_empty()) {
    outcome.failed = true;
    read_error_object(error, reading);
    return;
  }
  if (error.is_string() && !error.word().empty()) {
    outcome.failed = true;
    set_type(outcome, body.find("error_type").word());
    set_if_empty(outcome.error_message, reading.text(error));
    return;
  }
  if (!is_failure) return;
  outcome.failed = true;
  set_type(outcome, aws_type(body.find("__type").word()));
  set_type(outcome, body.find("type").word());
  for (const Text key : {"message", "Message", "detail", "errors", "msg"}) {
    const JsonValue message = body.find(key);
    if (message.is_present()) {
      set_if_empty(outcome.error_message, reading.text_or_json(message));
      return;
    }
  }
}

void settle_end_of_stream(Trace& trace) noexcept {
  // Of the APIs whose answers have a status, these are no end.
  const auto is_end = [](Text reason) {
    return !reason.empty() && reason != "in_progress" && reason != "queued";
  };
  const auto& reasons = trace.finish_reasons;
  trace.outcome.cut = std::none_of(reasons.begin(), reasons.end(), is_end);
}

void settle_outcome(Trace& trace, Arena& arena) {
  Outcome& outcome = trace.outcome;
  const bool said_error =
      std::any_of(trace.finish_reasons.begin(), trace.finish_reasons.end(), is_error_reason);
  if (outcome.http_status >= 400 || !outcome.error_type.empty() || outcome.aborted || said_error) {
    outcome.failed = true;
  }
  outcome.cut = outcome.cut && !outcome.failed;  // else it is known why
  outcome.failed = outcome.failed || outcome.cut;
  const bool is_call = trace.kind == TraceKind::kLlm && !trace.is_explicit_span;
  const bool has_come_in_part = outcome.failed && !trace.output_messages.empty();
  if (is_call && (outcome.aborted || outcome.cut || has_come_in_part)) {
    settle_finish_reasons(trace);
  }
  if (!outcome.failed || !outcome.error_type.empty()) return;
  if (outcome.http_status >= 400) {
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, outcome.http_status);
    outcome.error_type = arena.copy({digits, static_cast<std::size_t>(end.ptr - digits)});
  } else {
    outcome.error_type = outcome.aborted ? Text("client_disconnected")
                         : outcome.cut   ? Text("stream_cut")
                                         : Text("_OTHER");
  }
}

}  // namespace sidecast
