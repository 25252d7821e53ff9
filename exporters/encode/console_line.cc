#include "exporters/encode/console_line.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <iterator>
#include <string>

#include <fmt/format.h>

#include "engine/base/utf8.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/names.h"

namespace sidecast {
namespace {

constexpr std::size_t kExcerptBytes = 100;
constexpr std::size_t kFieldBytes = 120;
constexpr std::size_t kScannedBytes = 4 * kExcerptBytes;  // of a long text

// Of this code point a terminal makes something else than a character in its place: C0 and C1
// controls, line and paragraph separators, marks and overrides of direction, byte order marks.
bool is_unprintable(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
         (c >= 0xe0000 && c <= 0xe007f);
}

// Of valid UTF-8: the code point that `text` begins with, and how many bytes it has.
std::pair<char32_t, std::size_t> first_of(Text text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (size > text.size()) return {0xfeff, text.size()};
  char32_t point = size == 1 ? lead : lead & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) point = point << 6U | (byte(i) & 0x3fU);
  return {point, size};
}

// On one line, blanks made one, at most `bytes_max` bytes and an ellipsis.
std::string shown(Text text, std::size_t bytes_max) {
  std::string line;
  Text rest = utf8_prefix(text, kScannedBytes);
  const bool is_cut = rest.size() < text.size();
  while (!rest.empty()) {
    const auto [point, size] = first_of(rest);
    if (is_unprintable(point) || point == ' ') {
      if (!line.empty() && line.back() != ' ') line += ' ';
    } else {
      line += rest.substr(0, size);
    }
    rest.remove_prefix(size);
  }
  while (line.ends_with(' ')) line.pop_back();
  if (line.size() <= bytes_max) return is_cut ? line + "..." : line;
  line.resize(utf8_prefix(line, bytes_max).size());
  return line + "...";
}

Text said_in(const ArenaVector<Message>& messages, bool last) {
  const auto text_of = [](const Message& message) -> Text {
    for (const Part& part : message.parts) {
      if (!part.text.empty()) return part.text;
      if (!part.name.empty()) return part.name;
    }
    return {};
  };
  if (messages.empty()) return {};
  return text_of(last ? messages.back() : messages.front());
}

double seconds(Nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

class Line {
 public:
  explicit Line(const Trace& trace) : trace_(trace) {}

  std::string write(bool with_content) {
    write_time();
    write_call();
    write_numbers();
    write_ids();
    if (with_content) write_content();
    return std::move(line_);
  }

 private:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(line_), format, std::forward<Args>(args)...);
  }
  void add_field(Text text) {
    if (!text.empty()) add("  {}", shown(text, kFieldBytes));
  }

  void write_time() {
    const std::int64_t ns = unix_ns(trace_.start);
    const auto unix_seconds = static_cast<std::time_t>(ns / 1'000'000'000);
    std::tm utc{};
    std::array<char, 16> clock{};
    if (::gmtime_r(&unix_seconds, &utc) != nullptr) {
      std::strftime(clock.data(), clock.size(), "%H:%M:%S", &utc);
    }
    add("{}.{:03}Z", clock.data(), ns / 1'000'000 % 1000);
  }
  void write_call() {
    const Outcome& outcome = trace_.outcome;
    add(" {}", outcome.failed ? "ERROR" : outcome.aborted ? "abort" : "ok   ");
    if (trace_.is_explicit_span) {
      add_field(openinference_kind(trace_.kind));
      add_field(trace_.name);
    }
    add_field(model_of(trace_));
    if (!trace_.provider.empty()) add(" ({})", shown(trace_.provider, kFieldBytes));
  }
  void write_numbers() {
    add("  {:.2f} s", seconds(trace_.end - trace_.start));
    if (const auto first = time_to_first_token(trace_)) add(" (first {:.2f} s)", seconds(*first));
    if (trace_.usage.input || trace_.usage.output) {
      add("  {}+{} tok", trace_.usage.input.value_or(0), trace_.usage.output.value_or(0));
    }
    if (trace_.cost.total) add("  ${:.6g}", *trace_.cost.total);
    if (!trace_.finish_reasons.empty()) add_field(trace_.finish_reasons.front());
    if (!trace_.outcome.failed) return;
    if (trace_.outcome.http_status != 0) add("  HTTP {}", trace_.outcome.http_status);
    add_field(trace_.outcome.error_type);
  }
  void write_ids() {
    add_field(trace_.identity.account);
    if (!trace_.identity.session_id.empty()) {
      add("  session {}", shown(trace_.identity.session_id, kFieldBytes));
    }
    add_field(trace_.identity.generation_id);
    if (trace_.shed.happened) add("  (bodies shed)");
  }
  // Of what was asked, the end counts; of an answer, the beginning.
  void write_content() {
    Text asked = said_in(trace_.input_messages, true);
    if (asked.empty() && !trace_.prompts.empty()) asked = trace_.prompts.front();
    if (asked.empty()) asked = trace_.rerank_query;
    if (asked.empty()) asked = trace_.input_value;
    Text answered = said_in(trace_.output_messages, false);
    if (answered.empty()) answered = trace_.output_value;
    if (answered.empty()) answered = trace_.outcome.error_message;
    if (asked.empty() && answered.empty()) return;
    add("  \"{}\" -> \"{}\"", shown(asked, kExcerptBytes), shown(answered, kExcerptBytes));
  }

  const Trace& trace_;
  std::string line_;
};

}  // namespace

void encode_console_line(const Trace& trace, const SpanSet& /*set*/, ByteBuffer& out) {
  out.append(Line(trace).write(true));
}

void encode_console_line_without_content(const Trace& trace, const SpanSet& /*set*/,
                                         ByteBuffer& out) {
  out.append(Line(trace).write(false));
}

}  // namespace sidecast
