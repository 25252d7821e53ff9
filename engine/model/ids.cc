#include "engine/model/ids.h"

#include <algorithm>
#include <cstring>

#include "engine/base/sha256.h"

namespace sidecast {
namespace {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

template <typename Id>
std::optional<Id> parse_hex(Text text) noexcept {
  Id id;
  if (text.size() != id.bytes.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    const int high = hex_digit(text[2 * i]);
    const int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes[i] = static_cast<unsigned char>(high * 16 + low);
  }
  if (id.is_zero()) return std::nullopt;
  return id;
}

template <typename Id>
Id hash_id(Text text) noexcept {
  const Sha256 digest = sha256(text);
  Id id;
  std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
  if (id.is_zero()) id.bytes.back() = 1;  // an all-zero id is invalid in OTLP
  return id;
}

}  // namespace

TraceId hash_trace_id(Text text) noexcept {
  return hash_id<TraceId>(text);
}
SpanId hash_span_id(Text text) noexcept {
  return hash_id<SpanId>(text);
}

std::optional<TraceId> parse_trace_id(Text text) noexcept {
  if (text.size() == 36) {
    std::array<char, 32> digits{};
    std::size_t count = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool dash_here = i == 8 || i == 13 || i == 18 || i == 23;
      if (dash_here != (text[i] == '-')) return std::nullopt;
      if (!dash_here) digits[count++] = text[i];
    }
    return parse_hex<TraceId>({digits.data(), digits.size()});
  }
  return parse_hex<TraceId>(text);
}

std::optional<SpanId> parse_span_id(Text text) noexcept {
  return parse_hex<SpanId>(text);
}

}  // namespace sidecast
