// The other APIs: each one's request and answer, and its stream beside the same answer unstreamed.
#include <list>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class Apis : public testing::Test, public RecordFixture {
 protected:
  Trace at(Text endpoint, Text request, Text response, Text operation = "chat") {
    record.endpoint = endpoint;
    return normalise(kept_.emplace_back(request), kept_.emplace_back(response), operation);
  }

 private:
  std::list<std::string> kept_;  // bodies, as long as their Traces
};

// All messages, one after the other.
std::string show(const ArenaVector<Message>& messages) {
  std::string all;
  for (const Message& message : messages) all += (all.empty() ? "" : " | ") + show(message);
  return all;
}

TEST_F(Apis, ResponsesItemsOfTheModelAreOneMessage) {
  const Trace trace = at(
      "/v1/responses",
      R"({"model":"o","instructions":"be kind","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},
        {"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"think"}],"encrypted_content":"ENC"},
        {"type":"function_call","call_id":"c1","id":"fc","name":"f","arguments":"{}"},
        {"type":"function_call_output","call_id":"c1","output":"ok"}],"max_output_tokens":5,"text":{"format":{"type":"json_object"}}})",
      R"({"id":"resp","object":"response","status":"completed","model":"o-1","error":null,"incomplete_details":null,
        "output":[{"type":"reasoning","id":"rs2","summary":[]},
        {"type":"message","role":"assistant","content":[{"type":"output_text","text":"done"},{"type":"refusal","refusal":"no"}]},
        {"type":"web_search_call","id":"ws","status":"completed"}],
        "usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":6,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":15}})",
      "responses");
  EXPECT_EQ(trace.operation, Operation::kResponses);
  EXPECT_EQ(show(trace.input_messages),
            "system t<be kind> | user t<hi> | assistant r#rs<think> c#c1 f<{}> | tool R#c1<ok>");
  EXPECT_EQ(trace.input_messages[2].parts[0].signature, "ENC");
  EXPECT_EQ(show(trace.output_messages),
            "assistant r#rs2<> t<done> x<no> "
            "o<{\"type\":\"web_search_call\",\"id\":\"ws\",\"status\":\"completed\"}>");
  EXPECT_EQ(trace.output_messages[0].finish_reason, "completed");
  EXPECT_FALSE(trace.outcome.failed);
  EXPECT_EQ(trace.usage.input, 9);
  EXPECT_EQ(trace.usage.cache_read, 4);
  EXPECT_EQ(trace.usage.reasoning, 2);
  EXPECT_EQ(trace.parameters.max_tokens, 5);
  EXPECT_EQ(trace.parameters.output_type, "json");
}

TEST_F(Apis, AResponsesStreamIsItsLastEvent) {
  const Trace trace = at(
      "/v1/responses", "",
      "event: response.created\n"
      R"(data: {"type":"response.created","response":{"id":"r","object":"response","status":"in_progress","output":[]}})"
      "\n\n"
      R"(data: {"type":"response.output_text.delta","output_index":0,"delta":"ignored"})"
      "\n\n"
      R"(data: {"type":"response.completed","response":{"id":"r","object":"response","status":"completed","model":"m",)"
      R"("output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"all"}]}],"usage":{"input_tokens":1,"output_tokens":2}}})"
      "\n\n",
      "responses");
  EXPECT_EQ(show(trace.output_messages), "assistant t<all>");
  EXPECT_EQ(trace.usage.output, 2);
  EXPECT_EQ(trace.model_served, "m");
}

TEST_F(Apis, ACutResponsesStreamKeepsWhatCame) {
  const Trace trace = at(
      "/v1/responses", "",
      R"(data: {"type":"response.created","response":{"id":"r","object":"response","status":"in_progress","model":"m","output":[]}})"
      "\n\n"
      R"(data: {"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs","summary":[]}})"
      "\n\n"
      R"(data: {"type":"response.reasoning_summary_text.delta","output_index":0,"delta":"hm"})"
      "\n\n"
      R"(data: {"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}})"
      "\n\n"
      R"(data: {"type":"response.output_item.added","output_index":2,"item":{"type":"message","role":"assistant","content":[]}})"
      "\n\n"
      R"(data: {"type":"response.output_text.delta","output_index":2,"delta":"he"})"
      "\n\n"
      R"(data: {"type":"response.output_text.delta","output_index":2,"delta":"llo"})"
      "\n\n",
      "responses");
  EXPECT_EQ(show(trace.output_messages), "assistant r#rs<hm> c#c f<{}> t<hello>");
  EXPECT_EQ(trace.finish_reasons.at(0), "error");
  EXPECT_EQ(trace.outcome.error_type, "stream_cut");
}

