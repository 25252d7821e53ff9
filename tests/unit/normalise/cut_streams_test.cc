// A stream that stops before it has said that it is over is a failed call, whatever API it follows
// (reference "conventions" §5.4); what came of it stays.
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class CutStreams : public testing::Test, public RecordFixture {
 protected:
  void expect_cut(const Trace& trace, const std::string& shown) {
    EXPECT_TRUE(trace.outcome.failed);
    EXPECT_TRUE(trace.outcome.cut);
    EXPECT_EQ(trace.outcome.error_type, "stream_cut");
    ASSERT_EQ(trace.finish_reasons.size(), 1U);
    EXPECT_EQ(trace.finish_reasons[0], "error");
    ASSERT_EQ(trace.output_messages.size(), 1U);
    EXPECT_EQ(trace.output_messages[0].finish_reason, "error");
    EXPECT_EQ(show(trace.output_messages[0]), shown);
  }
  void expect_whole(const Trace& trace) {
    EXPECT_FALSE(trace.outcome.failed) << trace.outcome.error_type;
    EXPECT_FALSE(trace.outcome.cut);
  }
};

constexpr Text kChat = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";

TEST_F(CutStreams, AChatWithoutItsEndIsCut) {
  expect_cut(normalise("", kChat), "assistant t<a>");
}

TEST_F(CutStreams, AChatThatCameToItsDoneIsNot) {  // some servers give no finish reason
  const std::string whole = std::string(kChat) + "data: [DONE]\n\n";
  const Trace trace = normalise("", whole);
  expect_whole(trace);
  EXPECT_EQ(trace.output_messages.at(0).finish_reason, "");
}

TEST_F(CutStreams, ADoneBehindASpaceOrWithoutABlankLineCounts) {
  expect_whole(normalise("", std::string(kChat) + "data: [DONE] \n\n"));
  const std::string chunk = R"(data: {"choices":[{"index":0,"delta":{"content":"a"}}]})";
  expect_whole(normalise("", chunk + "\n" + chunk + "\ndata: [DONE]\n"));
}

TEST_F(CutStreams, UsageWithoutAChoiceAtTheEndIsAnEnd) {
  const std::string usage = R"(data: {"choices":[],"usage":{"prompt_tokens":1}})";
  expect_whole(normalise("", std::string(kChat) + usage + "\n\n"));
  expect_cut(normalise("", usage + "\n\n" + std::string(kChat)), "assistant t<a>");
}

TEST_F(CutStreams, AnEndByItsNameNeedsNoReason) {
  expect_whole(normalise(
      "", "data: {\"type\":\"response.completed\",\"response\":{\"object\":\"response\"}}\n\n",
      "responses"));
  expect_whole(normalise("",
                         "data: {\"type\":\"message_start\",\"message\":{\"role\":\"assistant\"}}"
                         "\n\ndata: {\"type\":\"message_stop\"}\n\n",
                         "messages"));
}

TEST_F(CutStreams, AnErrorInTheMiddleEndsWhatCame) {  // reference "conventions" §5.4
  const Trace trace = normalise(
      "", std::string(kChat) + "data: {\"error\":{\"code\":502,\"message\":\"gone\"}}\n\n");
  EXPECT_TRUE(trace.outcome.failed);
  EXPECT_FALSE(trace.outcome.cut);
  ASSERT_EQ(trace.output_messages.size(), 1U);
  EXPECT_EQ(trace.output_messages[0].finish_reason, "error");
}

TEST_F(CutStreams, AFinishReasonIsEnough) {
  expect_whole(normalise("",
                         "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},"
                         "\"finish_reason\":\"stop\"}]}\n\n"));
}

TEST_F(CutStreams, AnAnswerThatIsNoStreamIsNeverCut) {
  expect_whole(normalise("", R"({"choices":[{"index":0,"message":{"content":"a"}}]})"));
}

TEST_F(CutStreams, AnthropicsEndsWithItsLastEvent) {
  const std::string begun =
      "event: message_start\ndata: "
      "{\"type\":\"message_start\",\"message\":{\"role\":\"assistant\"}}"
      "\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
      "\"content_block\":{\"type\":\"text\",\"text\":\"a\"}}\n\n";
  expect_cut(normalise("", begun, "messages"), "assistant t<a>");
  const std::string whole = begun + "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
  expect_whole(normalise("", whole, "messages"));
}

TEST_F(CutStreams, AResponseInProgressIsCut) {
  const Trace trace = normalise(
      "",
      "data: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\"}}\n\n"
      "data: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":"
      "\"message\",\"role\":\"assistant\",\"content\":[]}}\n\n"
      "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"a\"}\n\n",
      "responses");
  expect_cut(trace, "assistant t<a>");
}

TEST_F(CutStreams, GeminisAndOllamasAreCutWithoutTheirReason) {
  expect_cut(normalise("",
                       "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":"
                       "[{\"text\":\"a\"}]},\"index\":0}]}\n\n"),
             "assistant t<a>");
  const std::string line =
      "{\"model\":\"m\",\"created_at\":\"t\",\"message\":{\"role\":\"assistant\",\"content\":\"a\"}"
      ",\"done\":false}\n";
  const std::string begun = line + line;
  expect_cut(normalise("", begun), "assistant t<aa>");
  const std::string whole =
      line +
      "{\"model\":\"m\",\"created_at\":\"t\",\"message\":{\"role\":\"assistant\","
      "\"content\":\"b\"},\"done\":true}\n";
  expect_whole(normalise("", whole));
}

TEST_F(CutStreams, WhoKnowsWhyIsBelieved) {
  record.aborted = true;
  const Trace aborted = normalise("", kChat);
  EXPECT_EQ(aborted.outcome.error_type, "client_disconnected");
  EXPECT_EQ(aborted.finish_reasons.at(0), "error");
  EXPECT_FALSE(aborted.outcome.cut);
  record.aborted = false;
  record.error_type = "timeout";
  const Trace late = normalise("", kChat);
  EXPECT_EQ(late.outcome.error_type, "timeout");
  EXPECT_FALSE(late.outcome.cut);
}

TEST_F(CutStreams, AFinishReasonThatIsAnErrorFails) {
  const Trace trace = normalise("",
                                "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":"
                                "\"a\"},\"finish_reason\":\"error\"}]}\n\ndata: [DONE]\n\n");
  EXPECT_TRUE(trace.outcome.failed);
  EXPECT_EQ(trace.outcome.error_type, "_OTHER");
  EXPECT_FALSE(trace.outcome.cut);
}

}  // namespace
}  // namespace sidecast
