#include "exporters/dialects/privacy.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "exporters/registry.h"
#include "exporters/write.h"
#include "tests/unit/exporters/dialects/trace_fixture.h"
#include "tests/unit/exporters/firehose_text.h"

namespace sidecast {
namespace {

constexpr Text kSecret = "SECRET-PROMPT";

// A trace in which every field that may hold content holds the same words.
Trace secret_trace(Arena& arena) {
  Trace trace = chat_trace(arena);
  trace.input_value = kSecret;
  trace.output_value = kSecret;
  trace.input_is_json = trace.output_is_json = false;
  for (ArenaVector<Message>* messages : {&trace.input_messages, &trace.output_messages}) {
    const bool is_input = messages == &trace.input_messages;
    // Some destinations show the first answer only.
    if (!is_input) messages->front().parts.emplace_back().text = kSecret;
    Message& message = messages->emplace_back(arena);
    message.role = is_input ? "user" : "assistant";
    message.name = kSecret;
    for (int kind = 0; kind <= static_cast<int>(PartKind::kOther); ++kind) {
      Part part;
      part.kind = static_cast<PartKind>(kind);
      part.text = part.kind == PartKind::kOther ? Text("\"SECRET-PROMPT\"") : kSecret;
      part.name = kSecret;
      part.signature = kSecret;
      part.url = kSecret;
      message.parts.push_back(part);
    }
  }
  trace.prompts.push_back(kSecret);
  trace.rerank_query = kSecret;
  trace.input_documents.push_back({"doc-1", kSecret, {}});
  trace.output_documents.push_back({"0", kSecret, 0.75});
  trace.tools.push_back({"function", kSecret, kSecret, "\"SECRET-PROMPT\"", kSecret});
  trace.parameters.json =
      R"({"model":"m","temperature":0.5,"seed":7,"stream":true,"stop":"SECRET-PROMPT",)"
      R"("response_format":{"schema":"SECRET-PROMPT"},"logit_bias":{"SECRET-PROMPT":1},)"
      R"("metadata":{"k":"SECRET-PROMPT"},"unheard_of":"SECRET-PROMPT"})";
  trace.parameters.stop_sequences.push_back(kSecret);
  trace.attributes.push_back({"note", kSecret, false});
  trace.attributes.push_back({"kept.note", Text("harmless"), false});
  trace.outcome = {400, true, false, "invalid_request", kSecret};
  trace.attempts.push_back({"P", "m", "", trace.start, trace.end, 400, "invalid_request", kSecret});
  return trace;
}

std::string encoded(const Trace& trace, const DialectEntry& dialect, const Encoder& encoder,
                    Arena& arena) {
  DialectOptions options;
  ByteBuffer out;
  encoder.write(trace, dialect.write(trace, options, arena), out);
  return encoder.name == "firehose_record" ? firehose_text(out.view()) : std::string(out.view());
}

TEST(Privacy, NoContentLeavesInAnyDialectOrEncoding) {
  for (const DialectEntry& dialect : dialects()) {
    for (const Encoder& encoder : encoders()) {
      for (const bool with_root : {false, true}) {
        for (int kind = 0; kind <= static_cast<int>(TraceKind::kUnknown); ++kind) {
          Arena arena;
          Trace trace = secret_trace(arena);
          trace.kind = static_cast<TraceKind>(kind);
          trace.is_explicit_span = kind > static_cast<int>(TraceKind::kEmbedding);
          if (with_root) trace.settings.trace_name = "root";
          SCOPED_TRACE(std::string(dialect.name) + " " + std::string(encoder.name) + " kind " +
                       std::to_string(kind));
          // The words are really there without privacy mode: otherwise this test proves nothing.
          const bool is_there = encoder.name != "console_line_without_content";
          EXPECT_EQ(encoded(trace, dialect, encoder, arena).find(kSecret) != std::string::npos,
                    is_there);
          const Trace kept = redact(trace, {}, arena);
          EXPECT_EQ(encoded(kept, dialect, encoder, arena).find(kSecret), std::string::npos);
        }
      }
    }
  }
}

TEST(Privacy, AReasonThatIsASentenceIsContent) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.finish_reasons.clear();
  trace.finish_reasons.push_back("end_turn");
  trace.finish_reasons.push_back("because you asked for it");
  trace.facts.push_back({"native_finish_reason", Text("stopped at: my secret"), false});
  trace.facts.push_back({"is_byok", true, false});
  const Trace kept = redact(trace, {}, arena);
  ASSERT_EQ(kept.finish_reasons.size(), 1U);
  EXPECT_EQ(kept.finish_reasons[0], "end_turn");
  const auto has = [&kept](Text key) {
    return std::any_of(kept.facts.begin(), kept.facts.end(),
                       [key](const Metadatum& fact) { return fact.key == key; });
  };
  EXPECT_FALSE(has("native_finish_reason"));
  EXPECT_TRUE(has("is_byok"));
}

TEST(Privacy, NamesOfUsageAndOfDocumentsAreCodesOrContent) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.facts.clear();
  trace.facts.push_back({"web_search_requests", std::int64_t{2}, false});
  trace.facts.push_back({"my secret", std::int64_t{3}, false});
  trace.facts.push_back({"note", Text("my secret"), false});
  trace.output_documents.push_back({"7", "text", 0.5});
  trace.output_documents.push_back({R"({"my":"secret"})", "text", 0.25});
  trace.input_documents.push_back({"my secret", "text", std::nullopt});
  const Trace kept = redact(trace, {}, arena);
  ASSERT_GE(kept.facts.size(), 1U);
  EXPECT_EQ(kept.facts[0].key, "web_search_requests");
  for (const Metadatum& fact : kept.facts) {
    EXPECT_NE(fact.key, "my secret");
    EXPECT_NE(fact.key, "note");
  }
  EXPECT_TRUE(kept.input_documents.empty());
  ASSERT_EQ(kept.output_documents.size(), 2U);
  EXPECT_EQ(kept.output_documents[0].id, "7");
  EXPECT_EQ(kept.output_documents[1].id, "");
  EXPECT_EQ(kept.output_documents[1].score, 0.25);
}

