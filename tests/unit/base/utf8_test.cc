#include "engine/base/utf8.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace sidecast {
namespace {

constexpr Text kEuro = "\xE2\x82\xAC";
constexpr Text kSmile = "\xF0\x9F\x98\x80";

TEST(Utf8, TellsValidFromInvalid) {
  EXPECT_TRUE(is_valid_utf8(""));
  EXPECT_TRUE(is_valid_utf8("plain text that is longer than a word"));
  EXPECT_TRUE(is_valid_utf8(kEuro));
  EXPECT_TRUE(is_valid_utf8(kSmile));
  EXPECT_TRUE(is_valid_utf8(Text("\0", 1)));
}

// Table 3-7 of the Unicode Standard, one case per way to be wrong.
TEST(Utf8, HostileSequencesAreInvalid) {
  constexpr Text kBad[] = {"\x80",              // continuation without a start
                           "\xC0\xAF",          // overlong
                           "\xE0\x80\xAF",      // overlong
                           "\xF0\x80\x80\xAF",  // overlong
                           "\xED\xA0\x80",      // surrogate
                           "\xF4\x90\x80\x80",  // above U+10FFFF
                           "\xF5\x80\x80\x80",
                           "\xFF",
                           "\xE2\x82",
                           "\xF0\x9F\x98",
                           "\xC3"};
  for (const Text bad : kBad) {
    EXPECT_FALSE(is_valid_utf8(bad)) << to_hex(bad);
    EXPECT_FALSE(is_valid_utf8(std::string("0123456789") + std::string(bad))) << to_hex(bad);
    EXPECT_FALSE(is_valid_utf8(std::string(bad) + "0123456789")) << to_hex(bad);
  }
}

TEST(Utf8, ValidTextIsReturnedAsItIs) {
  Arena arena;
  const Text text = kSmile;
  EXPECT_EQ(to_valid_utf8(text, arena).data(), text.data()) << "no copy";
}

TEST(Utf8, InvalidBytesAreReplacedAndTheRestKept) {
  Arena arena;
  EXPECT_EQ(to_valid_utf8("a\xFF"
                          "b\xC3",
                          arena),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
}

RC_GTEST_PROP(Utf8, WhateverComesInWhatGoesOutIsValid, (const std::string& bytes)) {
  Arena arena;
  const Text text = to_valid_utf8(bytes, arena);
  RC_ASSERT(is_valid_utf8(text));
  RC_ASSERT(is_valid_utf8(bytes) == (text == bytes));
}

RC_GTEST_PROP(Utf8, APrefixNeverCutsACharacter, ()) {
  const auto pieces = *rc::gen::container<std::vector<Text>>(
      rc::gen::element<Text>("a", "\xC3\xA4", kEuro, kSmile));
  std::string text;
  for (const Text piece : pieces) text += piece;
  const auto bytes_max = *rc::gen::inRange<std::size_t>(0, text.size() + 2);
  const Text prefix = utf8_prefix(text, bytes_max);
  RC_ASSERT(prefix.size() <= bytes_max);
  RC_ASSERT(is_valid_utf8(prefix));
  RC_ASSERT(text.compare(0, prefix.size(), prefix) == 0);
  // As long as it can be: the next character would not fit.
  RC_ASSERT(prefix.size() == text.size() || prefix.size() + 4 > bytes_max);
}

}  // namespace
}  // namespace sidecast