TEST_F(Apis, AnthropicBlocksAndTheSumOfItsInput) {
  const Trace trace = at(
      "/v1/messages",
      R"({"model":"claude","system":[{"type":"text","text":"sys"}],"max_tokens":7,"stop_sequences":["X"],"metadata":{"user_id":"u9"},
        "messages":[{"role":"user","content":"q"},
        {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"S"},{"type":"redacted_thinking","data":"D"},
          {"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"r1"}]},
          {"type":"tool_result","tool_use_id":"t2","content":"r2","is_error":true},{"type":"text","text":"go on"},
          {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]}],
        "tools":[{"name":"f","description":"d","input_schema":{"type":"object"}}]})",
      R"({"id":"msg","type":"message","role":"assistant","model":"claude-1","content":[{"type":"text","text":"a"}],
        "stop_reason":"end_turn","usage":{"input_tokens":10,"cache_read_input_tokens":90,"cache_creation_input_tokens":5,"output_tokens":3}})",
      "messages");
  EXPECT_EQ(trace.operation, Operation::kMessages);
  EXPECT_EQ(show(trace.input_messages),
            "system t<sys> | user t<q> | assistant r<hm> r<> c#t1 f<{\"a\":1}> | tool R#t1<r1> | "
            "tool R#t2<r2> | user t<go on> i<>");
  EXPECT_EQ(trace.input_messages[2].parts[0].signature, "S");
  EXPECT_EQ(trace.input_messages[5].parts[1].mime_type, "image/png");
  EXPECT_EQ(trace.tools.at(0).parameters, R"({"type":"object"})");
  EXPECT_EQ(trace.identity.user_id, "u9");
  EXPECT_EQ(show(trace.output_messages), "assistant t<a>");
  EXPECT_EQ(trace.usage.input, 105);
  EXPECT_EQ(trace.usage.cache_read, 90);
  EXPECT_EQ(trace.usage.cache_write, 5);
  EXPECT_EQ(trace.usage.output, 3);
}

TEST_F(Apis, AnAnthropicStreamBecomesTheMessage) {
  const Text stream =
      R"(event: message_start
data: {"type":"message_start","message":{"id":"msg","type":"message","role":"assistant","model":"c","content":[],"stop_reason":null,"usage":{"input_tokens":10,"cache_read_input_tokens":90,"output_tokens":1}}}

event: ping
data: {"type":"ping"}

data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"h"}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"m"}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"SIG"}}

data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hel"}}

data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"lo"}}

data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}

data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}

data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":":1}"}}

data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":12}}

data: {"type":"message_stop"}
)";
  const Trace trace = at("/v1/messages", "", stream, "messages");
  EXPECT_EQ(show(trace.output_messages), "assistant r<hm> t<Hello> c#t f<{\"a\":1}>");
  EXPECT_EQ(trace.output_messages[0].parts[0].signature, "SIG");
  EXPECT_EQ(trace.output_messages[0].finish_reason, "tool_use");
  EXPECT_EQ(trace.usage.input, 100);
  EXPECT_EQ(trace.usage.output, 12);
  EXPECT_EQ(
      trace.output_value,
      R"({"id":"msg","type":"message","role":"assistant","model":"c","stop_reason":"tool_use","content":[)"
      R"({"type":"thinking","thinking":"hm","signature":"SIG"},{"type":"text","text":"Hello"},)"
      R"({"type":"tool_use","id":"t","name":"f","input":{"a":1}}],)"
      R"("usage":{"input_tokens":10,"cache_read_input_tokens":90,"output_tokens":12}})");
}