TEST(Privacy, NoneOfTheRemovedNamesIsLeft) {
  constexpr Text kRemoved[] = {"input.value",
                               "input.mime_type",
                               "output.value",
                               "output.mime_type",
                               "llm.input_messages",
                               "llm.output_messages",
                               "llm.prompts",
                               "llm.choices",
                               "llm.tools",
                               "gen_ai.tool.definitions",
                               "gen_ai.input.messages",
                               "gen_ai.output.messages",
                               "gen_ai.system_instructions",
                               "gen_ai.prompt",
                               "gen_ai.completion",
                               "gen_ai.tool.call",
                               "trace.input",
                               "trace.output",
                               "span.input",
                               "span.output",
                               "embedding.embeddings",
                               "reranker.query",
                               "gen_ai.retrieval.query.text",
                               "gen_ai.request.stop_sequences",
                               "langfuse.trace.input",
                               "langfuse.trace.output",
                               "langfuse.observation.input",
                               "langfuse.observation.output",
                               "braintrust.input",
                               "braintrust.output",
                               "mlflow.spanInputs",
                               "mlflow.spanOutputs"};
  for (const DialectEntry& dialect : dialects()) {
    Arena arena;
    Trace trace = secret_trace(arena);
    trace.settings.trace_name = "root";
    const Trace kept = redact(trace, {}, arena);
    DialectOptions options;
    const SpanSet set = dialect.write(kept, options, arena);
    for (const Span& span : set.spans) {
      for (const Text name : kRemoved) {
        EXPECT_FALSE(has_prefix(span, name)) << dialect.name << " " << name;
      }
    }
  }
}

TEST(Privacy, KeepsIdsTimesTokensCostsAndTheWholeTraceObject) {
  Arena arena;
  Trace trace = secret_trace(arena);
  trace.settings.trace_name = "root";
  const Trace kept = redact(trace, {}, arena);
  EXPECT_EQ(kept.identity.generation_id, "gen-1");
  EXPECT_EQ(kept.identity.user_id, "user-7");
  EXPECT_EQ(kept.identity.session_id, "session-9");
  EXPECT_EQ(kept.trace_id, trace.trace_id);
  EXPECT_EQ(kept.settings.trace_name, "root");
  EXPECT_EQ(kept.start, trace.start);
  EXPECT_EQ(kept.end, trace.end);
  EXPECT_EQ(kept.usage.input, 105);
  EXPECT_EQ(kept.cost.total, 0.5);
  EXPECT_EQ(kept.metadata.size(), trace.metadata.size());
  EXPECT_EQ(kept.tags.size(), 2U);
  ASSERT_EQ(kept.finish_reasons.size(), 1U);
  EXPECT_EQ(kept.finish_reasons[0], "stop");
  ASSERT_EQ(kept.output_documents.size(), 1U);
  EXPECT_EQ(kept.output_documents[0].id, "0");
  EXPECT_EQ(kept.output_documents[0].score, 0.75);
}

