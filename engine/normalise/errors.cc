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

void read_error_object(JsonValue error, Reading& reading) {
  Outcome& outcome = reading.trace.outcome;
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

void settle_outcome(Outcome& outcome, Arena& arena) {
  if (outcome.http_status >= 400 || !outcome.error_type.empty() || outcome.aborted) {
    outcome.failed = true;
  }
  if (!outcome.failed || !outcome.error_type.empty()) return;
  if (outcome.http_status >= 400) {
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, outcome.http_status);
    outcome.error_type = arena.copy({digits, static_cast<std::size_t>(end.ptr - digits)});
  } else {
    outcome.error_type = outcome.aborted ? Text("client_disconnected") : Text("_OTHER");
  }
}

}  // namespace sidecast
