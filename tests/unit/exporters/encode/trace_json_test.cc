#include "exporters/encode/trace_json.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "exporters/dialects/privacy.h"
#include "exporters/registry.h"
#include "tests/unit/exporters/dialects/trace_fixture.h"

namespace sidecast {
namespace {

using nlohmann::json;

json encoded(const Trace& trace, Arena& arena) {
  ByteBuffer out;
  encode_trace_json(trace, SpanSet(arena), out);
  EXPECT_EQ(out.view().find('\n'), Text::npos) << "one object is one line";
  return json::parse(out.view());
}

TEST(TraceJson, HoldsTheTraceAndOneObservationForTheGeneration) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_id_text = "workflow-1";
  trace.settings.trace_name = "Checkout";
  trace.settings.generation_name = "answer";
  const json object = encoded(trace, arena);
  EXPECT_EQ(object.at("id"), "workflow-1");
  EXPECT_EQ(object.at("name"), "Checkout");
  EXPECT_EQ(object.at("timestamp"), "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(object.at("userId"), "user-7");
  EXPECT_EQ(object.at("sessionId"), "session-9");
  EXPECT_EQ(object.at("apiKeyName"), "team-a");
  EXPECT_EQ(object.at("metadata").at("build"), 42);
  EXPECT_EQ(object.at("metadata").at("list"), json::parse("[1,2]"));
  EXPECT_EQ(object.at("metadata").at("gateway").at("generation_id"), "gen-1");
  EXPECT_EQ(object.at("input").at("messages").at(1).at("content"), "Hi \"there\"\n");
  EXPECT_EQ(object.at("output").at("completion"), "Hello");
  ASSERT_EQ(object.at("observations").size(), 1U);
  const json& generation = object.at("observations")[0];
  EXPECT_EQ(generation.at("name"), "answer");
  EXPECT_EQ(generation.at("model"), "gpt-4o-2024-08-06");
  EXPECT_EQ(generation.at("providerName"), "OpenAI");
  EXPECT_EQ(generation.at("endTime"), "2023-11-14T22:13:22.000Z");
  EXPECT_EQ(generation.at("promptTokens"), 105);
  EXPECT_EQ(generation.at("completionTokens"), 20);
  EXPECT_EQ(generation.at("totalTokens"), 125);
  EXPECT_EQ(generation.at("totalCost"), 0.5);
  EXPECT_EQ(generation.at("finishReason"), "stop");
  EXPECT_EQ(generation.at("level"), "DEFAULT");
}

TEST(TraceJson, NormalisesTheFinishReasonAndKeepsTheOneThatCame) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.finish_reasons.assign({"tool_use"});
  const json generation = encoded(trace, arena).at("observations")[0];
  EXPECT_EQ(generation.at("finishReason"), "tool_use");
  EXPECT_EQ(generation.at("normalizedFinishReason"), "tool_calls");
}

TEST(TraceJson, AttemptsAreObservations) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.attempts.push_back({"Azure", "gpt-4o", "", trace.start, trace.end, 503, "overloaded", "x"});
  trace.attempts.push_back({"OpenAI", "gpt-4o", "", trace.start, trace.end, 200, "", ""});
  const json observations = encoded(trace, arena).at("observations");
  ASSERT_EQ(observations.size(), 3U);
  EXPECT_EQ(observations[1].at("level"), "ERROR");
  EXPECT_EQ(observations[1].at("errorType"), "overloaded");
  EXPECT_EQ(observations[1].at("statusCode"), 503);
  EXPECT_EQ(observations[2].at("level"), "DEFAULT");
}

TEST(TraceJson, WhatIsAbsentIsLeftOut) {
  Arena arena;
  Trace trace(arena);
  trace.identity.generation_id = "gen-1";
  const json object = encoded(trace, arena);
  for (const char* name : {"userId", "sessionId", "apiKeyName", "input", "output"}) {
    EXPECT_FALSE(object.contains(name)) << name;
  }
  EXPECT_FALSE(object.at("observations")[0].contains("promptTokens"));
}

TEST(TraceJson, PrivacyLeavesNeitherInputNorOutput) {
  Arena arena;
  const Trace trace = redact(chat_trace(arena), {}, arena);
  const json object = encoded(trace, arena);
  EXPECT_FALSE(object.contains("input"));
  EXPECT_FALSE(object.contains("output"));
  EXPECT_EQ(object.at("metadata").at("feature"), "search");
  EXPECT_EQ(object.at("observations")[0].at("promptTokens"), 105);
}

}  // namespace
}  // namespace sidecast
