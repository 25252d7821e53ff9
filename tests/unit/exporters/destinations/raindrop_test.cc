// Raindrop: the shape of its events.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/exporters/destinations/native_fixture.h"

namespace sidecast {
namespace {

using nlohmann::json;

std::unique_ptr<const Exporter> raindrop() {
  auto made = make_destination("raindrop", {});
  EXPECT_TRUE(made) << made.error().message();
  return std::move(*made);
}

TEST(RaindropRequest, IsAnArrayOfEvents) {
  const auto exporter = raindrop();
  Request request = exporter->encode(frozen_batch(exporter->format(), {"{}", "{}"}))->at(0);
  EXPECT_EQ(request.url, "https://api.raindrop.ai/v1/events/track");
  EXPECT_EQ(body_of(request), "[{},{}]");
  Secrets secrets;
  secrets.emplace("write_key", Secret("k"));
  ASSERT_TRUE(exporter->authorise(request, secrets, kTestNow));
  EXPECT_EQ(header_of(request, "authorization"), "Bearer k");
}

TEST(RaindropEvent, HoldsTheLatestQuestionAndTheAnswer) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_id_text = "workflow-1";
  trace.metadata.push_back({"model", Text("mine"), false});
  EXPECT_EQ(json::parse(encoded_record(*raindrop(), trace)), json::parse(R"({
    "event_id": "gen-1", "user_id": "user-7", "event": "llm_generation",
    "timestamp": "2023-11-14T22:13:20.000Z",
    "properties": {"trace_id": "workflow-1", "model": "gpt-4o-2024-08-06", "provider": "OpenAI",
                   "source": "sidecast", "prompt_tokens": 105, "completion_tokens": 20,
                   "total_tokens": 125, "total_cost": 0.5, "duration_ms": 2000,
                   "finish_reason": "stop", "feature": "search", "build": 42, "ratio": 0.5,
                   "beta": true, "list": [1, 2], "nothing": null},
    "ai_data": {"model": "gpt-4o-2024-08-06", "input": "Hi \"there\"\n", "output": "Hello",
                "convo_id": "session-9"}})"));
}

TEST(RaindropEvent, LongTextsAreCutToWhatAnEventMayHave) {
  Arena arena;
  Trace trace = chat_trace(arena);
  const std::string text(2'000'000, 'x');
  trace.input_messages.back().parts.front().text = text;
  trace.output_messages.back().parts.front().text = text;
  EXPECT_LT(encoded_record(*raindrop(), trace).size(), 1U << 20U);
}

TEST(RaindropEvent, PrivacyLeavesNoContent) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.outcome.failed = true;
  trace.outcome.error_type = "refused";
  trace.outcome.error_message = "canary";
  trace.input_messages.back().parts.front().text = "canary";
  trace.output_messages.front().parts.front().text = "canary";
  const json event = json::parse(encoded_record(*raindrop(), trace, true));
  EXPECT_EQ(event.dump().find("canary"), std::string::npos) << event;
  EXPECT_FALSE(event.at("ai_data").contains("input"));
  EXPECT_FALSE(event.at("ai_data").contains("output"));
  EXPECT_EQ(event.at("properties").at("error"), "refused");
}

}  // namespace
}  // namespace sidecast
