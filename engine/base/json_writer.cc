#include "engine/base/json_writer.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

namespace sidecast {
namespace {

// 0: as it is; 'u': \u00XX; else the letter after the backslash.
constexpr std::array<char, 256> make_escapes() {
  std::array<char, 256> escapes{};
  for (std::size_t i = 0; i < 0x20; ++i) escapes[i] = 'u';
  escapes['"'] = '"';
  escapes['\\'] = '\\';
  escapes['\b'] = 'b';
  escapes['\f'] = 'f';
  escapes['\n'] = 'n';
  escapes['\r'] = 'r';
  escapes['\t'] = 't';
  return escapes;
}
constexpr std::array<char, 256> kEscapes = make_escapes();

// Index of the first byte at or after `from` that needs an escape, or the size. Eight bytes a step:
// bodies are mostly plain text, and this runs over every byte of them. A byte of `flags` has its
// upper bit set where the text's byte is below 0x20, a quote or a backslash; borrows can set it for
// a byte after such a one too, never before, so the first is exact.
std::size_t find_escape(Text text, std::size_t from) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
  constexpr std::uint64_t kUpper = 0x8080808080808080ULL;
  for (; text.size() - from >= 8; from += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + from, 8);
    const std::uint64_t quote = word ^ (kOnes * '"');
    const std::uint64_t backslash = word ^ (kOnes * '\\');
    const std::uint64_t flags = (((word - kOnes * 0x20) & ~word) | ((quote - kOnes) & ~quote) |
                                 ((backslash - kOnes) & ~backslash)) &
                                kUpper;
    if (flags != 0) return from + static_cast<std::size_t>(std::countr_zero(flags)) / 8;
  }
  while (from < text.size() && kEscapes[static_cast<unsigned char>(text[from])] == 0) ++from;
  return from;
}

template <typename Number>
void append_number(ByteBuffer& out, Number value) {
  char* const room = out.reserve(32);
  const auto end = std::to_chars(room, room + 32, value);
  out.advance(static_cast<std::size_t>(end.ptr - room));
}

}  // namespace

void append_json_escaped(ByteBuffer& out, Text text) {
  static_assert(std::endian::native == std::endian::little, "find_escape counts from the low end");
  std::size_t run = 0;  // first byte not yet written
  while (true) {
    const std::size_t at = find_escape(text, run);
    out.append(text.substr(run, at - run));
    if (at == text.size()) return;
    run = at + 1;
    const auto byte = static_cast<unsigned char>(text[at]);
    const char escape = kEscapes[byte];
    if (escape == 'u') {
      static constexpr char kDigits[] = "0123456789abcdef";
      const char sequence[] = {'\\', 'u', '0', '0', kDigits[byte >> 4U], kDigits[byte & 0xFU]};
      out.append({sequence, sizeof sequence});
    } else {
      const char sequence[] = {'\\', escape};
      out.append({sequence, sizeof sequence});
    }
  }
}

void JsonWriter::separate() {
  if (need_comma_) out_.push_back(',');
  need_comma_ = true;
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  out_.push_back(bracket);
  need_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  out_.push_back(bracket);
  need_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::key(Text name) {
  string(name);
  out_.push_back(':');
  need_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::string(Text value) {
  separate();
  out_.push_back('"');
  append_json_escaped(out_, value);
  out_.push_back('"');
  return *this;
}

JsonWriter& JsonWriter::integer(std::int64_t value) {
  separate();
  append_number(out_, value);
  return *this;
}

JsonWriter& JsonWriter::unsigned_integer(std::uint64_t value) {
  separate();
  append_number(out_, value);
  return *this;
}

JsonWriter& JsonWriter::number(double value) {
  if (!std::isfinite(value)) return null();
  separate();
  append_number(out_, value);
  return *this;
}

JsonWriter& JsonWriter::boolean(bool value) {
  return raw(value ? "true" : "false");
}

JsonWriter& JsonWriter::null() {
  return raw("null");
}

JsonWriter& JsonWriter::raw(Text json) {
  separate();
  out_.append(json);
  return *this;
}

}  // namespace sidecast
