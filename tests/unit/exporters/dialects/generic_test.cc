#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "exporters/dialects/dialects.h"
#include "tests/unit/exporters/dialects/trace_fixture.h"

namespace sidecast {
namespace {

using nlohmann::json;

class Generic : public ::testing::Test {
 protected:
  // The generation's span (or the explicit one): the first without a level above it.
  const Span& write() {
    set_.emplace(write_generic(trace, options_, arena));
    return set_->spans.front();
  }
  json json_of(const Span& span, Text key) {
    const auto text = text_of(span, key);
    return text ? json::parse(*text) : json();
  }
  Message& say(ArenaVector<Message>& messages, Text role) {
    Message& message = messages.emplace_back(arena);
    message.role = role;
    return message;
  }

  Arena arena;
  Trace trace = chat_trace(arena);
  DialectOptions options_;

 private:
  std::optional<SpanSet> set_;
};

TEST_F(Generic, AReasonThatWasNeverSaidIsNoReason) {
  trace.finish_reasons.assign(1, Text());
  for (Message& message : trace.output_messages) message.finish_reason = {};
  EXPECT_FALSE(has_prefix(write(), "gen_ai.response.finish_reason"));
}

TEST_F(Generic, ValuesHaveTheirTypes) {
  const Span& span = write();
  EXPECT_EQ(value_of<double>(span, "gen_ai.request.temperature"), 1.0);
  EXPECT_EQ(value_of<std::int64_t>(span, "gen_ai.request.max_tokens"), 100);
  EXPECT_EQ(value_of<bool>(span, "gen_ai.request.stream"), true);
  EXPECT_EQ(texts_of(span, "gen_ai.request.stop_sequences"), std::vector<std::string>{"END"});
  EXPECT_EQ(texts_of(span, "gen_ai.response.finish_reasons"), std::vector<std::string>{"stop"});
  EXPECT_EQ(text_of(span, "gen_ai.response.finish_reason"), "stop");
  EXPECT_EQ(value_of<std::int64_t>(span, "gen_ai.usage.input_tokens"), 105);
  EXPECT_EQ(value_of<std::int64_t>(span, "gen_ai.usage.total_tokens"), 125);
  EXPECT_EQ(value_of<std::int64_t>(span, "gen_ai.usage.cache_read.input_tokens"), 90);
  EXPECT_EQ(value_of<std::int64_t>(span, "gen_ai.usage.input_tokens.cached"), 90);
  EXPECT_EQ(value_of<double>(span, "gen_ai.usage.total_cost"), 0.5);
  EXPECT_EQ(value_of<double>(span, "gen_ai.response.time_to_first_chunk"), 0.25);
}

TEST_F(Generic, TheSpanIsAClientCallNamedByOperationAndModel) {
  const Span& span = write();
  EXPECT_EQ(span.name, "chat gpt-4o-2024-08-06");
  EXPECT_EQ(span.kind, SpanKind::kClient);
  EXPECT_EQ(span.status, StatusCode::kOk);
  EXPECT_EQ(text_of(span, "gen_ai.operation.name"), "chat");
  EXPECT_EQ(text_of(span, "gen_ai.provider.name"), "openai");
  EXPECT_EQ(text_of(span, "gen_ai.request.model"), "openai/gpt-4o");
  EXPECT_EQ(text_of(span, "gen_ai.response.model"), "gpt-4o-2024-08-06");
  EXPECT_EQ(text_of(span, "gen_ai.response.id"), "chatcmpl-1");
  EXPECT_EQ(text_of(span, "openai.api.type"), "chat_completions");
}

TEST_F(Generic, OpenAisOwnNamesStayAwayFromOtherProviders) {
  trace.provider = "azure";
  trace.service_tier = "default";
  EXPECT_FALSE(has_prefix(write(), "openai."));
}

TEST_F(Generic, ContentIsJsonText) {
  const Span& span = write();
  const json prompt = json_of(span, "gen_ai.prompt");
  ASSERT_EQ(prompt.at("messages").size(), 2U);
  EXPECT_EQ(prompt.at("messages")[0], json({{"role", "system"}, {"content", "Be brief."}}));
  EXPECT_EQ(prompt.at("messages")[1].at("content"), "Hi \"there\"\n");
  EXPECT_EQ(json_of(span, "gen_ai.completion"), json({{"completion", "Hello"}}));
  const json tools = json_of(span, "gen_ai.tool.definitions");
  EXPECT_EQ(tools[0].at("name"), "weather");
  EXPECT_EQ(tools[0].at("parameters").at("type"), "object");
}

TEST_F(Generic, AnAnswerKeepsReasoningAndToolCalls) {
  trace.output_messages.clear();
  Message& answer = say(trace.output_messages, "assistant");
  Part reasoning;
  reasoning.kind = PartKind::kReasoning;
  reasoning.text = "Hmm.";
  Part call;
  call.kind = PartKind::kToolCall;
  call.id = "call_1";
  call.name = "weather";
  call.text = "{\"city\":";  // cut off by the token limit: not JSON, kept as text
  answer.parts.push_back(reasoning);
  answer.parts.push_back(call);
  const json completion = json_of(write(), "gen_ai.completion");
  EXPECT_EQ(completion.at("reasoning"), "Hmm.");
  EXPECT_EQ(completion.at("toolCalls")[0].at("id"), "call_1");
  EXPECT_EQ(completion.at("toolCalls")[0].at("function").at("arguments"), "{\"city\":");
}

TEST_F(Generic, SeveralChoicesAreAllThere) {
  Part part;
  part.text = "Bonjour";
  say(trace.output_messages, "assistant").parts.push_back(part);
  const json completion = json_of(write(), "gen_ai.completion");
  EXPECT_EQ(completion.at("completion"), "Hello");
  ASSERT_EQ(completion.at("choices").size(), 2U);
  EXPECT_EQ(completion.at("choices")[1].at("content"), "Bonjour");
}

TEST_F(Generic, MediaLeaveANoteOfTypeAndSize) {
  Message& message = say(trace.input_messages, "user");
  message.from_list = true;
  Part image;
  image.kind = PartKind::kImage;
  image.mime_type = "image/png";
  image.omitted_bytes = 12'345;
  message.parts.push_back(image);
  const json part = json_of(write(), "gen_ai.prompt").at("messages")[2].at("content")[0];
  EXPECT_EQ(part.at("type"), "image");
  EXPECT_EQ(part.at("mime_type"), "image/png");
  EXPECT_EQ(part.at("omitted_bytes"), 12'345);
}

TEST_F(Generic, ApisThatAreNotTakenApartShowTheirBodies) {
  trace.input_messages.clear();
  trace.output_messages.clear();
  trace.input_value = R"({"image":"a cat"})";
  trace.output_value = "not json";
  trace.output_is_json = false;
  const Span& span = write();
  EXPECT_EQ(text_of(span, "gen_ai.prompt"), trace.input_value);
  EXPECT_EQ(json_of(span, "gen_ai.completion"), json({{"completion", "not json"}}));
}

TEST_F(Generic, MetadataKeepsItsTypes) {
  const Span& span = write();
  EXPECT_EQ(text_of(span, "trace.metadata.feature"), "search");
  EXPECT_EQ(value_of<std::int64_t>(span, "trace.metadata.build"), 42);
  EXPECT_EQ(value_of<double>(span, "trace.metadata.ratio"), 0.5);
  EXPECT_EQ(value_of<bool>(span, "trace.metadata.beta"), true);
  EXPECT_EQ(text_of(span, "trace.metadata.list"), "[1,2]");
  EXPECT_EQ(find_attribute(span.attributes, "trace.metadata.nothing"), nullptr);
  EXPECT_EQ(text_of(span, "trace.metadata.gateway.generation_id"), "gen-1");
  EXPECT_EQ(text_of(span, "trace.metadata.gateway.api_key_name"), "team-a");
  EXPECT_EQ(texts_of(span, "trace.tags"), (std::vector<std::string>{"red", "blue"}));
  EXPECT_EQ(text_of(span, "deployment.region"), "eu") << "free-form attributes keep their names";
}

TEST_F(Generic, TheUsersKeyWinsOverTheGateways) {
  trace.metadata.push_back({"gateway.generation_id", Text("mine"), false});
  trace.attributes.push_back({"user.id", Text("somebody else"), false});
  const Span& span = write();
  EXPECT_EQ(text_of(span, "trace.metadata.gateway.generation_id"), "mine");
  EXPECT_EQ(text_of(span, "user.id"), "user-7") << "a name of the dialect's cannot be taken";
}

TEST_F(Generic, CountsAndCostsStayOnTheGenerationSpan) {
  trace.settings.trace_name = "Checkout";
  const Span& root = write();
  EXPECT_EQ(root.kind, SpanKind::kInternal);
  EXPECT_FALSE(has_prefix(root, "gen_ai.usage."));
  EXPECT_EQ(text_of(root, "session.id"), "session-9");
  EXPECT_EQ(text_of(root, "trace.metadata.feature"), "search");
  EXPECT_TRUE(text_of(root, "trace.input").has_value());
}

TEST_F(Generic, FailuresHaveATypeAMessageAndAnException) {
  trace.outcome = {429, true, false, "rate_limit_exceeded", "Slow down."};
  const Span& span = write();
  EXPECT_EQ(span.status, StatusCode::kError);
  EXPECT_EQ(span.status_message, "Slow down.");
  EXPECT_EQ(text_of(span, "error.type"), "rate_limit_exceeded");
  EXPECT_EQ(text_of(span, "span.level"), "ERROR");
  ASSERT_EQ(span.events.size(), 1U);
  EXPECT_EQ(span.events[0].name, "exception");
  EXPECT_EQ(span.events[0].time, trace.end);
}

TEST_F(Generic, AShedRecordSaysWhatItLacks) {
  trace.shed = {true, 1'000, 2'000};
  trace.input_messages.clear();
  trace.output_messages.clear();
  trace.input_value = trace.output_value = {};
  const Span& span = write();
  EXPECT_EQ(value_of<bool>(span, "trace.metadata.gateway.shed"), true);
  EXPECT_EQ(value_of<std::int64_t>(span, "trace.metadata.gateway.response_bytes"), 2'000);
  EXPECT_EQ(find_attribute(span.attributes, "gen_ai.prompt"), nullptr);
  EXPECT_EQ(texts_of(span, "gen_ai.response.finish_reasons"), std::vector<std::string>{"stop"});
}

TEST_F(Generic, EmbeddingsHaveTheirInputsButNoVectors) {
  trace.kind = TraceKind::kEmbedding;
  trace.operation = Operation::kEmbeddings;
  trace.input_messages.clear();
  trace.output_messages.clear();
  trace.prompts.assign({"one", "two"});
  trace.parameters.dimensions = 256;
  trace.parameters.encoding_format = "float";
  const Span& span = write();
  EXPECT_EQ(span.name, "embeddings gpt-4o-2024-08-06");
  EXPECT_EQ(json_of(span, "gen_ai.prompt"), json({{"input", {"one", "two"}}}));
  EXPECT_EQ(find_attribute(span.attributes, "gen_ai.completion"), nullptr);
  EXPECT_EQ(value_of<std::int64_t>(span, "gen_ai.embeddings.dimension.count"), 256);
  EXPECT_EQ(texts_of(span, "gen_ai.request.encoding_formats"), std::vector<std::string>{"float"});
}

TEST_F(Generic, ARerankShowsQueryAndRanking) {
  trace.kind = TraceKind::kReranker;
  trace.operation = Operation::kRerank;
  trace.input_messages.clear();
  trace.output_messages.clear();
  trace.rerank_query = "cats";
  trace.input_documents.push_back({"", "A cat.", {}});
  trace.output_documents.push_back({"0", "A cat.", 0.9});
  const Span& span = write();
  EXPECT_EQ(text_of(span, "gen_ai.operation.name"), "rerank");
  EXPECT_EQ(json_of(span, "gen_ai.prompt"), json({{"query", "cats"}, {"documents", {"A cat."}}}));
  EXPECT_EQ(json_of(span, "gen_ai.retrieval.documents"), json({{{"id", "0"}, {"score", 0.9}}}));
}

TEST_F(Generic, AnExplicitToolSpanShowsWhatItTookAndGave) {
  trace.is_explicit_span = true;
  trace.kind = TraceKind::kTool;
  trace.name = "search";
  trace.input_value = R"({"q":"cats"})";
  trace.output_value = "3 hits";
  trace.attributes.push_back({"gen_ai.tool.name", Text("web_search"), false});
  const Span& span = write();
  EXPECT_EQ(span.name, "search");
  EXPECT_EQ(span.kind, SpanKind::kInternal);
  EXPECT_EQ(text_of(span, "gen_ai.operation.name"), "execute_tool");
  EXPECT_EQ(text_of(span, "gen_ai.tool.name"), "web_search") << "the gateway's own name wins";
  EXPECT_EQ(text_of(span, "gen_ai.tool.call.arguments"), trace.input_value);
  EXPECT_EQ(text_of(span, "gen_ai.tool.call.result"), "3 hits");
  EXPECT_EQ(text_of(span, "deployment.region"), "eu");
}

}  // namespace
}  // namespace sidecast