TEST(Privacy, ErrorsBecomeTheirType) {
  Arena arena;
  const Trace trace = secret_trace(arena);
  const Trace kept = redact(trace, {}, arena);
  DialectOptions options;
  const SpanSet set = find_dialect("openinference")->write(kept, options, arena);
  EXPECT_EQ(set.spans[0].status, StatusCode::kError);
  EXPECT_EQ(set.spans[0].status_message, "invalid_request");
  EXPECT_EQ(set.spans[1].status_message, "invalid_request");
}

TEST(Privacy, ParametersKeepOnlyNamedScalars) {
  Arena arena;
  const Trace trace = secret_trace(arena);
  const auto kept = nlohmann::json::parse(redact(trace, {}, arena).parameters.json);
  EXPECT_EQ(kept,
            nlohmann::json::parse(R"({"model":"m","temperature":0.5,"seed":7,"stream":true})"));
}

TEST(Privacy, ParametersOneLevelDownAreKeptAlike) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.parameters.json =
      R"({"generationConfig":{"temperature":1,"topP":0.5,"responseSchema":{"a":"secret"},)"
      R"("stopSequences":["secret"]},"inferenceConfig":{"maxTokens":7},"options":{"num_ctx":8,)"
      R"("seed":{"temperature":1}},"labels":{"temperature":1}})";
  EXPECT_EQ(redact(trace, {}, arena).parameters.json,
            R"({"generationConfig":{"temperature":1,"topP":0.5},"inferenceConfig":{"maxTokens":7},)"
            R"("options":{"num_ctx":8}})");
}

TEST(Privacy, APromptUnderABorrowedNameDoesNotPass) {
  Arena arena;
  Trace trace = chat_trace(arena);
  const std::string long_text(5'000, 'x');
  const std::string json = R"({"service_tier":")" + long_text + R"(","model":["a","b"]})";
  trace.parameters.json = json;
  EXPECT_EQ(redact(trace, {}, arena).parameters.json, "{}");
}

TEST(Privacy, APromptWhereANameBelongsDoesNotPassInAnyDialectOrEncoding) {
  std::string prompt;
  while (prompt.size() < 200) prompt += kSecret;
  for (const DialectEntry& dialect : dialects()) {
    for (const Encoder& encoder : encoders()) {
      SCOPED_TRACE(std::string(dialect.name) + " " + std::string(encoder.name));
      Arena arena;
      Trace trace = chat_trace(arena);
      for (Text* const name :
           {&trace.model_requested, &trace.model_served, &trace.response_id, &trace.provider,
            &trace.region, &trace.system_fingerprint, &trace.service_tier,
            &trace.parameters.service_tier, &trace.parameters.encoding_format,
            &trace.parameters.output_type, &trace.outcome.error_type}) {
        *name = prompt;
      }
      trace.outcome.failed = true;
      trace.attempts.push_back({prompt, prompt, "", trace.start, trace.end, 400, prompt, kSecret});
      const Trace kept = redact(trace, {}, arena);
      EXPECT_EQ(kept.outcome.error_type, "error");
      EXPECT_EQ(encoded(kept, dialect, encoder, arena).find(kSecret), std::string::npos);
    }
  }
}

TEST(Privacy, AModelsNameIsBoundedWithoutPrivacyModeAsWell) {
  Arena arena;
  Trace trace = chat_trace(arena);
  const std::string name = std::string(100'000, 'x') + "THE-END";
  trace.model_requested = trace.model_served = name;
  trace.input_value = trace.parameters.json = {};
  Format format;
  format.dialect = find_dialect("generic");
  format.encoder = find_encoder("otlp_json");
  ByteBuffer out;
  write_record(trace, format, {}, arena, out);
  EXPECT_NE(out.view().find(std::string(512, 'x')), Bytes::npos);
  EXPECT_EQ(out.view().find(std::string(513, 'x')), Bytes::npos);
}

TEST(Privacy, HostileParametersThatAreNotJsonAreLeftOut) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.parameters.json = "{\"model\": ";
  EXPECT_EQ(redact(trace, {}, arena).parameters.json, "");
}

TEST(Privacy, AttributesStayOnlyWhereTheyAreNamed) {
  Arena arena;
  const Trace trace = secret_trace(arena);
  const Trace kept = redact(trace, {"kept.note", "absent"}, arena);
  ASSERT_EQ(kept.attributes.size(), 1U);
  EXPECT_EQ(kept.attributes[0].key, "kept.note");
}

}  // namespace
}  // namespace sidecast