TEST_F(Apis, CutToolInputOfAnAnthropicStreamStaysTheTextThatCame) {
  const Trace trace = at(
      "/v1/messages", "",
      R"(data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[]}}

data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":\"b"}}

data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}
)",
      "messages");
  EXPECT_EQ(show(trace.output_messages), "assistant c#t f<{\"a\":\"b>");
  EXPECT_TRUE(trace.outcome.failed);
  EXPECT_EQ(trace.outcome.error_type, "overloaded_error");
}

TEST_F(Apis, GeminiContentsAndThoughtsBesideTheOutput) {
  const Trace trace = at(
      "/v1beta/models/gemini-2.5-flash:generateContent",
      R"({"systemInstruction":{"parts":[{"text":"sys"}]},"contents":[{"role":"user","parts":[{"text":"q"},{"inlineData":{"mimeType":"image/jpeg","data":"/9j/AAAA"}},
        {"fileData":{"mimeType":"video/mp4","fileUri":"gs://b/v.mp4"}}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{"x":1}},"thoughtSignature":"TS"}]},
        {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"r":2}}}]}],
        "tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT"}}]},{"googleSearch":{}}],
        "generationConfig":{"temperature":0,"maxOutputTokens":3,"responseMimeType":"application/json"}})",
      R"({"candidates":[{"content":{"role":"model","parts":[{"text":"hm","thought":true},{"text":"a"},{"executableCode":{"code":"1"}}]},"finishReason":"STOP","index":0}],
        "usageMetadata":{"promptTokenCount":32,"candidatesTokenCount":341,"thoughtsTokenCount":103,"totalTokenCount":476,"cachedContentTokenCount":8},
        "modelVersion":"gemini-2.5-flash-001","responseId":"rid"})");
  EXPECT_EQ(trace.model_requested, "gemini-2.5-flash");
  EXPECT_EQ(trace.model_served, "gemini-2.5-flash-001");
  EXPECT_EQ(show(trace.input_messages),
            "system t<sys> | user t<q> i<> v<> | assistant c f<{\"x\":1}> | tool R f<{\"r\":2}>");
  EXPECT_EQ(trace.input_messages[1].parts[1].mime_type, "image/jpeg");
  EXPECT_EQ(trace.input_messages[1].parts[2].url, "gs://b/v.mp4");
  EXPECT_EQ(trace.input_messages[2].parts[0].signature, "TS");
  ASSERT_EQ(trace.tools.size(), 2U);
  EXPECT_EQ(trace.tools[1].type, "googleSearch");
  EXPECT_EQ(show(trace.output_messages),
            "assistant r<hm> t<a> o<{\"executableCode\":{\"code\":\"1\"}}>");
  EXPECT_EQ(trace.usage.input, 32);
  EXPECT_EQ(trace.usage.output, 444);
  EXPECT_EQ(trace.usage.reasoning, 103);
  EXPECT_EQ(trace.usage.cache_read, 8);
  EXPECT_EQ(trace.parameters.max_tokens, 3);
  EXPECT_EQ(trace.parameters.output_type, "json");
}

TEST_F(Apis, GeminiStreamsAreAssembledWhetherEventsOrAnArray) {
  const std::string first =
      R"({"candidates":[{"content":{"role":"model","parts":[{"text":"th","thought":true}]}}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":1}})";
  const std::string second =
      R"({"candidates":[{"content":{"role":"model","parts":[{"text":"ink","thought":true},{"text":"a"}]}}]})";
  const std::string third =
      R"({"candidates":[{"content":{"role":"model","parts":[{"text":"b"},{"functionCall":{"name":"f","args":{}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"totalTokenCount":9},"modelVersion":"g"})";
  const std::string sse =
      "data: " + first + "\r\n\r\ndata: " + second + "\r\n\r\ndata: " + third + "\r\n\r\n";
  const std::string unseparated =
      "data: " + first + "\ndata: " + second + "\ndata: " + third + "\n";
  const std::string array = "[" + first + ",\r\n" + second + ",\r\n" + third + "]";
  for (const std::string& stream : {sse, unseparated, array}) {
    const Trace trace = at("/v1beta/models/g:streamGenerateContent", "", stream);
    EXPECT_EQ(show(trace.output_messages), "assistant r<think> t<ab> c f<{}>");
    EXPECT_EQ(trace.output_messages.at(0).finish_reason, "STOP");
    EXPECT_EQ(trace.usage.input, 5);
    EXPECT_EQ(trace.usage.output, 1);  // said by the first event only
    EXPECT_EQ(trace.usage.total, 9);
  }
}

