#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "exporters/dialects/dialects.h"
#include "tests/unit/exporters/dialects/trace_fixture.h"

namespace sidecast {
namespace {

using nlohmann::json;

class OpenInference : public ::testing::Test {
 protected:
  const Span& write() {
    set_.emplace(write_openinference(trace, options_, arena));
    return set_->spans.front();
  }
  // A message with these parts at the end of the input: input message number 2.
  Message& ask(Text role, std::initializer_list<Part> parts) {
    Message& message = trace.input_messages.emplace_back(arena);
    message.role = role;
    message.parts.assign(parts.begin(), parts.end());
    return message;
  }
  static Part part(PartKind kind, Text text) {
    Part part;
    part.kind = kind;
    part.text = text;
    return part;
  }

  Arena arena;
  Trace trace = chat_trace(arena);
  DialectOptions options_;

 private:
  std::optional<SpanSet> set_;
};

TEST_F(OpenInference, AnLlmSpanNamesModelSystemAndProvider) {
  const Span& span = write();
  EXPECT_EQ(span.name, "ChatCompletion");
  EXPECT_EQ(span.kind, SpanKind::kInternal);
  EXPECT_EQ(span.status, StatusCode::kOk);
  EXPECT_EQ(span.status_message, "");
  EXPECT_EQ(text_of(span, "openinference.span.kind"), "LLM");
  EXPECT_EQ(text_of(span, "llm.system"), "openai");
  EXPECT_EQ(text_of(span, "llm.provider"), "openai");
  EXPECT_EQ(text_of(span, "llm.model_name"), "gpt-4o-2024-08-06");
  EXPECT_EQ(text_of(span, "llm.request.model_name"), "openai/gpt-4o");
  EXPECT_EQ(text_of(span, "llm.response.model_name"), "gpt-4o-2024-08-06");
  EXPECT_EQ(text_of(span, "llm.invocation_parameters"), trace.parameters.json);
  EXPECT_EQ(text_of(span, "llm.finish_reason"), "stop");
}

TEST_F(OpenInference, RequestAndResponseModelAreNamedOnlyWhereTheyDiffer) {
  trace.model_requested = trace.model_served;
  const Span& span = write();
  EXPECT_EQ(find_attribute(span.attributes, "llm.request.model_name"), nullptr);
  EXPECT_EQ(find_attribute(span.attributes, "llm.response.model_name"), nullptr);
}

TEST_F(OpenInference, CountsAreIntegersAndCostsDoubles) {
  const Span& span = write();
  EXPECT_EQ(value_of<std::int64_t>(span, "llm.token_count.prompt"), 105);
  EXPECT_EQ(value_of<std::int64_t>(span, "llm.token_count.completion"), 20);
  EXPECT_EQ(value_of<std::int64_t>(span, "llm.token_count.total"), 125);
  EXPECT_EQ(value_of<std::int64_t>(span, "llm.token_count.prompt_details.cache_read"), 90);
  EXPECT_EQ(value_of<std::int64_t>(span, "llm.token_count.prompt_details.cache_write"), 5);
  EXPECT_EQ(value_of<std::int64_t>(span, "llm.token_count.completion_details.reasoning"), 3);
  EXPECT_EQ(value_of<double>(span, "llm.cost.total"), 0.5);
  EXPECT_EQ(value_of<double>(span, "llm.cost.prompt"), 0.25);
}

TEST_F(OpenInference, BodiesAndPlainMessages) {
  const Span& span = write();
  EXPECT_EQ(text_of(span, "input.value"), trace.input_value);
  EXPECT_EQ(text_of(span, "input.mime_type"), "application/json");
  EXPECT_EQ(text_of(span, "output.mime_type"), "application/json");
  EXPECT_EQ(text_of(span, "llm.input_messages.0.message.role"), "system");
  EXPECT_EQ(text_of(span, "llm.input_messages.1.message.content"), "Hi \"there\"\n");
  EXPECT_EQ(text_of(span, "llm.output_messages.0.message.content"), "Hello");
  EXPECT_FALSE(has_prefix(span, "llm.input_messages.1.message.contents"));
  EXPECT_EQ(text_of(span, "llm.tools.0.tool.json_schema"), trace.tools[0].json);
}

TEST_F(OpenInference, AListOfPartsUsesContentsAndNeverContent) {
  ask("user", {part(PartKind::kText, "Look")}).from_list = true;
  const Span& span = write();
  const std::string at = "llm.input_messages.2.message.";
  EXPECT_EQ(text_of(span, at + "contents.0.message_content.type"), "text");
  EXPECT_EQ(text_of(span, at + "contents.0.message_content.text"), "Look");
  EXPECT_EQ(find_attribute(span.attributes, at + "content"), nullptr);
}

TEST_F(OpenInference, MediaAreAddressesMarkersOrNotes) {
  Part inlined = part(PartKind::kImage, "");
  inlined.mime_type = "image/png";
  inlined.omitted_bytes = 9;
  Part elsewhere = part(PartKind::kImage, "");
  elsewhere.url = "https://example.com/cat.png";
  Part audio = part(PartKind::kAudio, "spoken");
  audio.mime_type = "audio/wav";
  Part file = part(PartKind::kFile, "");
  file.name = "report.pdf";
  file.mime_type = "application/pdf";
  file.omitted_bytes = 12'345;
  ask("user", {inlined, elsewhere, audio, file});
  const Span& span = write();
  const std::string at = "llm.input_messages.2.message.contents.";
  EXPECT_EQ(text_of(span, at + "0.message_content.type"), "image");
  EXPECT_EQ(text_of(span, at + "0.message_content.image.image.url"), "__REDACTED__");
  EXPECT_EQ(text_of(span, at + "1.message_content.image.image.url"), elsewhere.url);
  EXPECT_EQ(text_of(span, at + "2.message_content.audio.audio.url"), "__REDACTED__");
  EXPECT_EQ(text_of(span, at + "2.message_content.audio.audio.mime_type"), "audio/wav");
  EXPECT_EQ(text_of(span, at + "2.message_content.audio.audio.transcript"), "spoken");
  EXPECT_EQ(text_of(span, at + "3.message_content.type"), "text");
  EXPECT_EQ(text_of(span, at + "3.message_content.text"),
            "[file report.pdf, application/pdf, 12345 bytes left out]");
}

TEST_F(OpenInference, ReasoningKeepsItsIdAndSignature) {
  Part reasoning = part(PartKind::kReasoning, "Hmm.");
  reasoning.id = "rs_1";
  reasoning.signature = "sig";
  ask("assistant", {reasoning, part(PartKind::kText, "Yes.")});
  const Span& span = write();
  const std::string at = "llm.input_messages.2.message.contents.";
  EXPECT_EQ(text_of(span, at + "0.message_content.type"), "reasoning");
  EXPECT_EQ(text_of(span, at + "0.message_content.id"), "rs_1");
  EXPECT_EQ(text_of(span, at + "0.message_content.signature"), "sig");
  EXPECT_EQ(text_of(span, at + "1.message_content.text"), "Yes.");
}

TEST_F(OpenInference, ToolCallsKeepTheirArgumentsAsTheModelWroteThem) {
  Part call = part(PartKind::kToolCall, "{\"city\": ");
  call.id = "call_1";
  call.name = "weather";
  ask("assistant", {call});
  const Span& span = write();
  const std::string at = "llm.input_messages.2.message.tool_calls.0.tool_call.";
  EXPECT_EQ(text_of(span, at + "id"), "call_1");
  EXPECT_EQ(text_of(span, at + "function.name"), "weather");
  EXPECT_EQ(text_of(span, at + "function.arguments"), "{\"city\": ");
}

// Anthropic: one user message with two tool results and a text becomes three messages.
TEST_F(OpenInference, ToolResultsAreMessagesOfTheirOwnBeforeTheRest) {
  Part first = part(PartKind::kToolResult, "12 C");
  first.id = "call_1";
  Part second = part(PartKind::kToolResult, "rain");
  second.id = "call_2";
  ask("user", {first, second, part(PartKind::kText, "And?")});
  const Span& span = write();
  EXPECT_EQ(text_of(span, "llm.input_messages.2.message.role"), "tool");
  EXPECT_EQ(text_of(span, "llm.input_messages.2.message.tool_call_id"), "call_1");
  EXPECT_EQ(text_of(span, "llm.input_messages.2.message.content"), "12 C");
  EXPECT_EQ(text_of(span, "llm.input_messages.3.message.tool_call_id"), "call_2");
  EXPECT_EQ(text_of(span, "llm.input_messages.4.message.role"), "user");
  EXPECT_EQ(text_of(span, "llm.input_messages.4.message.content"), "And?");
  EXPECT_FALSE(has_prefix(span, "llm.input_messages.5."));
}

TEST_F(OpenInference, ARefusalIsText) {
  ask("assistant", {part(PartKind::kRefusal, "No.")});
  EXPECT_EQ(text_of(write(), "llm.input_messages.2.message.content"), "No.");
}

TEST_F(OpenInference, UnknownPartsAreTheirJson) {
  ask("user", {part(PartKind::kOther, R"({"type":"novel"})")});
  EXPECT_EQ(text_of(write(), "llm.input_messages.2.message.contents.0.message_content.text"),
            R"({"type":"novel"})");
}

TEST_F(OpenInference, LegacyCompletionsHavePromptsAndChoices) {
  trace.operation = Operation::kCompletions;
  trace.input_messages.clear();
  trace.prompts.assign({"Once", "Twice"});
  const Span& span = write();
  EXPECT_EQ(span.name, "Completion");
  EXPECT_EQ(text_of(span, "llm.prompts.1.prompt.text"), "Twice");
  EXPECT_EQ(text_of(span, "llm.choices.0.completion.text"), "Hello");
  EXPECT_FALSE(has_prefix(span, "llm.output_messages."));
}

TEST_F(OpenInference, MetadataIsOneJsonTextWithTheGatewaysFactsApart) {
  const auto text = text_of(write(), "metadata");
  ASSERT_TRUE(text.has_value());
  const json metadata = json::parse(*text);
  EXPECT_EQ(metadata.at("feature"), "search");
  EXPECT_EQ(metadata.at("build"), 42);
  EXPECT_EQ(metadata.at("list"), json::parse("[1,2]"));
  EXPECT_TRUE(metadata.at("nothing").is_null());
  EXPECT_EQ(metadata.at("gateway").at("generation_id"), "gen-1");
  EXPECT_EQ(metadata.at("gateway").at("first_token_ms"), 250);
  EXPECT_FALSE(has_prefix(write(), "metadata."));
}

TEST_F(OpenInference, AUsersGatewayKeyIsNotOverwritten) {
  trace.metadata.push_back({"gateway", Text("mine"), false});
  const json metadata = json::parse(*text_of(write(), "metadata"));
  EXPECT_EQ(metadata.at("gateway"), "mine");
  EXPECT_EQ(metadata.at("sidecast").at("generation_id"), "gen-1");
}

TEST_F(OpenInference, TheFirstTokenIsAnEvent) {
  const Span& span = write();
  ASSERT_EQ(span.events.size(), 1U);
  EXPECT_EQ(span.events[0].name, "First Token Stream Event");
  EXPECT_EQ(span.events[0].time, *trace.first_token);
}

TEST_F(OpenInference, AFailureIsAnExceptionEvent) {
  trace.outcome = {429, true, false, "rate_limit_exceeded", "Slow down."};
  trace.first_token.reset();
  const Span& span = write();
  EXPECT_EQ(span.status, StatusCode::kError);
  ASSERT_EQ(span.events.size(), 1U);
  const auto& attributes = span.events[0].attributes;
  EXPECT_EQ(std::get<Text>(find_attribute(attributes, "exception.type")->value),
            "rate_limit_exceeded");
  EXPECT_EQ(std::get<Text>(find_attribute(attributes, "exception.message")->value), "Slow down.");
  EXPECT_EQ(find_attribute(attributes, "exception.escaped"), nullptr);
}

TEST_F(OpenInference, AnEmbeddingHasAFixedNameAndNeitherSystemNorProvider) {
  trace.kind = TraceKind::kEmbedding;
  trace.operation = Operation::kEmbeddings;
  trace.settings.generation_name = "my name";
  trace.input_messages.clear();
  trace.output_messages.clear();
  trace.prompts.assign({"one", "two"});
  const Span& span = write();
  EXPECT_EQ(span.name, "CreateEmbeddings");
  EXPECT_EQ(text_of(span, "openinference.span.kind"), "EMBEDDING");
  EXPECT_EQ(find_attribute(span.attributes, "llm.system"), nullptr);
  EXPECT_EQ(find_attribute(span.attributes, "llm.provider"), nullptr);
  EXPECT_EQ(text_of(span, "embedding.model_name"), "gpt-4o-2024-08-06");
  EXPECT_EQ(text_of(span, "embedding.embeddings.1.embedding.text"), "two");
  EXPECT_EQ(value_of<std::int64_t>(span, "llm.token_count.prompt"), 105);
  EXPECT_EQ(find_attribute(span.attributes, "output.value"), nullptr);
}

TEST_F(OpenInference, ARerankListsItsDocuments) {
  trace.kind = TraceKind::kReranker;
  trace.operation = Operation::kRerank;
  trace.rerank_query = "cats";
  trace.rerank_top_k = 1;
  trace.input_documents.push_back({"", "A dog.", {}});
  trace.input_documents.push_back({"", "A cat.", {}});
  trace.output_documents.push_back({"1", "A cat.", 0.9});
  const Span& span = write();
  EXPECT_EQ(span.name, "Rerank");
  EXPECT_EQ(text_of(span, "openinference.span.kind"), "RERANKER");
  EXPECT_EQ(text_of(span, "reranker.query"), "cats");
  EXPECT_EQ(value_of<std::int64_t>(span, "reranker.top_k"), 1);
  EXPECT_EQ(text_of(span, "reranker.input_documents.1.document.content"), "A cat.");
  EXPECT_EQ(text_of(span, "reranker.output_documents.0.document.id"), "1");
  EXPECT_EQ(value_of<double>(span, "reranker.output_documents.0.document.score"), 0.9);
  EXPECT_EQ(find_attribute(span.attributes, "llm.system"), nullptr);
}

TEST_F(OpenInference, LevelsAreChainsWithTheContextOfTheTrace) {
  trace.settings.trace_name = "Checkout";
  const Span& root = write();
  EXPECT_EQ(text_of(root, "openinference.span.kind"), "CHAIN");
  EXPECT_EQ(text_of(root, "session.id"), "session-9");
  EXPECT_EQ(text_of(root, "user.id"), "user-7");
  EXPECT_EQ(texts_of(root, "tag.tags"), (std::vector<std::string>{"red", "blue"}));
  EXPECT_EQ(text_of(root, "input.value"), trace.input_value);
  EXPECT_FALSE(has_prefix(root, "llm."));
  EXPECT_EQ(json::parse(*text_of(root, "metadata")).at("feature"), "search");
}

TEST_F(OpenInference, ExplicitSpansKeepTheirKindAndTheirOwnAttributes) {
  trace.is_explicit_span = true;
  trace.kind = TraceKind::kRetriever;
  trace.name = "vector store";
  trace.attributes.clear();
  trace.attributes.push_back({"retrieval.documents.0.document.content", Text("A cat."), false});
  const Span& retriever = write();
  EXPECT_EQ(retriever.name, "vector store");
  EXPECT_EQ(text_of(retriever, "openinference.span.kind"), "RETRIEVER");
  EXPECT_EQ(text_of(retriever, "retrieval.documents.0.document.content"), "A cat.");
  EXPECT_EQ(text_of(retriever, "input.value"), trace.input_value);

  trace.kind = TraceKind::kTool;
  EXPECT_EQ(text_of(write(), "tool.name"), "vector store");
  trace.kind = TraceKind::kAgent;
  EXPECT_EQ(text_of(write(), "agent.name"), "vector store");
  trace.attributes.push_back({"agent.name", Text("planner"), false});
  EXPECT_EQ(text_of(write(), "agent.name"), "planner");
}

TEST_F(OpenInference, ACallThatSaysNothingSpendsNoIndex) {
  trace.output_messages.clear();
  Message& message = trace.output_messages.emplace_back(arena);
  message.role = "assistant";
  message.parts.push_back(part(PartKind::kToolCall, ""));
  message.parts.push_back(part(PartKind::kToolCall, "{}"));
  const SpanSet set = write_openinference(trace, options_, arena);
  EXPECT_EQ(text_of(set.spans[0],
                    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments"),
            "{}");
  EXPECT_FALSE(has_prefix(set.spans[0], "llm.output_messages.0.message.tool_calls.1"));
}

TEST_F(OpenInference, FlatMetadataReplacesTheJsonText) {
  trace.attempts.push_back({"A", "m", "/v1", trace.start, trace.end, 503, "overloaded", "busy"});
  DialectOptions options;
  options.flat_metadata = true;
  const SpanSet set = write_openinference(trace, options, arena);
  for (const Span& span : set.spans) {
    EXPECT_EQ(find_attribute(span.attributes, "metadata"), nullptr) << span.name;
  }
  EXPECT_EQ(text_of(set.spans[0], "metadata.feature"), "search");
  EXPECT_EQ(value_of<std::int64_t>(set.spans[0], "metadata.build"), 42);
  EXPECT_EQ(text_of(set.spans[0], "metadata.gateway.account"), "acme");
  EXPECT_EQ(value_of<std::int64_t>(set.spans[1], "metadata.http_status"), 503);
}

}  // namespace
}  // namespace sidecast
