// What each backend's dialect owes its reader beyond names and types: reference
// "destinations-otlp" §5 and §6.
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "exporters/dialects/dialects.h"
#include "exporters/registry.h"
#include "tests/unit/exporters/dialects/trace_fixture.h"

namespace sidecast {
namespace {

using nlohmann::json;

class Backends : public ::testing::Test {
 protected:
  // The generation, or the explicit span; the levels above it stand before it in set().
  const Span& write(Dialect dialect) {
    set_.emplace(dialect(trace, options, arena));
    const std::size_t levels = (trace.settings.trace_name.empty() ? 0U : 1U) +
                               (trace.settings.span_name.empty() ? 0U : 1U);
    return set_->spans.at(levels);
  }
  [[nodiscard]] const SpanSet& set() const { return *set_; }
  static json json_of(const Span& span, Text key) {
    const auto text = text_of(span, key);
    return text ? json::parse(*text) : json();
  }

  Arena arena;
  Trace trace = chat_trace(arena);
  DialectOptions options;

 private:
  std::optional<SpanSet> set_;
};

TEST_F(Backends, LangfusesUsageTypesAreDisjoint) {
  const Span& span = write(&write_langfuse);
  EXPECT_EQ(json_of(span, "langfuse.observation.usage_details"),
            json({{"input", 10},
                  {"output", 17},
                  {"total", 125},
                  {"input_cached_tokens", 90},
                  {"input_cache_creation", 5},
                  {"output_reasoning_tokens", 3}}));
  EXPECT_EQ(json_of(span, "langfuse.observation.cost_details")["total"], 0.5);
  EXPECT_FALSE(has_prefix(span, "gen_ai.usage."));
  EXPECT_EQ(text_of(span, "langfuse.observation.completion_start_time"),
            "2023-11-14T22:13:20.250Z");
}

TEST_F(Backends, LangfuseNeverCountsBelowZero) {
  trace.usage.cache_read = 1'000;
  EXPECT_EQ(
      json_of(write(&write_langfuse), "langfuse.observation.usage_details")["input"].get<int>(), 0);
}

TEST_F(Backends, LangfuseGetsEnvironmentAndReleaseOnSpanAndResource) {
  trace.metadata.push_back({"environment", Text("prod"), false});
  trace.metadata.push_back({"release", Text("v1"), false});
  const Span& span = write(&write_langfuse);
  EXPECT_EQ(text_of(span, "langfuse.environment"), "prod");
  EXPECT_EQ(text_of(span, "langfuse.release"), "v1");
  EXPECT_EQ(text_of(span, "langfuse.trace.metadata.environment"), std::nullopt);
  ASSERT_NE(find_attribute(set().resource, "langfuse.environment"), nullptr);
  EXPECT_EQ(text_of(span, "langfuse.trace.metadata.feature"), "search");
}

TEST_F(Backends, TheConversationIsOnEverySpanOfLangSmithAndLangfuse) {
  trace.settings.trace_name = "root";
  trace.settings.span_name = "group";
  write(&write_langsmith);
  for (const Span& span : set().spans) {
    EXPECT_EQ(text_of(span, "langsmith.metadata.session_id"), "session-9");
    EXPECT_EQ(text_of(span, "langsmith.metadata.thread_id"), "session-9");
    EXPECT_EQ(text_of(span, "langsmith.metadata.user_id"), "user-7");
    EXPECT_FALSE(has_prefix(span, "langsmith.trace.session"));
  }
  write(&write_langfuse);
  for (const Span& span : set().spans) {
    EXPECT_EQ(text_of(span, "langfuse.session.id"), "session-9");
    EXPECT_EQ(text_of(span, "langfuse.trace.name"), "root");
  }
}

TEST_F(Backends, LangSmithsUsageHoldsDetailsAndCosts) {
  const Span& span = write(&write_langsmith);
  EXPECT_EQ(json_of(span, "langsmith.usage_metadata"),
            json({{"input_tokens", 105},
                  {"output_tokens", 20},
                  {"total_tokens", 125},
                  {"input_token_details", {{"cache_creation", 5}, {"cache_read", 90}}},
                  {"output_token_details", {{"reasoning", 3}}},
                  {"input_cost", 0.25},
                  {"output_cost", 0.25},
                  {"total_cost", 0.5}}));
  EXPECT_EQ(text_of(span, "langsmith.span.tags"), "red,blue");
  EXPECT_EQ(json_of(span, "gen_ai.completion")["messages"][0]["content"], "Hello");
}

TEST_F(Backends, BraintrustsOwnMetadataKeysCannotBeOverwritten) {
  trace.metadata.push_back({"user_id", Text("impostor"), false});
  trace.attributes.push_back({"feature", Text("second"), false});
  const Span& span = write(&write_braintrust);
  const auto text = text_of(span, "braintrust.metadata");
  ASSERT_TRUE(text);
  EXPECT_EQ(text->find("impostor"), Text::npos);
  const json metadata = json::parse(*text);
  EXPECT_EQ(metadata["user_id"], "user-7");
  EXPECT_EQ(metadata["session_id"], "session-9");
  EXPECT_EQ(metadata["feature"], "search") << "the user's own comes before the gateway's";
  EXPECT_EQ(text->find("second"), Text::npos);
  EXPECT_EQ(json_of(span, "braintrust.metrics")["time_to_first_token"], 0.25);
  EXPECT_EQ(json_of(span, "braintrust.span_attributes")["type"], "llm");
}

TEST_F(Backends, OpikSeesNoNameThatWouldBecomeInput) {
  const Text kRuled[] = {"gen_ai.prompt",
                         "gen_ai.completion",
                         "gen_ai.request.model",
                         "gen_ai.response.",
                         "gen_ai.system",
                         "gen_ai.usage.",
                         "gen_ai.cost.",
                         "gen_ai.conversation.id",
                         "opik.",
                         "error.",
                         "exception."};
  trace.settings.trace_name = "root";
  trace.settings.trace_id_text = "mine";
  trace.outcome = {500, true, false, "server", "boom"};
  write(&write_opik);
  for (const Span& span : set().spans) {
    for (const Attribute& attribute : span.attributes) {
      EXPECT_TRUE(std::any_of(std::begin(kRuled), std::end(kRuled), [&](Text prefix) {
        return attribute.key.starts_with(prefix);
      })) << attribute.key;
    }
    EXPECT_EQ(text_of(span, "opik.metadata.trace_id"), "mine");
  }
}

TEST_F(Backends, WeaveGetsOneNameOfEachKind) {
  const Span& span = write(&write_weave);
  EXPECT_EQ(value_of<std::int64_t>(span, "gen_ai.usage.prompt_tokens"), 105);
  EXPECT_EQ(value_of<std::int64_t>(span, "gen_ai.usage.completion_tokens"), 20);
  EXPECT_FALSE(has_prefix(span, "gen_ai.usage.input_tokens"));
  EXPECT_FALSE(has_prefix(span, "gen_ai.request."));
  EXPECT_EQ(text_of(span, "wandb.thread_id"), "session-9");
  EXPECT_EQ(value_of<bool>(span, "wandb.is_turn"), true);
  EXPECT_EQ(value_of<double>(span, "wandb.attributes.gateway.cost_usd"), 0.5);
}

TEST_F(Backends, SentrySumsTokensOverGenerationsOnly) {
  trace.settings.trace_name = "root";
  trace.outcome = {500, true, false, "server", "boom"};
  const Span& span = write(&write_sentry);
  EXPECT_EQ(value_of<double>(span, "gen_ai.cost.total_tokens"), 0.5);
  EXPECT_EQ(text_of(span, "span.status_message"), "boom") << "events are dropped there";
  EXPECT_FALSE(has_prefix(set().spans[0], "gen_ai.usage."));
  EXPECT_FALSE(has_prefix(set().spans[0], "gen_ai.cost."));
}

TEST_F(Backends, NamesThatMovedFollowTheVersion) {
  for (const Dialect dialect : {&write_sentry, &write_datadog, &write_mlflow, &write_generic}) {
    options.gen_ai_names = GenAiNames::kReleased;
    EXPECT_EQ(value_of<std::int64_t>(write(dialect), "gen_ai.usage.cache_creation.input_tokens"),
              5);
    options.gen_ai_names = GenAiNames::kDevelopment;
    const Span& span = write(dialect);
    EXPECT_EQ(value_of<std::int64_t>(span, "gen_ai.usage.cache_write.input_tokens"), 5);
    EXPECT_FALSE(has_prefix(span, "gen_ai.usage.cache_creation"));
  }
}

TEST_F(Backends, GenAiMessagesHaveTheSchemasParts) {
  trace.operation = Operation::kMessages;
  Message& message = trace.output_messages.emplace_back(arena);
  message.role = "assistant";
  message.finish_reason = "tool_use";
  const auto add = [&message](PartKind kind, Text text, Text id, Text name) {
    Part part;
    part.kind = kind;
    part.text = text;
    part.id = id;
    part.name = name;
    message.parts.push_back(part);
  };
  add(PartKind::kReasoning, "Hm.", "", "");
  add(PartKind::kToolCall, R"({"city":"Rome"})", "c1", "weather");
  add(PartKind::kToolCall, R"({"city":"Ro)", "c2", "weather");
  add(PartKind::kImage, "", "", "");
  message.parts.back().omitted_bytes = 7;
  const Span& span = write(&write_datadog);
  const json output = json_of(span, "gen_ai.output.messages");
  ASSERT_EQ(output.size(), 2U);
  EXPECT_EQ(output[1]["finish_reason"], "tool_call");
  // Gemini and Responses end a call of a tool like any answer.
  message.finish_reason = "completed";
  EXPECT_EQ(json_of(write(&write_datadog), "gen_ai.output.messages")[1]["finish_reason"],
            "tool_call");
  EXPECT_EQ(output[1]["parts"][0], json({{"type", "reasoning"}, {"content", "Hm."}}));
  EXPECT_EQ(output[1]["parts"][1]["arguments"], json({{"city", "Rome"}}));
  EXPECT_EQ(output[1]["parts"][2]["arguments"], R"({"city":"Ro)") << "cut off: stays text";
  EXPECT_EQ(output[1]["parts"][3]["type"], "blob");
  EXPECT_EQ(output[1]["parts"][3]["content"], "");
  EXPECT_EQ(json_of(span, "gen_ai.system_instructions")[0]["content"], "Be brief.");
  EXPECT_EQ(json_of(span, "gen_ai.input.messages").size(), 1U);
}

TEST_F(Backends, ReservedNamesAreNotAGatewaysToGive) {
  trace.attributes.push_back({"otel.status_code", Text("OK"), false});
  trace.attributes.push_back({"data_stream.dataset", Text("other"), false});
  for (const Dialect dialect : {&write_generic, &write_openinference, &write_sentry}) {
    const Span& span = write(dialect);
    EXPECT_FALSE(has_prefix(span, "otel."));
    EXPECT_FALSE(has_prefix(span, "data_stream."));
    EXPECT_EQ(text_of(span, "sidecast.data_stream.dataset"), "other");
    EXPECT_EQ(text_of(span, "deployment.region"), "eu");
  }
}

TEST_F(Backends, AttributesOfTheReadersOwnNamespacePassAndOthersAreMetadata) {
  trace.attributes.push_back({"langfuse.observation.prompt.name", Text("greet"), false});
  trace.attributes.push_back({"langfuse.user.id", Text("impostor"), false});
  const Span& span = write(&write_langfuse);
  EXPECT_EQ(text_of(span, "langfuse.observation.prompt.name"), "greet");
  EXPECT_EQ(text_of(span, "langfuse.user.id"), "user-7");
  EXPECT_EQ(text_of(span, "langfuse.observation.metadata.deployment.region"), "eu");
}

TEST_F(Backends, ExplicitSpansOfEveryKindHaveTheirKindAndContent) {
  struct Row {
    const char* dialect;
    const char* kind;
    const char* input;
  };
  trace.is_explicit_span = true;
  trace.input_messages.clear();
  trace.output_messages.clear();
  trace.input_value = "question";
  trace.input_is_json = false;
  for (const Row& row : {Row{"langfuse", "langfuse.observation.type", "langfuse.observation.input"},
                         Row{"langsmith", "langsmith.span.kind", "gen_ai.prompt"},
                         Row{"braintrust", "braintrust.span_attributes", "braintrust.input_json"},
                         Row{"opik", "opik.metadata.span_kind", "gen_ai.prompt"},
                         Row{"weave", "weave.span.kind", "gen_ai.prompt"},
                         Row{"mlflow", "mlflow.spanType", "mlflow.spanInputs"},
                         Row{"openinference", "openinference.span.kind", "input.value"}}) {
    std::set<std::string> kinds;
    for (int kind = 0; kind <= static_cast<int>(TraceKind::kUnknown); ++kind) {
      trace.kind = static_cast<TraceKind>(kind);
      const Span& span = write(find_dialect(row.dialect)->write);
      ASSERT_EQ(set().spans.size(), 1U);
      kinds.insert(std::string(text_of(span, row.kind).value_or("")));
      EXPECT_NE(text_of(span, row.input).value_or("").find("question"), Text::npos)
          << row.dialect << " " << kind;
    }
    EXPECT_EQ(kinds.count(""), 0U) << row.dialect;
    EXPECT_GE(kinds.size(), 5U) << row.dialect;
  }
}

}  // namespace
}  // namespace sidecast
