// Explicit spans: what a gateway ran itself.
#include <string>

#include <gtest/gtest.h>

#include "engine/base/bytes.h"
#include "shm/include/sidecast.h"
#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class ExplicitSpan : public testing::Test, public RecordFixture {
 protected:
  ExplicitSpan() { record.kind = shm::RecordKind::kSpan; }
};

TEST_F(ExplicitSpan, KindNameIdsAndValuesAreKept) {
  record.span_kind = SIDECAST_SPAN_TOOL;
  record.name = "search";
  record.span_id = "00f067aa0ba902b7";
  record.parent_id = "gen-1";
  record.request = R"({"q":1})";
  record.response = "plain text";
  record.attributes_json = R"({"tool.name":"search"})";
  record.error_type = "timeout";
  const Trace trace = normalise();
  EXPECT_TRUE(trace.is_explicit_span);
  EXPECT_EQ(trace.kind, TraceKind::kTool);
  EXPECT_EQ(trace.name, "search");
  EXPECT_EQ(to_hex(trace.span_id.value().view()), "00f067aa0ba902b7");
  EXPECT_EQ(trace.settings.parent_span_id.value(), hash_span_id("gen-1"));
  EXPECT_EQ(trace.input_value, R"({"q":1})");
  EXPECT_TRUE(trace.input_is_json);
  EXPECT_EQ(trace.output_value, "plain text");
  EXPECT_FALSE(trace.output_is_json);
  EXPECT_EQ(trace.attributes.size(), 1U);
  EXPECT_TRUE(trace.outcome.failed);
}

TEST_F(ExplicitSpan, ASpanUnderAGenerationIsInItsTrace) {
  record.parent_id = "gen-1";
  EXPECT_EQ(normalise().trace_id, hash_trace_id("gen-1"));
  record.trace_json = R"({"trace_id":"t"})";
  EXPECT_EQ(normalise().trace_id, hash_trace_id("t"));
}

TEST_F(ExplicitSpan, EveryKindIsKnown) {
  const TraceKind kinds[] = {TraceKind::kUnknown,   TraceKind::kLlm,       TraceKind::kEmbedding,
                             TraceKind::kChain,     TraceKind::kRetriever, TraceKind::kReranker,
                             TraceKind::kTool,      TraceKind::kAgent,     TraceKind::kGuardrail,
                             TraceKind::kEvaluator, TraceKind::kPrompt,    TraceKind::kUnknown};
  for (std::int32_t kind = 0; kind < 12; ++kind) {
    record.span_kind = kind;
    EXPECT_EQ(normalise().kind, kinds[kind]) << kind;
  }
}

TEST_F(ExplicitSpan, MediaInItsValuesLeave) {
  record.request = R"({"url":"data:image/png;base64,iVBORw0KGgo="})";
  EXPECT_EQ(normalise().input_value, R"({"url":"[image/png, 12 bytes left out]"})");
}

TEST_F(ExplicitSpan, AModelCallIsTakenApartLikeAnyOther) {
  record.span_kind = SIDECAST_SPAN_LLM;
  record.request = R"({"model":"m","messages":[{"role":"user","content":"q"}]})";
  record.response =
      R"({"object":"chat.completion","model":"m-1","choices":[{"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}})";
  const Trace trace = normalise();
  EXPECT_EQ(trace.kind, TraceKind::kLlm);
  EXPECT_EQ(show(trace.input_messages.at(0)), "user t<q>");
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<a>");
  EXPECT_EQ(trace.model_served, "m-1");
  EXPECT_EQ(trace.usage.input, 3);
}

TEST_F(ExplicitSpan, ItsKindIsTheGatewaysWord) {
  record.span_kind = SIDECAST_SPAN_EMBEDDING;
  record.request = R"({"input":["a","b"]})";
  record.response = R"({"object":"chat.completion","choices":[]})";
  EXPECT_EQ(normalise().kind, TraceKind::kEmbedding);
  record.span_kind = SIDECAST_SPAN_RERANKER;
  record.request = R"({"query":"q","documents":["a","b"],"top_n":1})";
  record.response = R"({"results":[{"index":1,"relevance_score":0.5}]})";
  const Trace trace = normalise();
  EXPECT_EQ(trace.kind, TraceKind::kReranker);
  EXPECT_EQ(trace.rerank_query, "q");
  EXPECT_EQ(trace.input_documents.size(), 2U);
  EXPECT_EQ(trace.output_documents.at(0).score, 0.5);
}

TEST_F(ExplicitSpan, ARetrieversDocumentsAreFound) {
  record.span_kind = SIDECAST_SPAN_RETRIEVER;
  record.request = R"({"query":"tides","top_k":2})";
  record.response =
      R"({"documents":[{"id":"d1","page_content":"one","score":0.9},{"id":7,"text":"two"},"three",{"other":1}]})";
  const Trace trace = normalise();
  EXPECT_EQ(trace.rerank_query, "tides");
  EXPECT_EQ(trace.rerank_top_k, 2);
  ASSERT_EQ(trace.output_documents.size(), 3U);
  EXPECT_EQ(trace.output_documents[0].id, "d1");
  EXPECT_EQ(trace.output_documents[0].content, "one");
  EXPECT_EQ(trace.output_documents[0].score, 0.9);
  EXPECT_EQ(trace.output_documents[1].id, "7");
  EXPECT_EQ(trace.output_documents[2].content, "three");
  record.request = "what are tides?";
  record.response = R"([{"content":"one"}])";
  EXPECT_EQ(normalise().rerank_query, "what are tides?");
}