TEST_F(Apis, ConverseRequestAnswerAndModelOfThePath) {
  const Trace trace = at(
      "/model/us.amazon.nova-micro-v1%3A0/converse",
      R"({"system":[{"text":"sys"}],"messages":[{"role":"user","content":[{"text":"q"},{"image":{"format":"png","source":{"bytes":"iVBORw0KGgo="}}}]},
        {"role":"assistant","content":[{"toolUse":{"toolUseId":"t","name":"f","input":{"a":1}}}]},
        {"role":"user","content":[{"toolResult":{"toolUseId":"t","content":[{"text":"r"}]}}]}],
        "inferenceConfig":{"maxTokens":4,"stopSequences":["Z"]},"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object"}}}}]}})",
      R"({"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"hm","signature":"S"}}},{"text":"a"}]}},
        "stopReason":"end_turn","usage":{"inputTokens":2,"cacheReadInputTokens":7,"outputTokens":32,"totalTokens":41}})");
  EXPECT_EQ(trace.model_requested, "us.amazon.nova-micro-v1:0");
  EXPECT_EQ(show(trace.input_messages),
            "system t<sys> | user t<q> i<> | assistant c#t f<{\"a\":1}> | tool R#t<r>");
  EXPECT_EQ(trace.tools.at(0).parameters, R"({"type":"object"})");
  EXPECT_EQ(trace.parameters.max_tokens, 4);
  EXPECT_EQ(trace.parameters.stop_sequences.at(0), "Z");
  EXPECT_EQ(show(trace.output_messages), "assistant r<hm> t<a>");
  EXPECT_EQ(trace.usage.input, 9);
  EXPECT_EQ(trace.finish_reasons.at(0), "end_turn");
}

TEST_F(Apis, ConverseStreamsAreAssembledPlainOrWrapped) {
  const Text plain = R"(event: messageStart
data: {"role":"assistant","p":"abc"}

event: contentBlockDelta
data: {"contentBlockIndex":0,"delta":{"text":"Hel"}}

event: contentBlockDelta
data: {"contentBlockIndex":0,"delta":{"text":"lo"}}

event: contentBlockStart
data: {"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}

event: contentBlockDelta
data: {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"a\":1}"}}}

event: messageStop
data: {"stopReason":"tool_use"}

event: metadata
data: {"usage":{"inputTokens":3,"outputTokens":4}}
)";
  // Nova's, which begins a new block with every piece.
  const Text wrapped = R"(data: {"messageStart":{"role":"assistant"}}

data: {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"Hel"}}}

data: {"contentBlockDelta":{"contentBlockIndex":1,"delta":{"text":"lo"}}}

data: {"contentBlockStart":{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}}

data: {"contentBlockDelta":{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"a\":1}"}}}}

data: {"messageStop":{"stopReason":"tool_use"}}

data: {"metadata":{"usage":{"inputTokens":3,"outputTokens":4}}}
)";
  for (const Text stream : {plain, wrapped}) {
    const Trace trace = at("/model/x/converse-stream", "", stream);
    EXPECT_EQ(show(trace.output_messages), "assistant t<Hello> c#t f<{\"a\":1}>");
    EXPECT_EQ(trace.finish_reasons.at(0), "tool_use");
    EXPECT_EQ(trace.usage.input, 3);
    EXPECT_EQ(trace.usage.output, 4);
  }
}

TEST_F(Apis, AnExceptionInAConverseStreamFails) {
  const Trace trace = at("/model/x/converse-stream", "",
                         "event: messageStart\ndata: {\"role\":\"assistant\"}\n\n"
                         "event: throttlingException\ndata: {\"message\":\"slow down\"}\n\n");
  EXPECT_TRUE(trace.outcome.failed);
  EXPECT_EQ(trace.outcome.error_message, "slow down");
}

