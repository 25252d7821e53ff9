// Bodies that are not what they claim to be: valid UTF-8 out, never a lost record, bounded time.
#include <random>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/base/utf8.h"
#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class Hostile : public testing::Test, public RecordFixture {
 protected:
  void expect_fit_to_leave(const Trace& trace) {
    for (const Text text :
         {trace.input_value, trace.output_value, trace.parameters.json, trace.model_served,
          trace.outcome.error_message, trace.identity.user_id}) {
      EXPECT_TRUE(is_valid_utf8(text));
      EXPECT_EQ(text.find(";base64,"), Text::npos);
    }
    for (const auto* messages : {&trace.input_messages, &trace.output_messages}) {
      for (const Message& message : *messages) {
        EXPECT_TRUE(is_valid_utf8(message.role));
        for (const Part& part : message.parts) {
          EXPECT_TRUE(is_valid_utf8(part.text));
          EXPECT_TRUE(is_valid_utf8(part.name));
          EXPECT_TRUE(is_valid_utf8(part.signature));
        }
      }
    }
    // Judged by a parser that is not ours.
    const auto is_json = [](Text text) { return nlohmann::json::accept(text.begin(), text.end()); };
    EXPECT_TRUE(!trace.input_is_json || is_json(trace.input_value)) << trace.input_value;
    EXPECT_TRUE(!trace.output_is_json || is_json(trace.output_value)) << trace.output_value;
    EXPECT_TRUE(trace.parameters.json.empty() || is_json(trace.parameters.json));
    for (const Tool& tool : trace.tools) EXPECT_TRUE(is_json(tool.json)) << tool.json;
  }

  const std::string request_ =
      R"({"model":"m","user":"ü","messages":[{"role":"user","content":[{"type":"text","text":"\u00e4\n"},)"
      R"({"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]}],"tools":[{"name":"f"}]})";
  const std::string stream_ =
      "data: "
      "{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{"
      "\"content\":\"hä\"}}]}\r\n\r\n"
      "data: "
      "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t\","
      "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}}]}}]}\n\n"
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n";
  const std::string answer_ =
      R"({"type":"message","role":"assistant","content":[{"type":"text","text":"h\u00e4"},{"type":"tool_use","id":"t","name":"f","input":{"a":[1,2]}}],"usage":{"input_tokens":3}})";
};

TEST_F(Hostile, BodiesCutAnywhereAreReadAsFarAsTheyGo) {
  for (const std::string& body : {request_, stream_, answer_}) {
    for (std::size_t size = 0; size <= body.size(); ++size) {
      const std::string cut = body.substr(0, size);
      expect_fit_to_leave(normalise(cut, cut));
    }
  }
}

TEST_F(Hostile, BodiesWithBytesChangedAreReadAsFarAsTheyGo) {
  std::mt19937 random(20240607);  // NOLINT(bugprone-random-generator-seed): repeatable
  for (int round = 0; round < 20'000; ++round) {
    std::string body = round % 3 == 0 ? request_ : round % 3 == 1 ? stream_ : answer_;
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
      static constexpr Text kNasty("{}[]\",:\\\n\r\0\xFF\xC3u0d;base64,", 25);
      body[random() % body.size()] =
          random() % 2 == 0 ? kNasty[random() % kNasty.size()] : static_cast<char>(random());
    }
    expect_fit_to_leave(normalise(body, body));
  }
}

TEST_F(Hostile, TextThatIsNotUtf8IsMendedAndUnderstoodAllTheSame) {
  const Trace trace = normalise(
      "{\"messages\":[{\"role\":\"user\",\"content\":\"a\xFF"
      "b\"}]}",
      "");
  ASSERT_EQ(trace.input_messages.size(), 1U);
  EXPECT_EQ(trace.input_messages[0].parts.at(0).text, "a\uFFFDb");
  EXPECT_TRUE(trace.input_is_json);
}

TEST_F(Hostile, LoneSurrogatesDoNotLeave) {
  const Trace trace = normalise(R"({"messages":[{"role":"user","content":"a\ud800b"}]})", "");
  EXPECT_EQ(trace.input_messages.at(0).parts.at(0).text, "a\uFFFDb");
  EXPECT_EQ(trace.input_value, R"({"messages":[{"role":"user","content":"a\ufffdb"}]})");
}

TEST_F(Hostile, HiddenDataUrlsAreScrubbed) {
  const Trace trace = normalise(
      R"({"messages":[{"role":"user","content":"data:image/png\u003bbase64,iVBORw0KGgo="}]})", "");
  EXPECT_EQ(trace.input_messages.at(0).parts.at(0).text, "[image/png, 12 bytes left out]");
  EXPECT_EQ(trace.input_value.find("iVBO"), Text::npos);
}

TEST_F(Hostile, DeepNestingStaysText) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  const Trace trace = normalise(deep, deep);
  EXPECT_FALSE(trace.input_is_json);
  EXPECT_EQ(trace.input_value, deep);
  EXPECT_EQ(trace.output_value, deep);
}

TEST_F(Hostile, HugeNumbersAreNoUsage) {
  const Trace trace = normalise(
      "",
      R"({"object":"chat.completion","choices":[],"usage":{"prompt_tokens":9223372036854775807,"completion_tokens":-5,"total_tokens":1e400,"cost":1e400}})");
  EXPECT_FALSE(trace.usage.input);
  EXPECT_FALSE(trace.usage.output);
  EXPECT_FALSE(trace.usage.total);
  EXPECT_FALSE(trace.cost.total);
}

TEST_F(Hostile, ValuesOfTheWrongTypeAreNothing) {
  const Trace trace = normalise(
      R"({"model":5,"messages":{"a":1},"tools":"x","temperature":"hot","stop":7,"stream":"yes","user":[],"trace":"t"})",
      R"({"object":"chat.completion","id":[],"choices":[1,null,{"message":"text"},{"message":{"content":5,"tool_calls":{"a":1}}}],"usage":[1]})");
  EXPECT_TRUE(trace.input_messages.empty());
  EXPECT_FALSE(trace.parameters.temperature);
  EXPECT_EQ(trace.response_id, "");
  expect_fit_to_leave(trace);
}

TEST_F(Hostile, AJsonScalarOrAnEmptyBodyIsNoAnswer) {
  for (const Text body :
       {"null", "5", "\"text\"", "true", "[]", "{}", " ", "\n", "data:", "data: 5\n\n"}) {
    const Trace trace = normalise(body, body);
    EXPECT_TRUE(trace.output_messages.empty()) << body;
    expect_fit_to_leave(trace);
  }
}

}  // namespace
}  // namespace sidecast