// All attributes, "key=value " each.
std::string show(const ArenaVector<Metadatum>& attributes) {
  std::string shown;
  for (const Metadatum& attribute : attributes) {
    shown += std::string(attribute.key) + "=";
    if (const auto* text = std::get_if<Text>(&attribute.value)) shown += *text;
    if (const auto* integer = std::get_if<std::int64_t>(&attribute.value)) {
      shown += std::to_string(*integer);
    }
    if (const auto* number = std::get_if<double>(&attribute.value)) {
      shown += std::to_string(*number);
    }
    if (const auto* flag = std::get_if<bool>(&attribute.value)) shown += *flag ? "true" : "false";
    shown += " ";
  }
  return shown;
}

TEST_F(ExplicitSpan, AttributesOfEachKindHaveOpenInferencesKeys) {
  struct Case {
    std::int32_t kind;
    Text attributes;
    Text expected;
  };
  const Case cases[] = {
      {SIDECAST_SPAN_TOOL, R"({"tool":{"name":"search","parameters":{"q":{"type":"string"}}}})",
       R"(tool.name=search tool.parameters={"q":{"type":"string"}} )"},
      {SIDECAST_SPAN_AGENT,
       R"({"agent.name":"a","graph":{"node":{"id":"n2","parent_id":"n1","name":"plan"}}})",
       "agent.name=a graph.node.id=n2 graph.node.parent_id=n1 graph.node.name=plan "},
      {SIDECAST_SPAN_RETRIEVER,
       R"({"retrieval.documents":[{"document.id":"d","document.score":0.5,"document.metadata":{"a":1}}]})",
       R"(retrieval.documents.0.document.id=d retrieval.documents.0.document.score=0.500000 )"
       R"(retrieval.documents.0.document.metadata={"a":1} )"},
      {SIDECAST_SPAN_RERANKER, R"({"reranker":{"query":"q","top_k":3}})",
       "reranker.query=q reranker.top_k=3 "},
      {SIDECAST_SPAN_EMBEDDING,
       R"({"embedding.embeddings":[{"embedding":{"text":"t","vector":[0.5,1]}}]})",
       "embedding.embeddings.0.embedding.text=t embedding.embeddings.0.embedding.vector=[0.5,1] "},
      {SIDECAST_SPAN_PROMPT,
       R"({"llm.prompt_template":{"template":"{x}","variables":{"x":1}},"prompt.id":"p"})",
       R"(llm.prompt_template.template={x} llm.prompt_template.variables={"x":1} prompt.id=p )"},
      {SIDECAST_SPAN_EVALUATOR,
       R"({"annotations":[{"annotation":{"name":"ok","score":1,"label":"yes"}}]})",
       "annotations.0.annotation.name=ok annotations.0.annotation.score=1 "
       "annotations.0.annotation.label=yes "},
      {SIDECAST_SPAN_GUARDRAIL, R"({"guard":{"name":"pii"},"blocked":true})",
       R"(guard={"name":"pii"} blocked=true )"},
      {SIDECAST_SPAN_CHAIN, R"({"step":[{"a":1}]})", R"(step=[{"a":1}] )"},
      {SIDECAST_SPAN_LLM,
       R"({"llm.input_messages":[{"message":{"role":"user","tool_calls":[{"tool_call":{"function":{"name":"f","arguments":{"a":1}}}}]}}]})",
       R"(llm.input_messages.0.message.role=user )"
       R"(llm.input_messages.0.message.tool_calls.0.tool_call.function.name=f )"
       R"(llm.input_messages.0.message.tool_calls.0.tool_call.function.arguments={"a":1} )"},
      {SIDECAST_SPAN_UNKNOWN, R"({"a":{"b":1}})", R"(a={"b":1} )"},
  };
  for (const Case& span : cases) {
    record.span_kind = span.kind;
    record.attributes_json = span.attributes;
    EXPECT_EQ(show(normalise().attributes), span.expected) << span.kind;
  }
}

TEST_F(ExplicitSpan, ModelUsageAndCostAmongItsAttributesAreKnownToEveryDialect) {
  record.span_kind = SIDECAST_SPAN_LLM;
  record.attributes_json =
      R"({"llm":{"model_name":"m","provider":"openai","token_count":{"prompt":5,"completion":2,"prompt_details":{"cache_read":3}},"cost":{"total":0.5,"prompt":1}}})";
  const Trace trace = normalise();
  EXPECT_EQ(trace.model_served, "m");
  EXPECT_EQ(trace.provider, "openai");
  EXPECT_EQ(trace.usage.input, 5);
  EXPECT_EQ(trace.usage.output, 2);
  EXPECT_EQ(trace.usage.cache_read, 3);
  EXPECT_EQ(trace.cost.total, 0.5);
  EXPECT_EQ(trace.cost.input, 1.0);
}

TEST_F(ExplicitSpan, HostileAttributesAreBoundedAndCounted) {
  std::string json = R"({"llm":)";
  for (int i = 0; i < 100; ++i) json += R"({"a":)";
  json += "1" + std::string(101, '}');
  record.attributes_json = json;
  EXPECT_EQ(normalise().attributes.size(), 1U);
  json = R"({"llm":[)";
  for (int i = 0; i < 1000; ++i) json += R"({"a":1},)";
  json += "{}]}";
  record.attributes_json = json;
  const Trace trace = normalise();
  EXPECT_EQ(trace.attributes.size(), 128U);
  EXPECT_EQ(trace.metadata_dropped, 1U);
}

}  // namespace
}  // namespace sidecast