TEST_F(Apis, CohereAnswersAndStreamsOfBothVersions) {
  const Trace answer = at(
      "/v2/chat", R"({"model":"c","messages":[{"role":"user","content":"q"}]})",
      R"({"id":"i","finish_reason":"TOOL_CALL","message":{"role":"assistant","tool_plan":"plan","tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]},
        "usage":{"billed_units":{"input_tokens":33,"output_tokens":22},"tokens":{"input_tokens":1452,"output_tokens":33},"cached_tokens":144}})");
  EXPECT_EQ(show(answer.output_messages), "assistant r<plan> c#t f<{}>");
  EXPECT_EQ(answer.usage.input, 1452);
  EXPECT_EQ(answer.usage.cache_read, 144);
  const Trace second = at("/v2/chat", "", R"(event: message-start
data: {"id":"i","type":"message-start","delta":{"message":{"role":"assistant"}}}

event: content-delta
data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Su"}}}}

event: content-delta
data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"re"}}}}

event: tool-call-start
data: {"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"t","type":"function","function":{"name":"f","arguments":""}}}}}

event: tool-call-delta
data: {"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{}"}}}}}

event: message-end
data: {"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":5,"output_tokens":6}}}}
)");
  EXPECT_EQ(show(second.output_messages), "assistant t<Sure> c#t f<{}>");
  EXPECT_EQ(second.finish_reasons.at(0), "COMPLETE");
  EXPECT_EQ(second.usage.output, 6);
  const Trace first =
      at("/v1/chat",
         R"({"message":"q","preamble":"p","chat_history":[{"role":"CHATBOT","message":"h"}]})",
         R"({"event_type":"stream-start","is_finished":false,"generation_id":"g"}
{"event_type":"text-generation","text":"Hel","is_finished":false}
{"event_type":"text-generation","text":"lo","is_finished":false}
{"event_type":"stream-end","is_finished":true,"response":{"text":"Hello","generation_id":"g","chat_history":[],"finish_reason":"COMPLETE","meta":{"tokens":{"input_tokens":7,"output_tokens":2}}}}
)");
  EXPECT_EQ(show(first.input_messages), "system t<p> | assistant t<h> | user t<q>");
  EXPECT_EQ(show(first.output_messages), "assistant t<Hello>");
  EXPECT_EQ(first.usage.input, 7);
}

TEST_F(Apis, OllamaLinesAreAssembled) {
  const Trace trace = at(
      "/api/chat",
      R"({"model":"gemma","messages":[{"role":"user","content":"q"}],"options":{"temperature":0.5,"num_predict":3}})",
      R"({"model":"gemma","created_at":"x","message":{"role":"assistant","content":"","thinking":"hm"},"done":false}
{"model":"gemma","created_at":"x","message":{"role":"assistant","content":"Hel"},"done":false}
{"model":"gemma","created_at":"x","message":{"role":"assistant","content":"lo","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},"done":false}
{"model":"gemma","created_at":"x","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":12}
)");
  EXPECT_EQ(show(trace.output_messages), "assistant r<hm> t<Hello> c f<{\"a\":1}>");
  EXPECT_EQ(trace.usage.input, 11);
  EXPECT_EQ(trace.usage.output, 12);
  EXPECT_EQ(trace.finish_reasons.at(0), "stop");
  EXPECT_EQ(trace.parameters.temperature, 0.5);
  EXPECT_EQ(trace.parameters.max_tokens, 3);
}

TEST_F(Apis, LegacyCompletionsHavePromptsAndTexts) {
  const Trace trace = at(
      "/v1/completions", R"({"model":"m","prompt":["a","b"]})",
      R"({"object":"text_completion","choices":[{"index":0,"text":"A","finish_reason":"stop"},{"index":1,"text":"B"}]})",
      "completions");
  EXPECT_EQ(trace.operation, Operation::kCompletions);
  ASSERT_EQ(trace.prompts.size(), 2U);
  EXPECT_EQ(trace.prompts[1], "b");
  EXPECT_EQ(show(trace.output_messages), "assistant t<A> | assistant t<B>");
  const Trace streamed =
      at("/v1/completions", "",
         "data: {\"object\":\"text_completion\",\"choices\":[{\"text\":\"x\",\"index\":0}]}\n\n"
         "data: "
         "{\"object\":\"text_completion\",\"choices\":[{\"text\":\"y\",\"index\":0,\"finish_"
         "reason\":\"stop\"}]}\n\n",
         "completions");
  EXPECT_EQ(show(streamed.output_messages), "assistant t<xy>");
}

TEST_F(Apis, EmbeddingsKeepTheirTextsAndLoseTheirPackedVectors) {
  const std::string vector(400, 'q');
  const Trace trace =
      at("/v1/embeddings",
         R"({"model":"e","input":["a","b"],"dimensions":8,"encoding_format":"base64"})",
         R"({"object":"list","model":"e-1","data":[{"embedding":")" + vector +
             R"(","index":0}],"usage":{"total_tokens":6}})",
         "embeddings");
  EXPECT_EQ(trace.kind, TraceKind::kEmbedding);
  ASSERT_EQ(trace.prompts.size(), 2U);
  EXPECT_EQ(trace.parameters.dimensions, 8);
  EXPECT_EQ(trace.parameters.encoding_format, "base64");
  EXPECT_EQ(trace.model_served, "e-1");
  EXPECT_EQ(trace.usage.input, 6);  // all it counts is input
  EXPECT_EQ(trace.output_value.find(vector), Text::npos);
}

