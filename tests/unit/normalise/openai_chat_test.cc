// OpenAI chat completions: requests, answers, and streams that become the answers they would have
// been.
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class OpenAiChat : public testing::Test, public RecordFixture {
 protected:
  // A stream of these chunks, framed as the API does.
  Trace stream(const std::vector<std::string>& chunks) {
    stream_.clear();
    for (const std::string& chunk : chunks) stream_ += "data: " + chunk + "\n\n";
    return normalise("", stream_);
  }
  static std::string delta(const std::string& json, const std::string& finish_reason = "null") {
    return R"({"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":)" +
           json + R"(,"finish_reason":)" + finish_reason + "}]}";
  }

  std::string stream_;
};

TEST_F(OpenAiChat, MessagesOfARequestKeepOrderRolesAndParts) {
  const Trace trace = normalise(
      R"({"model":"gpt-x","messages":[
        {"role":"system","content":"be brief"},
        {"role":"user","name":"ann","content":[{"type":"text","text":"what is \u00e4?"},
          {"type":"image_url","image_url":{"url":"https://x.test/a.png?sig=secret"}},
          {"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}},
          {"type":"file","file":{"file_id":"f1","filename":"a.pdf"}},
          {"type":"hologram","depth":3}]},
        {"role":"assistant","content":null,"tool_calls":[
          {"id":"t1","type":"function","function":{"name":"look","arguments":"{\"q\":1}"}},
          {"id":"t2","type":"custom","custom":{"name":"run","input":"ls"}}]},
        {"role":"tool","tool_call_id":"t1","content":"found"},
        {"role":"assistant","content":"","function_call":{"name":"old","arguments":"{}"}},
        {"role":"assistant","content":null,"refusal":"I will not"}]})",
      "");
  ASSERT_EQ(trace.input_messages.size(), 6U);
  EXPECT_EQ(show(trace.input_messages[0]), "system t<be brief>");
  EXPECT_FALSE(trace.input_messages[0].from_list);
  const Message& user = trace.input_messages[1];
  EXPECT_TRUE(user.from_list);
  EXPECT_EQ(user.name, "ann");
  EXPECT_EQ(show(user),
            "user t<what is ä?> i<> a<> f a.pdf<> o<{\"type\":\"hologram\",\"depth\":3}>");
  EXPECT_EQ(user.parts[1].url, "https://x.test/a.png");  // its query holds a signature
  EXPECT_EQ(user.parts[2].mime_type, "audio/wav");
  EXPECT_EQ(user.parts[2].omitted_bytes, 4U);
  EXPECT_EQ(user.parts[3].file_id, "f1");
  EXPECT_EQ(user.parts[4].type, "hologram");
  EXPECT_EQ(show(trace.input_messages[2]), "assistant c#t1 look<{\"q\":1}> c#t2 run<ls>");
  EXPECT_EQ(trace.input_messages[2].parts[1].type, "custom");
  EXPECT_EQ(show(trace.input_messages[3]), "tool R#t1<found>");
  EXPECT_EQ(trace.input_messages[3].tool_call_id, "t1");
  EXPECT_EQ(show(trace.input_messages[4]), "assistant t<> c old<{}>");
  EXPECT_EQ(show(trace.input_messages[5]), "assistant x<I will not>");
  EXPECT_EQ(trace.operation, Operation::kChat);
  EXPECT_EQ(trace.model_requested, "gpt-x");
}

TEST_F(OpenAiChat, BodiesWithoutMediaAreViewsOfTheRecord) {
  const std::string request = R"({"model":"m","messages":[{"role":"user","content":"hello"}]})";
  const std::string answer =
      R"({"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"}}]})";
  const Trace trace = normalise(request, answer);
  EXPECT_EQ(trace.input_value.data(), request.data());
  EXPECT_EQ(trace.output_value.data(), answer.data());
  EXPECT_EQ(trace.input_messages[0].parts[0].text.data(), request.data() + request.find("hello"));
  EXPECT_TRUE(trace.input_is_json);
  EXPECT_TRUE(trace.output_is_json);
}

