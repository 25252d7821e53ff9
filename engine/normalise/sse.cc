#include "engine/normalise/sse.h"

#include <cstring>

namespace sidecast {
namespace {

bool starts_with(Text text, Text prefix) noexcept {
  return text.substr(0, prefix.size()) == prefix;
}

Text without_byte_order_mark(Text text) noexcept {
  return starts_with(text, "\xEF\xBB\xBF") ? text.substr(3) : text;
}

struct Line {
  Text field;
  Text value;
  bool is_blank;
};

Line split(Text line) noexcept {
  const std::size_t colon = line.find(':');
  Text value = colon == Text::npos ? Text() : line.substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  return {line.substr(0, colon), value, line.empty()};
}

}  // namespace

SseReader::SseReader(Text stream) noexcept
    : rest_(without_byte_order_mark(stream)),
      newline_(rest_.find('\n') == Text::npos ? '\r' : '\n') {}

Text SseReader::take_line() noexcept {
  const std::size_t end = rest_.find(newline_);
  Text line = rest_.substr(0, end);
  rest_ = end == Text::npos ? Text() : rest_.substr(end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

std::optional<SseEvent> SseReader::next(Arena& arena) {
  SseEvent event;
  std::size_t data_lines = 0;
  Text lines = rest_;  // those of the event, once its first data line was seen
  while (!rest_.empty()) {
    const Text from = rest_;
    const Line line = split(take_line());
    if (line.is_blank) {
      if (data_lines > 0) break;
      event = {};
    } else if (line.field == "event") {
      event.name = line.value;
    } else if (line.field == "data") {
      if (data_lines++ == 0) {
        lines = from;
        event.data = line.value;
      }
    }
  }
  if (data_lines == 0) return std::nullopt;
  if (data_lines > 1) {
    lines.remove_suffix(rest_.size());
    event.data = join_data(lines, arena);
  }
  return event;
}

// Once per event and in one go: an event of many lines costs no more than its bytes.
Text SseReader::join_data(Text lines, Arena& arena) const {
  char* const joined = arena.allocate(lines.size());
  std::size_t size = 0;
  SseReader reader(lines);
  reader.newline_ = newline_;
  while (!reader.rest_.empty()) {
    const Line line = split(reader.take_line());
    if (line.field != "data") continue;
    if (size > 0) joined[size++] = '\n';
    if (!line.value.empty()) std::memcpy(joined + size, line.value.data(), line.value.size());
    size += line.value.size();
  }
  return {joined, size};
}

bool looks_like_sse(Text text) noexcept {
  text = without_byte_order_mark(text);
  while (!text.empty() && (text.front() == '\n' || text.front() == '\r')) text.remove_prefix(1);
  for (const Text field : {"data:", "event:", ":", "id:", "retry:"}) {
    if (starts_with(text, field)) return true;
  }
  return false;
}

}  // namespace sidecast
