#include "engine/normalise/body.h"

#include "engine/base/utf8.h"

namespace sidecast {
namespace {

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
  lines_ = {};
  if (array_) {
    element_.emplace(array_.begin());
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
  }
  return sse_ ? sse_->next(reading_.arena) : std::nullopt;
}

std::optional<StreamEvent> StreamReader::next() {
  if (array_) {
    if (*element_ == array_.end()) return std::nullopt;
    const JsonValue element = (**element_).value;
    ++*element_;
    return StreamEvent{{}, element};
  }
  while (const std::optional<SseEvent> event = next_payload()) {
    if (event->data.empty() || event->data == "[DONE]") continue;
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