TEST_F(Apis, RerankKeepsDocumentsAndScores) {
  const Trace trace = at(
      "/v2/rerank", R"({"model":"r","query":"which","documents":["x",{"text":"y"}],"top_n":1})",
      R"({"id":"i","results":[{"index":1,"relevance_score":0.75}],"meta":{"billed_units":{"search_units":1}}})",
      "rerank");
  EXPECT_EQ(trace.kind, TraceKind::kReranker);
  EXPECT_EQ(trace.rerank_query, "which");
  EXPECT_EQ(trace.rerank_top_k, 1);
  ASSERT_EQ(trace.input_documents.size(), 2U);
  EXPECT_EQ(trace.input_documents[1].content, "y");
  ASSERT_EQ(trace.output_documents.size(), 1U);
  EXPECT_EQ(trace.output_documents[0].id, "1");
  EXPECT_EQ(trace.output_documents[0].score, 0.75);
}

TEST_F(Apis, UnknownApisGiveTextModelAndUsage) {
  const Trace trace = at(
      "/invented/v7", R"({"model":"m","question":"q"})",
      R"({"id":"i","model":"m-1","text":"answer","usage":{"prompt_tokens":1,"completion_tokens":2}})",
      "");
  EXPECT_EQ(trace.operation, Operation::kUnknown);
  EXPECT_EQ(trace.model_served, "m-1");
  EXPECT_EQ(trace.usage.output, 2);
  EXPECT_EQ(show(trace.output_messages), "assistant t<answer>");
  EXPECT_EQ(trace.input_value, R"({"model":"m","question":"q"})");
  const Trace grew = at("/invented/v7", "",
                        "data: {\"completion\":\"a\"}\n\ndata: {\"completion\":\"ab\"}\n\ndata: "
                        "{\"completion\":\"abc\"}\n\n",
                        "");
  EXPECT_EQ(show(grew.output_messages), "assistant t<abc>");
  const Trace pieces = at("/invented/v7", "",
                          "data: {\"completion\":\"a\"}\n\ndata: {\"completion\":\"b\"}\n\ndata: "
                          "{\"completion\":\"c\"}\n\n",
                          "");
  EXPECT_EQ(show(pieces.output_messages), "assistant t<abc>");
}

TEST_F(Apis, TheShapeOfTheAnswerBeatsWhatPathAndOperationSay) {
  const Trace trace = at(
      "/v1/chat/completions", "",
      R"({"type":"message","role":"assistant","content":[{"type":"text","text":"a"}],"usage":{"input_tokens":1,"output_tokens":1}})");
  EXPECT_EQ(show(trace.output_messages), "assistant t<a>");
}

}  // namespace
}  // namespace sidecast