TEST_F(OpenAiChat, ParametersKeepTheirTypesAndLeaveContentOut) {
  const Trace trace = normalise(
      R"({"model":"m","messages":[],"tools":[],"user":"u","temperature":1,"top_p":0.5,"max_completion_tokens":9,
          "n":2,"seed":7,"stop":["a","b"],"stream":true,"logprobs":true,"top_logprobs":4,"prediction":{"content":"secret"},
          "response_format":{"type":"json_schema"},"service_tier":"flex","logit_bias":{"5":1}})",
      "");
  const Parameters& parameters = trace.parameters;
  EXPECT_EQ(parameters.temperature, 1.0);
  EXPECT_EQ(parameters.top_p, 0.5);
  EXPECT_FALSE(parameters.top_k);
  EXPECT_EQ(parameters.max_tokens, 9);
  EXPECT_EQ(parameters.choice_count, 2);
  EXPECT_EQ(parameters.seed, 7);
  EXPECT_TRUE(parameters.stream);
  EXPECT_EQ(parameters.output_type, "json");
  EXPECT_EQ(parameters.service_tier, "flex");
  ASSERT_EQ(parameters.stop_sequences.size(), 2U);
  EXPECT_EQ(parameters.stop_sequences[1], "b");
  EXPECT_EQ(parameters.json,
            R"({"model":"m","temperature":1,"top_p":0.5,"max_completion_tokens":9,"n":2,"seed":7,)"
            R"("stop":["a","b"],"stream":true,"response_format":{"type":"json_schema"},)"
            R"("service_tier":"flex","logit_bias":{"5":1}})");
}

TEST_F(OpenAiChat, ToolsAndLegacyFunctionsKeepTheirJson) {
  const Trace trace = normalise(
      R"({"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}},
          {"type":"web_search"}],"functions":[{"name":"g","parameters":{}}]})",
      "");
  ASSERT_EQ(trace.tools.size(), 3U);
  EXPECT_EQ(trace.tools[0].name, "f");
  EXPECT_EQ(trace.tools[0].description, "d");
  EXPECT_EQ(trace.tools[0].parameters, R"({"type":"object"})");
  EXPECT_EQ(trace.tools[1].type, "web_search");
  EXPECT_EQ(trace.tools[1].json, R"({"type":"web_search"})");
  EXPECT_EQ(trace.tools[2].name, "g");
  EXPECT_EQ(trace.tools[2].type, "function");
}

TEST_F(OpenAiChat, AnAnswerGivesChoicesUsageAndWhatTheRouterAdds) {
  const Trace trace = normalise(
      "",
      R"({"id":"gen-1","provider":"Azure","model":"openai/m","object":"chat.completion","system_fingerprint":"fp",
        "service_tier":"default","choices":[
        {"index":0,"finish_reason":"stop","native_finish_reason":"end_turn","message":{"role":"assistant","content":"hi",
          "reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"SIG","id":"r1"}]}},
        {"index":1,"finish_reason":"length","message":{"role":"assistant","content":"ho","reasoning_content":"so"}}],
        "usage":{"prompt_tokens":10,"completion_tokens":7,"total_tokens":17,
          "prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":2,"audio_tokens":1},
          "completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":2,"accepted_prediction_tokens":5},
          "cost":0.25,"is_byok":true,"cost_details":{"upstream_inference_cost":1.5,
          "upstream_inference_prompt_cost":0.5,"upstream_inference_completions_cost":1.0}}})");
  EXPECT_EQ(trace.response_id, "gen-1");
  EXPECT_EQ(trace.provider, "Azure");
  EXPECT_EQ(trace.model_served, "openai/m");
  EXPECT_EQ(trace.system_fingerprint, "fp");
  EXPECT_EQ(trace.service_tier, "default");
  ASSERT_EQ(trace.output_messages.size(), 2U);
  EXPECT_EQ(show(trace.output_messages[0]), "assistant r#r1<hm> t<hi>");
  EXPECT_EQ(trace.output_messages[0].parts[0].signature, "SIG");
  EXPECT_EQ(show(trace.output_messages[1]), "assistant r<so> t<ho>");
  EXPECT_EQ(trace.output_messages[1].finish_reason, "length");
  ASSERT_EQ(trace.finish_reasons.size(), 2U);
  EXPECT_EQ(trace.finish_reasons[0], "stop");
  EXPECT_EQ(trace.usage.input, 10);
  EXPECT_EQ(trace.usage.output, 7);
  EXPECT_EQ(trace.usage.total, 17);
  EXPECT_EQ(trace.usage.cache_read, 4);
  EXPECT_EQ(trace.usage.cache_write, 2);
  EXPECT_EQ(trace.usage.reasoning, 3);
  EXPECT_EQ(trace.usage.input_audio, 1);
  EXPECT_EQ(trace.usage.output_audio, 2);
  EXPECT_EQ(trace.cost.total, 1.75);  // the router's fee and what the own key pays
  EXPECT_EQ(trace.cost.input, 0.5);
  EXPECT_EQ(trace.cost.output, 1.0);
  std::string facts;
  for (const Metadatum& fact : trace.facts) facts += std::string(fact.key) + " ";
  EXPECT_EQ(facts,
            "native_finish_reason output_accepted_prediction_tokens is_byok router_cost "
            "upstream_inference_cost ");
}

