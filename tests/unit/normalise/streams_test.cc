// Streams with habits of their own, each of which was once read wrongly.
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class Streams : public testing::Test, public RecordFixture {};

TEST_F(Streams, AMessageThatRepeatsItsPiecesIsNotReadTwice) {  // Perplexity's
  const Trace trace = normalise(
      "",
      R"(data: {"object":"chat.completion.chunk","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"delta":{"role":"assistant","content":"a"}}]}

data: {"object":"chat.completion.chunk","choices":[{"index":0,"message":{"role":"assistant","content":"ab"},"delta":{"role":"assistant","content":"b"},"finish_reason":"stop"}]}

)");
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<ab>");
}

TEST_F(Streams, AChunkWithAMessageInsteadOfADeltaIsRead) {
  const Trace trace = normalise(
      "",
      R"(data: {"object":"chat.completion.chunk","choices":[{"index":0,"message":{"content":"a"}}]}

data: {"object":"chat.completion.chunk","choices":[{"index":0,"message":{"content":"b"}}]}

)");
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<ab>");
}

TEST_F(Streams, TheFirstIdNamesAnAnswer) {
  const Trace trace =
      normalise("", R"(data: {"id":"","choices":[{"index":0,"delta":{"content":"a"}}]}

data: {"id":"one","choices":[{"index":0,"delta":{"content":"b"}}]}

data: {"id":"two","choices":[{"index":0,"delta":{"content":"c"}}]}

)");
  EXPECT_EQ(trace.response_id, "one");
}

TEST_F(Streams, TwoMessagesInOneStreamKeepTheirBlocksApart) {  // Anthropic's, one after the other
  const Trace trace =
      normalise("", R"(data: {"type":"message_start","message":{"id":"one","role":"assistant"}}

data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t1","name":"f","input":{}}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}

data: {"type":"message_start","message":{"id":"two","role":"assistant"}}

data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t2","name":"f","input":{}}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"b\":2}"}}

)",
                "messages");
  EXPECT_EQ(show(trace.output_messages.at(0)), R"(assistant c#t1 f<{"a":1}> c#t2 f<{"b":2}>)");
  EXPECT_EQ(trace.response_id, "one");
}

TEST_F(Streams, RedactedThinkingStaysWhatTheProviderWantsBack) {
  const std::string data(200, 'Z');
  const Trace trace = normalise(
      "",
      "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"role\":\"assistant\"}}\n\n"
      "data: "
      "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"redacted_"
      "thinking\",\"data\":\"" +
          data + "\"}}\n\n",
      "messages");
  EXPECT_EQ(trace.output_messages.at(0).parts.at(0).signature, data);
  EXPECT_EQ(trace.output_value.find(data), Text::npos);
}

TEST_F(Streams, CohereSaysWhyItEndedBesideTheWholeAnswer) {
  const Trace trace = normalise("",
                                "{\"event_type\":\"stream-start\",\"generation_id\":\"g\"}\n"
                                "{\"event_type\":\"text-generation\",\"text\":\"a\"}\n"
                                "{\"event_type\":\"stream-end\",\"response\":{\"text\":\"ab\","
                                "\"generation_id\":\"g\"},\"finish_reason\":\"COMPLETE\"}\n");
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<ab>");
  EXPECT_EQ(trace.finish_reasons.at(0), "COMPLETE");
}

// An endpoint promises an API; what comes may be another, or one that nobody knows.
TEST_F(Streams, AnUnknownStreamAtAKnownPathIsReadAsTextAllTheSame) {
  const Text unknown =
      "data: {\"id\":\"x\",\"token\":{\"text\":\"a\"}}\n\n"
      "data: {\"id\":\"x\",\"token\":{\"text\":\"b\"}}\n\n";
  record.endpoint = "/somewhere";
  const std::string expected = show(normalise("", unknown, "").output_messages.at(0));
  for (const Text path : {"/api/chat", "/api/generate", "/v1/chat", "/v2/chat"}) {
    record.endpoint = path;
    const Trace trace = normalise("", unknown, "");
    ASSERT_EQ(trace.output_messages.size(), 1U) << path;
    EXPECT_EQ(show(trace.output_messages[0]), expected) << path;
  }
}

TEST_F(Streams, ArgumentsOfAGeminiCallThatComeInPiecesAreOneCall) {
  const Trace trace = normalise(
      "",
      R"(data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"f","willContinue":true},"thoughtSignature":"S"}]}}]}

data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.city","stringValue":"Bos","willContinue":true}],"willContinue":true}}]}}]}

data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.city","stringValue":"ton"},{"jsonPath":"$.days","numberValue":2}],"willContinue":true}}]}}]}

data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{}}]}}]}

data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"g","args":{}}}]},"finishReason":"STOP"}]}

)");
  EXPECT_EQ(show(trace.output_messages.at(0)),
            R"(assistant c f<{"city":"Boston","days":2}> c g<{}>)");
  EXPECT_EQ(trace.output_messages[0].parts[0].signature, "S");
}

TEST_F(Streams, ArgumentsInPiecesKeepTheirNesting) {
  const auto call_with = [this](const std::string& pieces) {
    const std::string stream =
        R"(data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true,"partialArgs":[)" +
        pieces + "]}}]}}]}\n\n";
    return std::string(normalise("", stream).output_messages.at(0).parts.at(0).text);
  };
  EXPECT_EQ(
      call_with(
          R"({"jsonPath":"$.a[0].x","stringValue":"1"},{"jsonPath":"$.a[0].y","boolValue":true},)"
          R"({"jsonPath":"$.a[1].x","stringValue":"2"},{"jsonPath":"$.b","nullValue":"NULL_VALUE"})"),
      R"({"a":[{"x":"1","y":true},{"x":"2"}],"b":"NULL_VALUE"})");
  EXPECT_EQ(call_with(R"({"jsonPath":"$['a key'].x[0][1]","numberValue":1.5})"),
            R"({"a key":{"x":[[1.5]]}})");
  // What is no path is a key; a place that is a list and then an object is both.
  EXPECT_EQ(
      call_with(
          R"({"jsonPath":"$[0]","numberValue":1},{"jsonPath":"$.a[","numberValue":2},{"jsonPath":"","numberValue":3})"),
      R"({"$[0]":1,"$.a[":2,"":3})");
  EXPECT_EQ(
      call_with(R"({"jsonPath":"$.a[0]","numberValue":1},{"jsonPath":"$.a.b","numberValue":2})"),
      R"({"a":[1],"a":{"b":2}})");
}

}  // namespace
}  // namespace sidecast
