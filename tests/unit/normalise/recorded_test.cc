// All recorded exchanges, through the Normaliser: none fails, every text may leave, and usage is
// what the provider reported, under the one meaning of engine/model/usage.h.
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/base/utf8.h"
#include "tests/support/exchanges.h"
#include "tests/support/trace_texts.h"
#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

using test::Exchange;

void fill(const Exchange& exchange, shm::RecordView& record) {
  record = {};
  record.operation = exchange.operation;
  record.provider = exchange.provider;
  record.endpoint = exchange.url_path;
  record.http_status = exchange.status;
  record.request = exchange.request;
  record.response = exchange.response;
  record.start_ns = 1'700'000'000'000'000'000;
  record.end_ns = record.start_ns + 1'000'000;
}

class Recorded : public testing::TestWithParam<const char*> {
 protected:
  bool for_each(const std::function<void(const Exchange&, const Trace&)>& visit) {
    const auto normalise = [&](const Exchange& exchange) {
      fill(exchange, fixture_.record);
      visit(exchange, fixture_.normalise());
    };
    const std::string file = GetParam();
    return file == "conversations" ? test::for_each_conversation_call(normalise)
                                   : test::for_each_exchange(file + ".jsonl.gz", normalise);
  }

 private:
  RecordFixture fixture_;
};

TEST_P(Recorded, EveryTextIsValidUtf8AndHoldsNoInlinedMedia) {
  for_each([](const Exchange& exchange, const Trace& trace) {
    test::for_each_text(trace, [&](Text text) {
      EXPECT_TRUE(is_valid_utf8(text)) << exchange.id;
      EXPECT_EQ(text.find(";base64,"), Text::npos) << exchange.id << " " << text.substr(0, 200);
    });
  });
}

TEST_P(Recorded, WhatIsCalledJsonIsJson) {
  // Judged by a parser that is not ours. Bodies that pass as they came are JSON by their making.
  const auto is_json = [](Text text) { return nlohmann::json::accept(text.begin(), text.end()); };
  for_each([&](const Exchange& exchange, const Trace& trace) {
    const bool is_assembled = exchange.is_stream && trace.output_is_json;
    EXPECT_TRUE(!is_assembled || is_json(trace.output_value)) << exchange.id;
    EXPECT_TRUE(trace.parameters.json.empty() || is_json(trace.parameters.json)) << exchange.id;
    for (const Tool& tool : trace.tools) {
      EXPECT_TRUE(is_json(tool.json)) << exchange.id;
      EXPECT_TRUE(tool.parameters.empty() || is_json(tool.parameters)) << exchange.id;
    }
    if (trace.input_value.data() != exchange.request.data()) {
      EXPECT_TRUE(!trace.input_is_json || is_json(trace.input_value)) << exchange.id;
    }
  });
}

TEST_P(Recorded, EveryBodyIsThereAndEveryChatHasItsMessages) {
  // Chats whose answer or request has no messages, by what is special about them.
  const std::set<std::string> kWithoutMessages = {
      "google_vertex blocked",   // the prompt was refused: no candidate
      "google_gemini batch",     // an operation that answers later
      "openai background",       // queued: the answer comes later
      "openai stored prompt",    // the request names a prompt kept by the provider
      "sourcegraph answerless",  // an end without a text before it
  };
  const auto special = [](const Exchange& exchange, const Trace& trace) -> std::string {
    const auto has = [](const std::string& text, const char* part) {
      return text.find(part) != std::string::npos;
    };
    if (has(exchange.response, "blockReason")) return exchange.provider + " blocked";
    if (has(exchange.url_path, "batchGenerateContent")) return exchange.provider + " batch";
    if (has(exchange.request, "\"background\":true")) return exchange.provider + " background";
    if (has(exchange.request, "\"prompt\":{")) return exchange.provider + " stored prompt";
    if (exchange.provider == "sourcegraph") return "sourcegraph answerless";
    return exchange.provider + " " + exchange.url_path + " " + std::string(trace.output_value);
  };
  for_each([&](const Exchange& exchange, const Trace& trace) {
    EXPECT_EQ(exchange.request.empty(), trace.input_value.empty()) << exchange.id;
    EXPECT_EQ(exchange.response.empty(), trace.output_value.empty()) << exchange.id;
    EXPECT_EQ(trace.outcome.failed, !trace.outcome.error_type.empty()) << exchange.id;
    EXPECT_TRUE(trace.outcome.failed || exchange.status < 400) << exchange.id;
    EXPECT_TRUE(trace.output_is_json || !exchange.is_stream) << exchange.id;
    const bool is_chat = exchange.operation == "chat" || exchange.operation == "messages" ||
                         exchange.operation == "responses";
    if (!is_chat || trace.outcome.failed) return;
    const bool has_input = exchange.request.empty() || !trace.input_messages.empty();
    if (!has_input || trace.output_messages.empty()) {
      EXPECT_EQ(kWithoutMessages.count(special(exchange, trace)), 1U)
          << exchange.id << " " << special(exchange, trace);
    }
  });
}

