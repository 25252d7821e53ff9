// Portkey's own log API: the shape of a log, and what its answers mean.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/exporters/destinations/native_fixture.h"

namespace sidecast {
namespace {

using nlohmann::json;
using Kind = Verdict::Kind;

std::unique_ptr<const Exporter> portkey() {
  auto made = make_destination("portkey-logs", {});
  EXPECT_TRUE(made) << made.error().message();
  return std::move(*made);
}

json log_of(const Trace& trace, bool privacy_mode = false) {
  return json::parse(encoded_record(*portkey(), trace, privacy_mode));
}

TEST(PortkeyLogsRequest, IsAnArrayOfLogsWithTheKeyOfTheWorkspace) {
  const auto exporter = portkey();
  Request request = exporter->encode(frozen_batch(exporter->format(), {"{}", "{}"}))->at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.url, "https://api.portkey.ai/v1/logs");
  EXPECT_EQ(body_of(request), "[{},{}]");
  Secrets secrets;
  secrets.emplace("api_key", Secret("k"));
  ASSERT_TRUE(exporter->authorise(request, secrets, kTestNow));
  EXPECT_EQ(header_of(request, "x-portkey-api-key"), "k");
}

TEST(PortkeyLogsAnswer, OnlyTheTestMayBeTooEmpty) {
  const auto exporter = portkey();
  const Request request = exporter->encode(frozen_batch(exporter->format(), {"{}"}))->at(0);
  const auto verdict = [&](const Request& asked, int status) {
    return exporter->judge(asked, answer_of(status), kTestNow).kind;
  };
  EXPECT_EQ(verdict(exporter->probe(kTestNow), 400), Kind::kDelivered);
  EXPECT_EQ(verdict(exporter->probe(kTestNow), 401), Kind::kPause);
  EXPECT_EQ(verdict(request, 400), Kind::kRejected);
  EXPECT_EQ(verdict(request, 429), Kind::kRetry);
  EXPECT_EQ(verdict(request, 413), Kind::kSplit);
}

TEST(PortkeyLog, BodiesThatAreThereAreSentAsTheyWere) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.input_is_json = trace.output_is_json = true;
  trace.input_value = R"({"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}],"n":2})";
  trace.output_value = R"({"id":"chatcmpl-1","usage":{"prompt_tokens":105}})";
  trace.endpoint = "/api/v1/chat/completions";
  const json log = log_of(trace);
  EXPECT_EQ(log.at("request"), json::parse(R"({
    "url": "/api/v1/chat/completions", "provider": "openai", "method": "POST",
    "headers": {"content-type": "application/json"},
    "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "n": 2}})"));
  const json& response = log.at("response");
  EXPECT_EQ(response.at("body"), json::parse(trace.output_value));
  EXPECT_EQ(response.at("status"), 200);
  EXPECT_EQ(response.at("response_time"), 2000);
  EXPECT_EQ(response.at("streamingMode"), trace.parameters.stream);
}

TEST(PortkeyLog, WithoutBodiesTheyAreMadeInTheShapeOfAChat) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.input_value = trace.output_value = {};
  const json log = log_of(trace);
  EXPECT_EQ(log.at("request").at("url"), "/v1/chat/completions");
  const json& asked = log.at("request").at("body");
  EXPECT_EQ(asked.at("model"), "gpt-4o-2024-08-06");
  EXPECT_EQ(asked.at("messages").back().at("content"), "Hi \"there\"\n");
  const json& answer = log.at("response").at("body");
  EXPECT_EQ(answer.at("choices").at(0).at("message").at("content"), "Hello");
  EXPECT_EQ(answer.at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(answer.at("usage"),
            json::parse(R"({"prompt_tokens":105,"completion_tokens":20,"total_tokens":125})"));
}

TEST(PortkeyLog, MetadataNamesTheTraceTheUserAndTheCost) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_id_text = "workflow-1";
  trace.settings.parent_span_id_text = "above";
  trace.metadata.push_back({"model", Text("mine"), false});
  const json metadata = log_of(trace).at("metadata");
  EXPECT_EQ(metadata.at("traceId"), "workflow-1");
  EXPECT_EQ(metadata.at("spanId"), to_hex(hash_span_id(trace.identity.generation_id).view()));
  EXPECT_EQ(metadata.at("parentSpanId"), "above");
  EXPECT_EQ(metadata.at("endTime"), unix_ns(trace.end));
  for (const char* name : {"user", "_user"}) EXPECT_EQ(metadata.at(name), "user-7");
  EXPECT_EQ(metadata.at("session_id"), "session-9");
  EXPECT_EQ(metadata.at("cost_usd"), 0.5);
  EXPECT_EQ(metadata.at("model"), "gpt-4o-2024-08-06") << "the user's key of that name is not ours";
  EXPECT_EQ(metadata.at("feature"), "search");
  EXPECT_EQ(metadata.at("build"), 42);
  EXPECT_EQ(metadata.at("list"), "[1,2]") << "pairs of a name and a scalar";
  EXPECT_EQ(metadata.at("gateway.generation_id"), "gen-1");
}

TEST(PortkeyLog, ProvidersHavePortkeysNames) {
  Arena arena;
  Trace trace = chat_trace(arena);
  for (const auto& [provider, slug] : {std::pair("Azure", "azure-openai"),
                                       {"Amazon Bedrock", "bedrock"},
                                       {"Google AI Studio", "google"},
                                       {"Mistral", "mistral-ai"},
                                       {"Anthropic", "anthropic"},
                                       {"Some New One", "some-new-one"}}) {
    trace.provider = provider;
    EXPECT_EQ(log_of(trace).at("request").at("provider"), slug);
  }
}

TEST(PortkeyLog, AFailureHasAStatusThatIsOne) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.output_value = {};
  trace.output_messages.clear();
  trace.outcome = {.failed = true, .error_type = "timeout", .error_message = "words"};
  EXPECT_EQ(log_of(trace).at("response").at("status"), 500);
  EXPECT_EQ(log_of(trace).at("response").at("body").at("error"),
            json::parse(R"({"type":"timeout","message":"words"})"));
  trace.outcome.http_status = 429;
  EXPECT_EQ(log_of(trace).at("response").at("status"), 429);
  trace.outcome = {.aborted = true};
  EXPECT_EQ(log_of(trace).at("response").at("status"), 499);
}

TEST(PortkeyLog, PrivacyLeavesNoContentInAnyCopy) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.input_is_json = trace.output_is_json = true;
  trace.input_value = R"({"model":"gpt-4o","messages":["canary"]})";
  trace.output_value = R"({"choices":["canary"]})";
  trace.outcome = {.failed = true, .error_type = "refused", .error_message = "canary"};
  for (ArenaVector<Message>* messages : {&trace.input_messages, &trace.output_messages}) {
    messages->back().parts.front().text = "canary";
  }
  EXPECT_NE(log_of(trace).dump().find("canary"), std::string::npos);
  const json log = log_of(trace, true);
  EXPECT_EQ(log.dump().find("canary"), std::string::npos) << log;
  EXPECT_FALSE(log.at("request").at("body").contains("messages"));
  EXPECT_EQ(log.at("request").at("body").at("model"), "gpt-4o-2024-08-06");
  EXPECT_EQ(log.at("response").at("body").at("usage").at("prompt_tokens"), 105) << "prices need it";
  EXPECT_EQ(log.at("metadata").at("cost_usd"), 0.5);
}

}  // namespace
}  // namespace sidecast
