#include "engine/normalise/json.h"

#include <string>

#include <gtest/gtest.h>

namespace sidecast {
namespace {

class Json : public testing::Test {
 protected:
  JsonStatus parse(Text text) { return parser_.parse(text, document_); }
  JsonValue root() { return document_.root(); }

  Arena arena_;
  JsonParser parser_;
  JsonDocument document_;
};

TEST_F(Json, ValuesAreViewsIntoTheText) {
  const std::string text = R"( {"a": [1, {"b": "c"} ], "d": "plain" } )";
  ASSERT_EQ(parse(text), JsonStatus::kOk);
  EXPECT_EQ(root().find("a").raw(), R"([1, {"b": "c"} ])");
  const Text plain = root().find("d").string(arena_);
  EXPECT_EQ(plain, "plain");
  EXPECT_EQ(plain.data(), text.data() + text.find("plain"));
}

TEST_F(Json, MembersAndElementsComeInOrder) {
  ASSERT_EQ(parse(R"({"x":{"y":[{},[],""]},"z":null,"w":[true,-1.5e3]})"), JsonStatus::kOk);
  std::string seen;
  for (const JsonMember member : root()) seen += std::string(member.key) + " ";
  for (const JsonMember element : root().find("x", "y")) {
    seen += std::string(element.value.raw()) + " ";
  }
  EXPECT_EQ(seen, "x z w {} [] \"\" ");
  EXPECT_FALSE(root().find("z").is_present());
  EXPECT_FALSE(root().find("nothing"));
  EXPECT_TRUE(root().find("x", "nothing").raw().empty());
}

TEST_F(Json, TheLastOfEqualKeysCounts) {
  ASSERT_EQ(parse(R"({"a":1,"b":0,"a":2})"), JsonStatus::kOk);
  EXPECT_EQ(root().find("a").integer(), 2);
}

TEST_F(Json, EscapesAreUndone) {
  ASSERT_EQ(parse(R"(["\"\\\/\b\f\n\r\t","\u00e4\u20ac\ud83d\ude00","\u0000"])"), JsonStatus::kOk);
  std::string all;
  for (const JsonMember element : root()) all += element.value.string(arena_);
  EXPECT_EQ(all, std::string("\"\\/\b\f\n\r\tä€😀\0", 8 + 2 + 3 + 4 + 1));
}

TEST_F(Json, NumbersThatDoNotFitAreNothing) {
  ASSERT_EQ(parse("[9223372036854775807,9223372036854775808,1e999,1.0,1.5,-0]"), JsonStatus::kOk);
  std::vector<std::optional<std::int64_t>> integers;
  for (const JsonMember element : root()) integers.push_back(element.value.integer());
  const std::vector<std::optional<std::int64_t>> expected = {
      9223372036854775807, std::nullopt, std::nullopt, 1, std::nullopt, 0};
  EXPECT_EQ(integers, expected);
}

TEST_F(Json, HostileGrammarIsRefused) {
  for (const Text text : {"",
                          " ",
                          "{",
                          "}",
                          "[1,]",
                          "[,1]",
                          "{\"a\"}",
                          "{\"a\":}",
                          "{\"a\":1,}",
                          "{1:2}",
                          "[1 2]",
                          "[1]]",
                          "[1][2]",
                          "{]",
                          "[}",
                          "tru",
                          "truefalse",
                          "nul",
                          "01",
                          "1.",
                          ".5",
                          "-",
                          "+1",
                          "1e",
                          "0x10",
                          "NaN",
                          "\"",
                          "\"abc",
                          "\"\\x\"",
                          "\"\\u12g4\"",
                          "\"\\u12\"",
                          "\"a\" \"b\"",
                          "\"tab\there\"",
                          "{\"a\":1 \"b\":2}",
                          "'a'",
                          "\"a\"b"}) {
    EXPECT_EQ(parse(text), JsonStatus::kInvalid) << text;
    EXPECT_FALSE(root().is_present()) << text;
  }
}

TEST_F(Json, HostileEncodingIsToldApart) {
  EXPECT_EQ(parse("[\"\xFF\"]"), JsonStatus::kNotUtf8);
  EXPECT_EQ(parse("[\"\xED\xA0\x80\"]"), JsonStatus::kNotUtf8);
}

TEST_F(Json, HostileNestingIsRefusedInBoundedTime) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(parse(nested(JsonParser::kDepthMax)), JsonStatus::kOk);
  EXPECT_EQ(parse(nested(JsonParser::kDepthMax + 1)), JsonStatus::kInvalid);
  EXPECT_EQ(parse(nested(2'000'000)), JsonStatus::kInvalid);
}

TEST_F(Json, HostileLoneSurrogatesBecomeReplacementCharacters) {
  const Text text = R"(["\ud800","a\udc00b","\ud83d\ude00","\ud800\u0041"])";
  ASSERT_EQ(parse(text), JsonStatus::kOk);
  EXPECT_TRUE(document_.findings().has_lone_surrogate);
  std::string all;
  for (const JsonMember element : root()) all += element.value.string(arena_);
  EXPECT_EQ(all, "\uFFFDa\uFFFDb😀\uFFFDA");
  EXPECT_EQ(rewrite_escapes(text, arena_), R"(["\ufffd","a\ufffdb","\ud83d\ude00","\ufffdA"])");
}

TEST_F(Json, HostileEscapesThatHideADataUrlAreFound) {
  const Text text = R"({"a":"\u0064ata:image/png\u003bbase64,iVBO"})";
  ASSERT_EQ(parse(text), JsonStatus::kOk);
  EXPECT_TRUE(document_.findings().has_hidden_media);
  EXPECT_EQ(rewrite_escapes(text, arena_), R"({"a":"data:image/png;base64,iVBO"})");
}

TEST_F(Json, AHugeBodyIsFollowedByAnOrdinaryOne) {
  const std::string huge = "[\"" + std::string(3U << 20U, 'x') + "\"]";
  ASSERT_EQ(parse(huge), JsonStatus::kOk);
  ASSERT_EQ(parse("[1]"), JsonStatus::kOk);
  EXPECT_EQ((*root().begin()).value.integer(), 1);
}

}  // namespace
}  // namespace sidecast