TEST_F(OpenAiChat, AStreamBecomesTheAnswerItWouldHaveBeen) {
  const Trace trace = stream({
      delta(R"({"role":"assistant","content":""})"),
      delta(R"({"content":"Hel"})"),
      delta(R"({"content":"lo \ud83d\ude00"})"),
      delta("{}", "\"stop\""),
      R"({"id":"c1","object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}})",
      "[DONE]",
  });
  ASSERT_EQ(trace.output_messages.size(), 1U);
  EXPECT_EQ(show(trace.output_messages[0]), "assistant t<Hello 😀>");
  EXPECT_EQ(trace.output_messages[0].finish_reason, "stop");
  EXPECT_EQ(trace.usage.total, 5);
  EXPECT_EQ(
      trace.output_value,
      R"({"id":"c1","object":"chat.completion","model":"m",)"
      R"("usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5},)"
      R"("choices":[{"index":0,"message":{"role":"assistant","content":"Hello 😀"},"finish_reason":"stop"}]})");
  EXPECT_TRUE(trace.output_is_json);
}

TEST_F(OpenAiChat, StreamedToolCallsAreAssembledByTheirIndex) {
  const Trace trace = stream({
      delta(
          R"({"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]})"),
      delta(
          R"({"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{\"y\""}}]})"),
      delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]})"),
      delta(
          R"({"tool_calls":[{"index":1,"function":{"arguments":":2}"}},{"index":0,"function":{"arguments":"1}"}}]})"),
      delta("{}", "\"tool_calls\""),
  });
  ASSERT_EQ(trace.output_messages.size(), 1U);
  EXPECT_EQ(show(trace.output_messages[0]), "assistant c#a f<{\"x\":1}> c#b g<{\"y\":2}>");
}

TEST_F(OpenAiChat, StreamedToolCallsWithoutAnIndexAreToldApartByTheirId) {
  const Trace trace = stream({
      delta(R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]})"),
      delta(R"({"tool_calls":[{"id":"b","function":{"name":"g","arguments":"[]"}}]})"),
  });
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant c#a f<{}> c#b g<[]>");
  const Trace same_index = stream({
      delta(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]})"),
      delta(R"({"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":"[]"}}]})"),
  });
  EXPECT_EQ(show(same_index.output_messages.at(0)), "assistant c#a f<{}> c#b g<[]>");
}

TEST_F(OpenAiChat, StreamedChoicesAreSortedByTheirIndex) {
  const Trace trace = stream({
      R"({"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}]})",
      R"({"choices":[{"index":1,"delta":{"content":"B"},"finish_reason":"stop"}]})",
      R"({"choices":[{"index":0,"delta":{"content":"A"},"finish_reason":"length"}]})",
  });
  ASSERT_EQ(trace.output_messages.size(), 2U);
  EXPECT_EQ(show(trace.output_messages[0]), "assistant t<aA>");
  EXPECT_EQ(show(trace.output_messages[1]), "assistant t<bB>");
  EXPECT_EQ(trace.finish_reasons[0], "length");
}

TEST_F(OpenAiChat, StreamedReasoningRefusalAndLegacyCallAreAssembled) {
  const Trace trace = stream({
      delta(
          R"({"reasoning":"I ","reasoning_details":[{"type":"reasoning.text","index":0,"text":"I "}]})"),
      delta(
          R"({"reasoning":"see","reasoning_details":[{"type":"reasoning.text","index":0,"text":"see"}]})"),
      delta(R"({"reasoning_details":[{"type":"reasoning.text","index":0,"signature":"SIG"}]})"),
      delta(R"({"refusal":"No"})"),
      delta(R"({"refusal":"pe"})"),
      delta(R"({"function_call":{"name":"f","arguments":"{"}})"),
      delta(R"({"function_call":{"arguments":"}"}})"),
  });
  ASSERT_EQ(trace.output_messages.size(), 1U);
  EXPECT_EQ(show(trace.output_messages[0]), "assistant r<I see> x<Nope> c f<{}>");
  EXPECT_EQ(trace.output_messages[0].parts[0].signature, "SIG");
  const Trace deepseek =
      stream({delta(R"({"reasoning_content":"a"})"), delta(R"({"reasoning_content":"b"})"),
              delta(R"({"content":"c"})")});
  EXPECT_EQ(show(deepseek.output_messages.at(0)), "assistant r<ab> t<c>");
}

