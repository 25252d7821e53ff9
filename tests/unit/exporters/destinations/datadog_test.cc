// Datadog LLM Observability: the shape of its spans.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/exporters/destinations/native_fixture.h"

namespace sidecast {
namespace {

using nlohmann::json;

std::unique_ptr<const Exporter> datadog(const OptionChanges& changes = {}) {
  OptionChanges all = {{"ml_app", "shop"}};
  all.insert(all.end(), changes.begin(), changes.end());
  auto made = make_destination("datadog", all);
  EXPECT_TRUE(made) << made.error().message();
  return std::move(*made);
}

// All spans of one record.
json spans_of(const Trace& trace, bool privacy_mode = false) {
  return json::parse("[" + encoded_record(*datadog(), trace, privacy_mode) + "]");
}

TEST(DatadogRequest, NamesTheApplicationOnce) {
  const auto exporter = datadog({{"endpoint", "https://api.us5.datadoghq.com/"}});
  Request request =
      exporter->encode(frozen_batch(exporter->format(), {R"({"name":"a"},{"name":"b"})", "{}"}))
          ->at(0);
  EXPECT_EQ(request.url, "https://api.us5.datadoghq.com/api/intake/llm-obs/v1/trace/spans");
  EXPECT_EQ(body_of(request),
            R"({"data":{"type":"span","attributes":{"ml_app":"shop","tags":["service:shop"],)"
            R"("spans":[{"name":"a"},{"name":"b"},{}]}}})");
  Secrets secrets;
  secrets.emplace("api_key", Secret("k"));
  ASSERT_TRUE(exporter->authorise(request, secrets, kTestNow));
  EXPECT_EQ(header_of(request, "dd-api-key"), "k");
  const Request probe = exporter->probe(kTestNow);
  EXPECT_EQ(probe.method, "GET");
  EXPECT_EQ(probe.url, "https://api.us5.datadoghq.com/api/v1/validate");
}

TEST(DatadogSpans, HoldTheCall) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.generation_name = "answer";
  json spans = spans_of(trace);
  ASSERT_EQ(spans.size(), 1U);
  json span = spans[0];
  json metadata = span.at("meta").at("metadata");
  span.at("meta").erase("metadata");
  EXPECT_EQ(span, json::parse(R"({
    "name": "answer", "span_id": "5ee4e1f377a37b8c",
    "trace_id": "5ee4e1f377a37b8c0a0f5a5b5d3b5b5b", "parent_id": "undefined",
    "start_ns": 1700000000000000000, "duration": 2000000000, "status": "ok",
    "meta": {"kind": "llm", "model_name": "gpt-4o-2024-08-06", "model_provider": "openai",
             "input": {"messages": [{"role": "system", "content": "Be brief."},
                                    {"role": "user", "content": "Hi \"there\"\n"}]},
             "output": {"messages": [{"role": "assistant", "content": "Hello"}]}},
    "metrics": {"input_tokens": 105, "output_tokens": 20, "total_tokens": 125,
                "cache_read_input_tokens": 90, "cache_write_input_tokens": 5,
                "reasoning_output_tokens": 3, "total_cost": 0.5, "time_to_first_token": 0.25},
    "session_id": "session-9", "tags": ["user_id:user-7", "red", "blue"]})")
                      .patch(json::array({{{"op", "replace"},
                                           {"path", "/span_id"},
                                           {"value", to_hex(hash_span_id("gen-1").view())}},
                                          {{"op", "replace"},
                                           {"path", "/trace_id"},
                                           {"value", to_hex(hash_trace_id("gen-1").view())}}})));
  EXPECT_EQ(metadata.at("feature"), "search");
  EXPECT_EQ(metadata.at("model_name"), "gpt-4o-2024-08-06");
  EXPECT_EQ(metadata.at("temperature"), 1);
  EXPECT_EQ(metadata.at("max_tokens"), 100);
}

TEST(DatadogSpans, NamedLevelsAreWorkflowsAndAttemptsAreTasks) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_name = "Checkout";
  trace.settings.span_name = "Ask";
  trace.attempts.push_back({"Azure", "gpt-4o", "", trace.start, trace.end, 503, "overloaded", "x"});
  trace.attempts.push_back({"OpenAI", "gpt-4o", "", trace.start, trace.end, 200, "", ""});
  const json spans = spans_of(trace);
  ASSERT_EQ(spans.size(), 5U);
  const char* const kinds[] = {"workflow", "workflow", "llm", "task", "task"};
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(spans[i].at("meta").at("kind"), kinds[i]) << i;
  EXPECT_EQ(spans[0].at("name"), "Checkout");
  EXPECT_EQ(spans[0].at("parent_id"), "undefined");
  EXPECT_EQ(spans[1].at("parent_id"), spans[0].at("span_id"));
  EXPECT_EQ(spans[2].at("parent_id"), spans[1].at("span_id"));
  EXPECT_EQ(spans[3].at("parent_id"), spans[2].at("span_id"));
  EXPECT_EQ(spans[3].at("status"), "error");
  EXPECT_EQ(spans[3].at("meta").at("error").at("type"), "overloaded");
  EXPECT_EQ(spans[3].at("meta").at("metadata").at("status_code"), 503);
}

TEST(DatadogSpans, ToolCallsHaveObjectsAsArguments) {
  Arena arena;
  Trace trace = chat_trace(arena);
  Part call;
  call.kind = PartKind::kToolCall;
  call.id = "c1";
  call.name = "weather";
  call.text = R"({"city":"Oslo"})";
  trace.output_messages.front().parts.push_back(call);
  call.text = "no json";
  trace.output_messages.front().parts.push_back(call);
  const json message = spans_of(trace)[0].at("meta").at("output").at("messages")[0];
  EXPECT_EQ(message.at("tool_calls")[0],
            json::parse(R"({"name":"weather","arguments":{"city":"Oslo"},"tool_id":"c1",
                            "type":"function"})"));
  EXPECT_EQ(message.at("tool_calls")[1].at("arguments"), json::parse(R"({"value":"no json"})"));
}

TEST(DatadogSpans, PrivacyLeavesNoContentInAnySpan) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_name = "Checkout";
  trace.outcome.failed = true;
  trace.outcome.error_type = "refused";
  trace.outcome.error_message = "canary";
  trace.input_messages.front().parts.front().text = "canary";
  trace.output_messages.front().parts.front().text = "canary";
  const std::string spans = spans_of(trace, true).dump();
  EXPECT_EQ(spans.find("canary"), std::string::npos) << spans;
  EXPECT_NE(spans.find("\"input_tokens\":105"), std::string::npos);
}

}  // namespace
}  // namespace sidecast
