// Records that lost their bodies: what head and tail of the answer still tell, and nothing more.
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class ShedRecord : public testing::Test, public RecordFixture {
 protected:
  Trace shed(const std::string& answer) {
    head_ = answer.substr(0, 2048);
    tail_ =
        answer.size() > 6144 ? answer.substr(answer.size() - 4096) : answer.substr(head_.size());
    record.shed = true;
    record.request_bytes = 777;
    record.response_bytes = answer.size();
    record.response_head = head_;
    record.response_tail = tail_;
    return normalise();
  }
  std::string head_;
  std::string tail_;
};

TEST_F(ShedRecord, ModelUsageAndFinishReasonOfALongAnswerAreFound) {
  const Trace trace = shed(
      R"({"id":"1","object":"chat.completion","model":"gpt-x","choices":[{"message":{"content":")" +
      std::string(50'000, 'x') +
      R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16,"prompt_tokens_details":{"cached_tokens":3},"cost":0.5}})");
  EXPECT_EQ(trace.model_served, "gpt-x");
  EXPECT_EQ(trace.usage.input, 7);
  EXPECT_EQ(trace.usage.output, 9);
  EXPECT_EQ(trace.usage.cache_read, 3);
  EXPECT_EQ(trace.cost.total, 0.5);
  ASSERT_EQ(trace.finish_reasons.size(), 1U);
  EXPECT_EQ(trace.finish_reasons[0], "stop");
  EXPECT_TRUE(trace.shed.happened);
  EXPECT_EQ(trace.shed.request_bytes, 777U);
}

TEST_F(ShedRecord, HeadAndTailAreNeverContent) {
  const Trace trace = shed(R"({"model":"m","choices":[{"message":{"content":"canary"}}]})");
  EXPECT_EQ(trace.output_value, "");
  EXPECT_EQ(trace.input_value, "");
  EXPECT_TRUE(trace.output_messages.empty());
}

TEST_F(ShedRecord, AnthropicsStreamGivesTheSumOfBothEnds) {
  std::string stream =
      "event: message_start\ndata: "
      "{\"type\":\"message_start\",\"message\":{\"model\":\"claude\",\"usage\":"
      "{\"input_tokens\":10,\"cache_read_input_tokens\":90,\"output_tokens\":1}}}\n\n";
  for (int i = 0; i < 1000; ++i) stream += "data: {\"delta\":{\"text\":\"word\"}}\n\n";
  stream +=
      "data: "
      "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_"
      "tokens\":55}}\n\n";
  const Trace trace = shed(stream);
  EXPECT_EQ(trace.model_served, "claude");
  EXPECT_EQ(trace.usage.input, 100);
  EXPECT_EQ(trace.usage.output, 55);
  EXPECT_EQ(trace.finish_reasons.at(0), "end_turn");
}

TEST_F(ShedRecord, ATornUsageGivesTheCountsThatAreWhole) {
  record.shed = true;
  record.response_bytes = 100'000;
  record.response_tail = R"(,"prompt_tokens":12,"completion_tokens":34,"total_to)";
  const Trace trace = normalise();
  EXPECT_EQ(trace.usage.input, 12);
  EXPECT_EQ(trace.usage.output, 34);
  EXPECT_FALSE(trace.usage.total);
}

TEST_F(ShedRecord, CountsWithinAUsageObjectAreNotTakenForTheAnswers) {
  const Trace trace =
      shed(R"({"candidates":[],"usageMetadata":{"promptTokenCount":62,"candidatesTokenCount":94,)"
           R"("totalTokenCount":156,"promptTokensDetails":[{"modality":"TEXT","tokenCount":62}],)"
           R"("candidatesTokensDetails":[{"modality":"TEXT","tokenCount":7}]}})");
  EXPECT_EQ(trace.usage.input, 62);
  EXPECT_EQ(trace.usage.output, 94);
}

TEST_F(ShedRecord, CoheresTokensAreFoundWithinItsUsage) {
  const Trace trace =
      shed(R"({"id":"1","usage":{"billed_units":{"input_tokens":5,"output_tokens":3},)"
           R"("tokens":{"input_tokens":502,"output_tokens":25}}})");
  EXPECT_EQ(trace.usage.input, 502);
  EXPECT_EQ(trace.usage.output, 25);
}

TEST_F(ShedRecord, ABodyThatIsNoJsonIsScannedTheSameWay) {
  const std::string cut =
      R"({"model":"m","usage":{"prompt_tokens":3,"completion_tokens":4},"choices":[{"message":{"content":"hel)";
  const Trace trace = normalise("", cut);
  EXPECT_EQ(trace.output_value, cut);
  EXPECT_FALSE(trace.output_is_json);
  EXPECT_EQ(trace.model_served, "m");
  EXPECT_EQ(trace.usage.output, 4);
}

TEST_F(ShedRecord, HostileScansAreBounded) {
  std::string answer;
  while (answer.size() < 2048) answer += "\"usage\":{";
  const Trace trace = shed(answer);
  EXPECT_FALSE(trace.usage.input);
}

TEST_F(ShedRecord, WhatIsFoundHoldsNoMediaEither) {
  const Trace trace = shed(
      R"({"model":"data:image/png;base64,iVBORw0KGgo=","choices":[{"finish_reason":"a;base64,iVBO"}],"x":)");
  EXPECT_EQ(trace.model_served, "[image/png, 12 bytes left out]");
  EXPECT_EQ(trace.finish_reasons.at(0), "a[base64, 4 bytes left out]");
}

}  // namespace
}  // namespace sidecast