TEST_F(OpenAiChat, LogprobsOfAStreamAreLeftOut) {
  const Trace trace = stream(
      {R"({"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a"}]}}]})"});
  EXPECT_EQ(trace.output_value.find("logprobs"), Text::npos);
}

TEST_F(OpenAiChat, CommentsCarriageReturnsAndAMissingEndAreNoHindrance) {
  stream_ = ": OPENROUTER PROCESSING\r\n\r\ndata: " + delta(R"({"content":"a"})") +
            "\r\n\r\n: OPENROUTER PROCESSING\r\n\r\ndata: " + delta(R"({"content":"b"})") +
            "\r\n\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"conte";
  const Trace trace = normalise("", stream_);
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<ab>");
  EXPECT_EQ(trace.output_messages[0].finish_reason, "error");
  EXPECT_EQ(trace.outcome.error_type, "stream_cut");
}

TEST_F(OpenAiChat, AnAbortedStreamKeepsWhatCameAndFails) {
  record.aborted = true;
  const Trace trace = stream({delta(R"({"content":"partial"})")});
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<partial>");
  EXPECT_TRUE(trace.outcome.failed);
  EXPECT_EQ(trace.outcome.error_type, "client_disconnected");
}

TEST_F(OpenAiChat, AnErrorInsideA200StreamFailsAndKeepsThePartBefore) {
  record.http_status = 200;
  const Trace trace = stream({
      delta(R"({"content":"partial"})"),
      R"({"id":"c1","object":"chat.completion.chunk","error":{"code":502,"message":"upstream died","metadata":{"error_type":"provider_unavailable"}},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]})",
  });
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<partial>");
  EXPECT_EQ(trace.output_messages[0].finish_reason, "error");
  EXPECT_TRUE(trace.outcome.failed);
  EXPECT_EQ(trace.outcome.error_type, "provider_unavailable");
  EXPECT_EQ(trace.outcome.error_message, "upstream died");
}

TEST_F(OpenAiChat, ADataUrlThatCameInPiecesIsScrubbed) {
  const Trace trace =
      stream({delta(R"({"content":"see data:image/p"})"), delta(R"({"content":"ng;bas"})"),
              delta(R"({"content":"e64,iVBO"})"), delta(R"({"content":"Rw0K."})")});
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<see [image/png, 8 bytes left out].>");
  EXPECT_EQ(trace.output_value.find("base64,"), Text::npos);
}

TEST_F(OpenAiChat, HostileIndicesNeitherGrowNorSlowTheAssembly) {
  std::vector<std::string> chunks;
  for (int i = 0; i < 20'000; ++i) {
    const std::string index = std::to_string(i);
    chunks.push_back(R"({"choices":[{"index":)" + index + R"(,"delta":{"content":"x"}}],"k)" +
                     index + R"(":1})");
  }
  const Trace trace = stream(chunks);
  EXPECT_EQ(trace.output_messages.size(), 256U);
}

TEST_F(OpenAiChat, NativeTokensCountWhereARouterEstimatesToo) {
  const Trace trace = normalise(
      "",
      R"({"object":"chat.completion","choices":[],"usage":{"prompt_tokens":10,"native_tokens_prompt":12,"completion_tokens":3,"native_tokens_completion":4,"native_tokens_reasoning":2,"native_tokens_cached":5,"tokens_prompt":10}})");
  EXPECT_EQ(trace.usage.input, 12);
  EXPECT_EQ(trace.usage.output, 4);
  EXPECT_EQ(trace.usage.reasoning, 2);
  EXPECT_EQ(trace.usage.cache_read, 5);
  EXPECT_EQ(trace.facts.at(0).key, "tokens_prompt");
}

}  // namespace
}  // namespace sidecast
