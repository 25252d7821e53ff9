// PostHog: the key in front of a frozen body, and the shape of events.
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <zlib.h>

#include "exporters/compress/glue.h"
#include "tests/unit/exporters/destinations/native_fixture.h"

namespace sidecast {
namespace {

using nlohmann::json;

std::unique_ptr<const Exporter> posthog(const OptionChanges& changes = {}) {
  auto made = make_destination("posthog", changes);
  EXPECT_TRUE(made) << made.error().message();
  return std::move(*made);
}

std::string gunzip(const std::string& packed) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string plain(1U << 20U, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END) << "checksum and size are checked too";
  EXPECT_EQ(stream.avail_in, 0U) << "one member, and nothing after it";
  plain.resize(stream.total_out);
  inflateEnd(&stream);
  return plain;
}

TEST(GlueGzip, IsOneMemberOfBoth) {
  Compressor compressor;
  for (const std::size_t size : {0U, 1U, 1000U, 300'000U}) {
    std::string body;
    for (std::size_t i = 0; body.size() < size; ++i) body += std::to_string(i * i);
    const Bytes pieces[] = {body};
    const std::string member = compressor.compress(Compression::kGzip, pieces);
    for (const std::size_t prefix_size : {0U, 1U, 40U, 65'535U}) {
      const std::string prefix(prefix_size, 'p');
      GluedGzip glued;
      ASSERT_TRUE(glue_gzip(prefix, member, glued));
      EXPECT_EQ(gunzip(glued.head + std::string(glued.middle) + glued.tail), prefix + body);
    }
  }
}

TEST(GlueGzip, HostileInputIsRefused) {
  GluedGzip glued;
  for (const std::string& wrong :
       {std::string(), std::string("\x1f\x8b\x08"), std::string(40, 'x')}) {
    EXPECT_FALSE(glue_gzip("p", wrong, glued));
  }
  Compressor compressor;
  const Bytes pieces[] = {"body"};
  const std::string member = compressor.compress(Compression::kGzip, pieces);
  EXPECT_FALSE(glue_gzip(std::string(65'536, 'p'), member, glued));
}

TEST(PostHogRequest, HasTheKeyInFrontWhateverTheCompression) {
  Secrets secrets;
  secrets.emplace("api_key", Secret("phc_\"x"));
  for (const char* compression : {"none", "gzip"}) {
    const auto exporter = posthog({{"compression", compression}});
    Request request = exporter->encode(frozen_batch(exporter->format(), {"{}", "{}"}))->at(0);
    EXPECT_EQ(request.url, "https://us.i.posthog.com/batch/");
    for (int attempt = 0; attempt < 2; ++attempt) {
      ASSERT_TRUE(exporter->authorise(request, secrets, kTestNow));
      const std::string body = body_of(request);
      EXPECT_EQ(compression == std::string("gzip") ? gunzip(body) : body,
                R"({"api_key":"phc_\"x","batch":[{},{}]})");
    }
  }
}

TEST(PostHogRequest, AServersWordsDoNotBringTheKeyBack) {
  Secrets secrets;
  secrets.emplace("api_key", Secret("phc_tulip"));
  const auto exporter = posthog();
  Request request = exporter->encode(frozen_batch(exporter->format(), {"{}"}))->at(0);
  ASSERT_TRUE(exporter->authorise(request, secrets, kTestNow));
  const Verdict verdict =
      exporter->judge(request, answer_of(401, "key phc_tulip is wrong"), kTestNow);
  EXPECT_EQ(verdict.kind, Verdict::Kind::kPause);
  EXPECT_EQ(verdict.server_text.find("tulip"), std::string::npos) << verdict.server_text;
}

TEST(PostHogEvent, HoldsTheGeneration) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_id_text = "work flow/1";
  trace.settings.generation_name = "answer";
  trace.settings.trace_name = "Checkout";
  trace.metadata.push_back({"deep", Text(R"({"a":{"b":{"c":{"d":1}}}})"), true});
  trace.tools.clear();
  json event = json::parse(encoded_record(*posthog(), trace));
  EXPECT_EQ(event.at("uuid").get<std::string>().size(), 36U);
  event.erase("uuid");
  json& properties = event.at("properties");
  for (const char* id : {"$ai_span_id", "$ai_parent_id"}) {
    EXPECT_EQ(properties.at(id).get<std::string>().size(), 16U);
    properties.erase(id);
  }
  EXPECT_EQ(event, json::parse(R"({
    "event": "$ai_generation", "distinct_id": "user-7", "timestamp": "2023-11-14T22:13:22.000Z",
    "properties": {
      "$ai_trace_id": "work_flow_1", "$ai_session_id": "session-9", "$ai_span_name": "answer",
      "$ai_latency": 2, "$ai_model": "gpt-4o-2024-08-06", "$ai_provider": "openai",
      "$ai_input": [{"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Hi \"there\"\n"}],
      "$ai_output_choices": [{"role": "assistant", "content": "Hello"}],
      "$ai_input_tokens": 105, "$ai_output_tokens": 20, "$ai_cache_read_input_tokens": 90,
      "$ai_cache_creation_input_tokens": 5, "$ai_reasoning_tokens": 3, "$ai_input_cost_usd": 0.25,
      "$ai_output_cost_usd": 0.25, "$ai_total_cost_usd": 0.5, "$ai_time_to_first_token": 0.25,
      "$ai_http_status": 200, "$ai_temperature": 1, "$ai_max_tokens": 100, "$ai_stream": true,
      "$ai_stop_reason": "stop",
      "$ai_model_parameters": {"model": "openai/gpt-4o", "temperature": 1, "stop": ["END"]},
      "$ai_is_error": false, "metadata_feature": "search", "metadata_build": 42,
      "metadata_ratio": 0.5, "metadata_beta": true, "metadata_list": [1, 2],
      "metadata_nothing": null, "metadata_deep": {"a": {"b": {"c": "[truncated]"}}},
      "trace_name": "Checkout"}})"));
}

TEST(PostHogEvent, WithoutAUserThereIsNoPerson) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.identity.user_id = {};
  const json event = json::parse(encoded_record(*posthog(), trace));
  EXPECT_EQ(event.at("distinct_id"), "gen-1");
  EXPECT_EQ(event.at("properties").at("$process_person_profile"), false);
}

TEST(PostHogEvent, TreeHasTheLevelsAndAttemptsWithStableIds) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_name = "Checkout";
  trace.settings.span_name = "Ask";
  trace.attempts.push_back({"Azure", "gpt-4o", "", trace.start, trace.end, 503, "overloaded", "x"});
  const auto exporter = posthog({{"events", "tree"}});
  const std::string text = "[" + encoded_record(*exporter, trace) + "]";
  EXPECT_EQ(text, "[" + encoded_record(*exporter, trace) + "]") << "a retry is the same event";
  const json events = json::parse(text);
  ASSERT_EQ(events.size(), 4U);
  const char* const names[] = {"$ai_trace", "$ai_span", "$ai_generation", "$ai_span"};
  std::set<std::string> uuids;
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(events[i].at("event"), names[i]);
    uuids.insert(events[i].at("uuid"));
  }
  EXPECT_EQ(uuids.size(), 4U);
  EXPECT_EQ(events[3].at("properties").at("$ai_error"), "x");
  EXPECT_EQ(events[3].at("properties").at("$ai_parent_id"),
            events[2].at("properties").at("$ai_span_id"));
  EXPECT_EQ(events[0].at("properties").at("$ai_span_name"), "Checkout");
}

TEST(PostHogEvent, PrivacyLeavesNoContentInAnyEvent) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.settings.trace_name = "Checkout";
  trace.outcome.failed = true;
  trace.outcome.error_type = "refused";
  trace.outcome.error_message = "canary";
  trace.input_messages.front().parts.front().text = "canary";
  trace.output_messages.front().parts.front().text = "canary";
  const std::string events = encoded_record(*posthog({{"events", "tree"}}), trace, true);
  EXPECT_EQ(events.find("canary"), std::string::npos) << events;
  EXPECT_EQ(events.find("$ai_input\""), std::string::npos);
  EXPECT_EQ(events.find("$ai_output_choices"), std::string::npos);
  EXPECT_NE(events.find("\"$ai_input_tokens\":105"), std::string::npos);
}

}  // namespace
}  // namespace sidecast
