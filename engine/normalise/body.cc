#include "engine/normalise/body.h"

#include "engine/base/json_writer.h"
#include "engine/base/utf8.h"

namespace sidecast {
namespace {

// "throttlingException" and the like name an event of AWS's that is an error.
bool is_exception(Text name) noexcept {
  constexpr Text kException = "Exception";
  return name.size() > kException.size() &&
         name.substr(name.size() - kException.size()) == kException;
}

// OpenAI's word for the end of a stream, which others took over.
constexpr Text kDone = "[DONE]";

Text trim(Text text) noexcept {
  constexpr Text kSpace = " \n\r\t";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == Text::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

bool Body::load(Bytes bytes, JsonParser& parser, Arena& arena) {
  text = trim(bytes);
  JsonStatus status = parser.parse(text, json);
  if (status != JsonStatus::kOk) {
    // simdjson stops at its first finding, which need not be the encoding.
    const Text valid = to_valid_utf8(text, arena);
    if (status == JsonStatus::kNotUtf8) status = parser.parse(valid, json);
    text = valid;
  }
  const JsonDocument::Findings& findings = json.findings();
  if (status == JsonStatus::kOk && (findings.has_lone_surrogate || findings.has_hidden_media)) {
    text = rewrite_escapes(text, arena);
    status = parser.parse(text, json);
  }
  media.find(text);
  return status == JsonStatus::kOk;
}

StreamReader::StreamReader(Bytes stream, JsonParser& parser, Body& body, Reading& reading)
    : stream_(stream), parser_(parser), body_(body), reading_(reading) {
  rewind();
}

StreamReader::StreamReader(JsonValue array, JsonParser& parser, Body& body, Reading& reading)
    : array_(array), parser_(parser), body_(body), reading_(reading) {
  rewind();
}

void StreamReader::rewind() {
  sse_.reset();
  aws_.reset();
  lines_ = {};
  has_ended_ = false;
  if (array_) {
    element_.emplace(array_.begin());
  } else if (looks_like_event_stream(stream_)) {
    aws_.emplace(stream_);
  } else if (looks_like_sse(stream_)) {
    sse_.emplace(stream_);
  } else {
    lines_ = stream_;
  }
}

std::optional<SseEvent> StreamReader::next_payload() {
  while (!lines_.empty()) {
    const std::size_t end = lines_.find('\n');
    const Text line = lines_.substr(0, end);
    lines_ = end == Text::npos ? Text() : lines_.substr(end + 1);
    if (line.find('{') != Text::npos) return SseEvent{{}, line};
    has_ended_ = has_ended_ || line.find(kDone) != Text::npos;
  }
  if (aws_) {
    const std::optional<AwsEvent> event = aws_->next(reading_.arena);
    if (!event) return std::nullopt;
    if (!event->is_error) return SseEvent{event->name, event->payload};
    return SseEvent{"error", error_of(event->name, event->payload, event->error_message)};
  }
  if (!sse_) return std::nullopt;
  std::optional<SseEvent> event = sse_->next(reading_.arena);
  if (event && is_exception(event->name)) {
    *event = {"error", error_of(event->name, event->data, {})};
  }
  return event;
}

Text StreamReader::error_of(Text exception, Text payload, Text message) const {
  ByteBuffer text;
  JsonWriter out(text);
  const Text object = trim(payload);
  out.begin_object().key("type").string("error").key("error").begin_object();
  out.key("type").string(to_valid_utf8(exception, reading_.arena));
  if (!message.empty()) out.key("message").string(to_valid_utf8(message, reading_.arena));
  if (object.size() > 2 && object.front() == '{') {
    text.append(",");
    text.append(object.substr(1));
    text.append("}");
  } else {
    out.end_object().end_object();
  }
  return reading_.arena.copy(text.view());
}

std::optional<StreamEvent> StreamReader::next() {
  if (array_) {
    if (*element_ == array_.end()) return std::nullopt;
    const JsonValue element = (**element_).value;
    ++*element_;
    return StreamEvent{{}, element};
  }
  while (const std::optional<SseEvent> event = next_payload()) {
    const bool is_done = trim(event->data) == kDone;
    has_ended_ = has_ended_ || is_done || event->name == "message_stop";
    if (event->data.empty() || is_done) continue;
    if (!body_.load(event->data, parser_, reading_.arena)) {
      // Some servers forget the blank line between events: then each line is one.
      if (event->data.find('\n') != Text::npos) lines_ = event->data;
      continue;
    }
    reading_.media = &body_.media;
    return StreamEvent{event->name, body_.root()};
  }
  return std::nullopt;
}

bool StreamReader::is_json(Text text) {
  return parser_.parse(text, body_.json) == JsonStatus::kOk;
}

}  // namespace sidecast