// The sum of the last numbers that stand behind `key` and behind `other`, read without our parser.
std::int64_t last_number(const std::string& body, const std::string& key) {
  const std::size_t at = body.rfind("\"" + key + "\":");
  return at == std::string::npos ? 0 : std::atoll(body.c_str() + at + key.size() + 3);
}

// What the recorded counts are in our meaning. The recording holds them as each provider means
// them.
Exchange::Tokens in_our_meaning(const Exchange& exchange) {
  Exchange::Tokens tokens = exchange.tokens;
  const std::string& body = exchange.response;
  const auto has = [&](const char* part) { return body.find(part) != std::string::npos; };
  // Anthropic and Bedrock leave cached tokens out of the input.
  const bool leaves_cached_out = has("cache_read_input_tokens") || has("cacheReadInputToken");
  if (tokens.input && leaves_cached_out && !has("prompt_tokens")) {
    *tokens.input += tokens.cached.value_or(0) + tokens.cache_write.value_or(0);
  }
  // Google leaves thoughts out of the output, and the prompts of its own tools out of the input.
  if (has("\"usageMetadata\"")) {
    if (tokens.input) *tokens.input += last_number(body, "toolUsePromptTokenCount");
    if (tokens.reasoning) tokens.output = tokens.output.value_or(0) + *tokens.reasoning;
  } else if (tokens.reasoning && tokens.output && tokens.input) {
    // So do others (xAI); their total says so.
    const std::int64_t total = last_number(body, "total_tokens");
    const std::int64_t sum = *tokens.input + *tokens.output;
    const bool is_no_part = *tokens.reasoning > *tokens.output;
    if (total == sum + *tokens.reasoning || is_no_part) *tokens.output += *tokens.reasoning;
  }
  // The router's fee and what the provider charges to the caller's own key.
  if (tokens.cost && has("\"is_byok\":true")) {
    const std::size_t at = body.rfind("\"upstream_inference_cost\":");
    if (at != std::string::npos) *tokens.cost += std::atof(body.c_str() + at + 26);
  }
  return tokens;
}

// `ID FIELD: reason`, a line each.
std::map<std::string, std::string> known_exceptions() {
  std::ifstream file(SIDECAST_USAGE_EXCEPTIONS);
  EXPECT_TRUE(file.is_open()) << SIDECAST_USAGE_EXCEPTIONS;
  std::map<std::string, std::string> known;
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (!line.empty() && line[0] != '#' && colon != std::string::npos) {
      known[line.substr(0, colon)] = line.substr(colon + 2);
    }
  }
  return known;
}

TEST_P(Recorded, UsageIsWhatTheProviderReportedInOurMeaning) {
  const std::map<std::string, std::string> known = known_exceptions();
  const auto compare = [&](const Exchange& exchange, const char* what, auto reported, auto ours) {
    const bool is_equal =
        ours && std::abs(static_cast<double>(*reported - *ours)) < 1e-9;  // doubles: cost
    const std::string key = exchange.id + " " + what;
    EXPECT_TRUE(is_equal || known.count(key) == 1) << key << ": reported " << *reported << ", ours "
                                                   << (ours ? std::to_string(*ours) : "none");
    EXPECT_TRUE(!is_equal || known.count(key) == 0) << key << " is no exception any more";
  };
  for_each([&](const Exchange& exchange, const Trace& trace) {
    const Exchange::Tokens tokens = in_our_meaning(exchange);
    const Usage& usage = trace.usage;
    if (tokens.input) compare(exchange, "input", tokens.input, usage.input);
    if (tokens.output) compare(exchange, "output", tokens.output, usage.output);
    if (tokens.cached) compare(exchange, "cached", tokens.cached, usage.cache_read);
    if (tokens.cache_write) compare(exchange, "write", tokens.cache_write, usage.cache_write);
    if (tokens.reasoning) compare(exchange, "reasoning", tokens.reasoning, usage.reasoning);
    if (tokens.cost) compare(exchange, "cost", tokens.cost, trace.cost.total);
  });
}

INSTANTIATE_TEST_SUITE_P(Files, Recorded,
                         testing::Values("exchanges", "responses_only", "conversations"),
                         [](const auto& parameter) { return std::string(parameter.param); });

}  // namespace
}  // namespace sidecast
