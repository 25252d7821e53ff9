// Mistral's conversations, as its own client's types have them.
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class Conversations : public testing::Test, public RecordFixture {
 protected:
  Conversations() { record.endpoint = "/v1/conversations"; }
};

// OpenAI keeps the state of its own conversations under the same path.
TEST_F(Conversations, OpenAisOwnAreNotMistrals) {
  const Trace trace = normalise(R"({"items":[{"type":"message","role":"user","content":"Hi"}]})",
                                R"({"id":"conv_1","object":"conversation","created_at":1})", "");
  EXPECT_EQ(trace.operation, Operation::kUnknown);
  EXPECT_FALSE(trace.outcome.failed);
}

constexpr Text kStarted =
    R"(data: {"type":"conversation.response.started","conversation_id":"conv_1"})"
    "\n\n"
    R"(data: {"type":"message.output.delta","id":"msg_1","output_index":0,"model":"mistral-medium","content":{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}})"
    "\n\n"
    R"(data: {"type":"message.output.delta","id":"msg_1","output_index":0,"content":"He"})"
    "\n\n"
    R"(data: {"type":"message.output.delta","id":"msg_1","output_index":0,"content":{"type":"text","text":"llo"}})"
    "\n\n"
    R"(data: {"type":"function.call.delta","id":"fc_1","name":"f","tool_call_id":"c1","output_index":1,"arguments":"{\"a\""})"
    "\n\n"
    R"(data: {"type":"function.call.delta","id":"fc_1","name":"f","tool_call_id":"c1","output_index":1,"arguments":":1}"})"
    "\n\n";
constexpr Text kDone =
    R"(data: {"type":"conversation.response.done","usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}})"
    "\n\n";

TEST_F(Conversations, ARequestIsInstructionsAndEntries) {
  const Trace trace = normalise(
      R"({"model":"mistral-medium","instructions":"be brief","inputs":[{"type":"message.input","role":"user","content":"Hi"},
      {"type":"function.call","tool_call_id":"c0","name":"g","arguments":{"b":2}},{"type":"function.result","tool_call_id":"c0","result":"two"}],
      "completion_args":{"temperature":0.5,"max_tokens":9,"stop":["x"]},"tools":[{"type":"function","function":{"name":"g"}}]})",
      "");
  ASSERT_EQ(trace.input_messages.size(), 4U);
  EXPECT_EQ(show(trace.input_messages[0]), "system t<be brief>");
  EXPECT_EQ(show(trace.input_messages[1]), "user t<Hi>");
  EXPECT_EQ(show(trace.input_messages[2]), "assistant c#c0 g<{\"b\":2}>");
  EXPECT_EQ(trace.input_messages[3].role, "tool");
  EXPECT_EQ(trace.parameters.temperature, 0.5);
  EXPECT_EQ(trace.parameters.max_tokens, 9);
  EXPECT_EQ(trace.tools.size(), 1U);
  EXPECT_EQ(trace.parameters.json.find("be brief"), Text::npos);
  EXPECT_EQ(trace.parameters.json.find("Hi"), Text::npos);
}

TEST_F(Conversations, AnAnswersEntriesAreOneMessage) {
  const Trace trace =
      normalise(R"({"inputs":"Hi","agent_id":"ag_1"})",
                R"({"object":"conversation.response","conversation_id":"conv_1","outputs":[
      {"type":"tool.execution","name":"web_search","id":"t1","arguments":"{}"},
      {"type":"message.output","id":"m1","role":"assistant","model":"mistral-medium","content":[{"type":"text","text":"Hello"}]}],
      "usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}})");
  ASSERT_EQ(trace.input_messages.size(), 1U);
  EXPECT_EQ(show(trace.input_messages[0]), "user t<Hi>");
  ASSERT_EQ(trace.output_messages.size(), 1U);
  ASSERT_EQ(trace.output_messages[0].parts.size(), 2U);
  EXPECT_EQ(trace.output_messages[0].parts[0].type, "tool.execution");
  EXPECT_EQ(trace.output_messages[0].parts[1].text, "Hello");
  EXPECT_EQ(trace.response_id, "conv_1");
  EXPECT_EQ(trace.model_served, "mistral-medium");
  EXPECT_EQ(trace.usage.input, 7);
  EXPECT_EQ(trace.usage.output, 5);
  EXPECT_EQ(trace.finish_reasons.at(0), "completed");
}

TEST_F(Conversations, AStreamIsPutTogetherEntryByEntry) {
  const std::string whole = std::string(kStarted) + std::string(kDone);
  const Trace trace = normalise(R"({"inputs":"Hi","stream":true,"model":"m"})", whole);
  ASSERT_EQ(trace.output_messages.size(), 1U);
  EXPECT_EQ(show(trace.output_messages[0]), "assistant r<hm> t<Hello> c#c1 f<{\"a\":1}>");
  EXPECT_EQ(trace.model_served, "mistral-medium");
  EXPECT_EQ(trace.usage.total, 12);
  EXPECT_EQ(trace.finish_reasons.at(0), "completed");
  EXPECT_FALSE(trace.outcome.failed);
}

TEST_F(Conversations, AStreamWithoutItsDoneIsCut) {
  const Trace trace = normalise("", kStarted);
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant r<hm> t<Hello> c#c1 f<{\"a\":1}>");
  EXPECT_EQ(trace.outcome.error_type, "stream_cut");
}

TEST_F(Conversations, AnErrorInAStreamFails) {
  const std::string failed =
      std::string(kStarted) +
      R"(data: {"type":"conversation.response.error","message":"upstream died","code":502})"
      "\n\n";
  const Trace trace = normalise("", failed);
  EXPECT_TRUE(trace.outcome.failed);
  EXPECT_EQ(trace.outcome.error_message, "upstream died");
  EXPECT_FALSE(trace.outcome.cut);
}

TEST_F(Conversations, HostileEntriesWithoutEndAreHeldToABound) {
  std::string stream(R"(data: {"type":"conversation.response.started","conversation_id":"c"})"
                     "\n\n");
  for (int i = 0; i < 6000; ++i) {
    stream += R"(data: {"type":"function.call.delta","id":"f)" + std::to_string(i) +
              R"(","name":"f","tool_call_id":"c","arguments":"1"})"
              "\n\n";
  }
  EXPECT_LE(normalise("", stream).output_messages.at(0).parts.size(), 4096U);
}

}  // namespace
}  // namespace sidecast
