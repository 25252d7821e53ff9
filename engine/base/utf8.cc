#include "engine/base/utf8.h"

#include <cstdint>

namespace sidecast {
namespace {

unsigned char at(Text text, std::size_t index) {
  return static_cast<unsigned char>(text[index]);
}

// Bytes of the valid character at `index`, or 0. Table 3-7 of the Unicode Standard: no overlong
// forms, no surrogates, nothing above U+10FFFF.
std::size_t character_size(Text text, std::size_t index) noexcept {
  const unsigned char first = at(text, index);
  if (first < 0x80) return 1;
  std::size_t size = 0;
  unsigned char second_min = 0x80;
  unsigned char second_max = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    size = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    size = 3;
    if (first == 0xE0) second_min = 0xA0;
    if (first == 0xED) second_max = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    size = 4;
    if (first == 0xF0) second_min = 0x90;
    if (first == 0xF4) second_max = 0x8F;
  } else {
    return 0;
  }
  if (text.size() - index < size) return 0;
  if (at(text, index + 1) < second_min || at(text, index + 1) > second_max) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if ((at(text, index + i) & 0xC0U) != 0x80U) return 0;
  }
  return size;
}

// Index of the first invalid byte, or the size.
std::size_t valid_prefix(Text text) noexcept {
  std::size_t index = 0;
  while (index < text.size()) {
    // Eight ASCII bytes at a time: most text is ASCII.
    if (text.size() - index >= 8) {
      std::uint64_t word = 0;
      __builtin_memcpy(&word, text.data() + index, 8);
      if ((word & 0x8080808080808080ULL) == 0) {
        index += 8;
        continue;
      }
    }
    const std::size_t size = character_size(text, index);
    if (size == 0) return index;
    index += size;
  }
  return index;
}

constexpr Text kReplacement = "\xEF\xBF\xBD";

}  // namespace

bool is_valid_utf8(Text text) noexcept {
  return valid_prefix(text) == text.size();
}

Text to_valid_utf8(Text text, Arena& arena) {
  std::size_t valid = valid_prefix(text);
  if (valid == text.size()) return text;
  // Each invalid byte becomes three: the worst case is known, so one allocation is enough.
  char* const out = arena.allocate(text.size() * kReplacement.size());
  std::size_t size = 0;
  while (true) {
    std::memcpy(out + size, text.data(), valid);
    size += valid;
    text.remove_prefix(valid);
    if (text.empty()) return {out, size};
    std::memcpy(out + size, kReplacement.data(), kReplacement.size());
    size += kReplacement.size();
    text.remove_prefix(1);
    valid = valid_prefix(text);
  }
}

Text utf8_prefix(Text text, std::size_t bytes_max) noexcept {
  if (text.size() <= bytes_max) return text;
  std::size_t size = bytes_max;
  while (size > 0 && (at(text, size) & 0xC0U) == 0x80U) --size;
  return text.substr(0, size);
}

}  // namespace sidecast
