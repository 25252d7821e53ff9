// Our JSON, read by nlohmann-json.
#include "engine/base/json_writer.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <rapidcheck/gtest.h>

namespace sidecast {
namespace {

using nlohmann::json;

TEST(JsonWriter, NestsAndSeparates) {
  ByteBuffer out;
  JsonWriter writer(out);
  writer.begin_object();
  writer.key("empty").begin_object().end_object();
  writer.key("list").begin_array().integer(1).string("two").null().begin_array().end_array();
  writer.end_array();
  writer.key("flag").boolean(true);
  writer.key("raw").raw("{\"a\":1}");
  writer.key("last").unsigned_integer(std::numeric_limits<std::uint64_t>::max());
  writer.end_object();
  EXPECT_EQ(out.view(), R"({"empty":{},"list":[1,"two",null,[]],"flag":true,"raw":{"a":1},)"
                        R"("last":18446744073709551615})");
}

TEST(JsonWriter, EscapesWhatJsonForbids) {
  ByteBuffer out;
  JsonWriter(out).string(std::string_view("\"\\/\b\f\n\r\t\x00\x1f\x7f", 11));
  EXPECT_EQ(out.view(), "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\"");
}

TEST(JsonWriter, NumbersThatJsonLacksBecomeNull) {
  ByteBuffer out;
  JsonWriter writer(out);
  writer.begin_array().number(std::nan("")).number(HUGE_VAL).number(0.1).end_array();
  EXPECT_EQ(out.view(), "[null,null,0.1]");
}

RC_GTEST_PROP(JsonWriter, StringsComeBackWhateverIsInThem, ()) {
  // ASCII with many characters that need an escape, at every offset within a word.
  const auto text = *rc::gen::container<std::string>(rc::gen::oneOf(
      rc::gen::inRange<char>(0, 127), rc::gen::element('"', '\\', '\n', 'a', 'b', 'c')));
  const std::string with_umlauts = text + "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80" + text;
  for (const std::string& value : {text, with_umlauts}) {
    ByteBuffer out;
    JsonWriter(out).string(value);
    RC_ASSERT(json::parse(out.view()).get<std::string>() == value);
  }
}

RC_GTEST_PROP(JsonWriter, NumbersComeBackExactly, (std::int64_t integer, double number)) {
  ByteBuffer out;
  JsonWriter writer(out);
  writer.begin_array().integer(integer).number(number).end_array();
  const json read = json::parse(out.view());
  RC_ASSERT(read[0].get<std::int64_t>() == integer);
  RC_ASSERT(read[1].get<double>() == number);
}

}  // namespace
}  // namespace sidecast
