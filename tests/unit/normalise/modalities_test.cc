// Pictures, speech, plain text models and Google's Interactions.
#include <list>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class Modalities : public testing::Test, public RecordFixture {
 protected:
  Trace at(Text endpoint, Text request, Text response, Text operation = "other") {
    record.endpoint = endpoint;
    return normalise(kept_.emplace_back(request), kept_.emplace_back(response), operation);
  }

 private:
  std::list<std::string> kept_;  // bodies, as long as their Traces
};

const std::string kPicture = "iVBORw0KGgo" + std::string(89, 'A');

TEST_F(Modalities, PicturesLeaveNotesAndKeepTheRevisedPrompt) {
  const Trace trace = at(
      "/v1/images/generations", R"({"model":"gpt-image-1","prompt":"a cat","n":1})",
      R"({"created":1,"data":[{"b64_json":")" + kPicture +
          R"(","revised_prompt":"a tabby cat"}],"usage":{"input_tokens":8,"output_tokens":9,"total_tokens":17,"input_tokens_details":{"text_tokens":8,"image_tokens":0}}})",
      "image");
  EXPECT_EQ(trace.operation, Operation::kImage);
  EXPECT_EQ(show(trace.input_messages.at(0)), "user t<a cat>");
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<a tabby cat> i<>");
  EXPECT_EQ(trace.output_messages[0].parts[1].mime_type, "image/png");
  EXPECT_EQ(trace.output_messages[0].parts[1].omitted_bytes, 100U);
  EXPECT_EQ(trace.output_value.find(kPicture), Text::npos);
  EXPECT_EQ(trace.usage.input, 8);
  EXPECT_EQ(trace.usage.output, 9);
  EXPECT_EQ(trace.parameters.output_type, "image");
}

TEST_F(Modalities, AStreamedPictureIsItsLastEvent) {
  const Trace trace =
      at("/v1/images/generations", R"({"prompt":"a cat","stream":true})",
         "event: image_generation.partial_image\ndata: "
         "{\"type\":\"image_generation.partial_image\",\"b64_json\":\"" +
             kPicture +
             "\"}\n\nevent: image_generation.completed\ndata: "
             "{\"type\":\"image_generation.completed\",\"b64_json\":\"" +
             kPicture + "\",\"usage\":{\"input_tokens\":5,\"output_tokens\":6}}\n\n",
         "image");
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant i<>");
  EXPECT_EQ(trace.usage.output, 6);
  EXPECT_EQ(trace.output_value.find(kPicture), Text::npos);
}

TEST_F(Modalities, CostInTicksIsMoney) {
  const Trace trace = at(
      "/v1/images/generations", R"({"prompt":"a cat"})",
      R"({"data":[{"url":"https://x.ai/a.jpeg","mime_type":"image/jpeg"}],"usage":{"cost_in_usd_ticks":200000000}})",
      "image");
  EXPECT_DOUBLE_EQ(trace.cost.total.value(), 0.02);
  EXPECT_EQ(trace.output_messages.at(0).parts.at(0).url, "https://x.ai/a.jpeg");
  const Trace grpc = at(
      "/xai_api.Chat/GetCompletion", "",
      R"({"id":"1","outputs":[{"message":{"content":"a"}}],"usage":{"cost_in_usd_ticks":"119540000"}})");
  EXPECT_DOUBLE_EQ(grpc.cost.total.value(), 0.011954);
}

TEST_F(Modalities, PicturesOfBedrockAndImagenAreUnderstood) {
  const Trace titan = at("/model/amazon.titan-image/invoke",
                         R"({"taskType":"TEXT_IMAGE","textToImageParams":{"text":"a cat"}})",
                         R"({"images":[")" + kPicture + R"("]})");
  EXPECT_EQ(show(titan.input_messages.at(0)), "user t<a cat>");
  EXPECT_EQ(show(titan.output_messages.at(0)), "assistant i<>");
  const Trace imagen = at(
      "/models/imagen:predict", R"({"instances":[{"prompt":"a cat"}]})",
      R"({"predictions":[{"bytesBase64Encoded":")" + kPicture + R"(","mimeType":"image/jpeg"}]})");
  EXPECT_EQ(show(imagen.output_messages.at(0)), "assistant i<>");
  EXPECT_EQ(imagen.output_value.find(kPicture), Text::npos);
}

TEST_F(Modalities, ATranscriptionStreamIsItsLastText) {
  const std::string deltas =
      "data: {\"type\":\"transcript.text.delta\",\"delta\":\"he\"}\n\n"
      "data: {\"type\":\"transcript.text.delta\",\"delta\":\"llo\"}\n\n";
  const std::string done =
      "data: "
      "{\"type\":\"transcript.text.done\",\"text\":\"Hello.\",\"usage\":{\"input_tokens\":7,"
      "\"output_tokens\":2}}\n\n";
  const Trace whole = at("/v1/audio/transcriptions", "", deltas + done, "audio");
  EXPECT_EQ(show(whole.output_messages.at(0)), "assistant t<Hello.>");
  EXPECT_EQ(whole.usage.input, 7);
  EXPECT_EQ(show(at("/", "", deltas, "").output_messages.at(0)), "assistant t<hello>");
  const Trace by_speaker = at(
      "/", "",
      "data: {\"type\":\"transcript.text.segment\",\"text\":\"hi\",\"speaker\":\"A\"}\n\n" + done,
      "audio");
  EXPECT_EQ(show(by_speaker.output_messages.at(0)), "assistant t<Hello.>");
}

TEST_F(Modalities, AStreamOfSpeechLeavesItsSize) {
  const Trace trace =
      at("/v1/audio/speech", R"({"input":"hello"})",
         "data: {\"type\":\"speech.audio.delta\",\"audio\":\"" + kPicture +
             "\"}\n\ndata: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":3}}\n\n",
         "audio");
  EXPECT_EQ(trace.output_messages.at(0).parts.at(0).omitted_bytes, 100U);
  EXPECT_EQ(trace.usage.input, 3);
}

// What InvokeModel's models say, each in its own way.
TEST_F(Modalities, TextModelsOfBedrockAreUnderstood) {
  struct Case {
    Text request;
    Text response;
    Text reason;
    std::int64_t input;
  };
  const Case cases[] = {
      {R"({"inputText":"q","textGenerationConfig":{"maxTokenCount":9}})",
       R"({"inputTextTokenCount":3,"results":[{"tokenCount":2,"outputText":"a","completionReason":"FINISH"}]})",
       "FINISH", 3},
      {R"({"prompt":"q","max_gen_len":9})",
       R"({"generation":"a","prompt_token_count":3,"generation_token_count":2,"stop_reason":"stop"})",
       "stop", 3},
      {R"({"prompt":"q","max_tokens":9})", R"({"outputs":[{"text":"a","stop_reason":"length"}]})",
       "length", -1},
      {R"({"prompt":"q","max_tokens":9})",
       R"({"generations":[{"id":"1","text":"a","finish_reason":"COMPLETE"}],"id":"x","prompt":"q"})",
       "COMPLETE", -1},
      {R"({"prompt":"q","maxTokens":9})",
       R"({"id":1,"prompt":{"text":"q"},"completions":[{"data":{"text":"a"},"finishReason":{"reason":"endoftext"}}]})",
       "endoftext", -1},
      {R"({"prompt":"q","max_tokens_to_sample":9})",
       R"({"type":"completion","completion":"a","stop_reason":"stop_sequence"})", "stop_sequence",
       -1},
  };
  for (const Case& model : cases) {
    const Trace trace = at("/model/m/invoke", model.request, model.response);
    EXPECT_EQ(trace.prompts.at(0), "q") << model.response;
    ASSERT_EQ(trace.output_messages.size(), 1U) << model.response;
    EXPECT_EQ(show(trace.output_messages[0]), "assistant t<a>");
    EXPECT_EQ(trace.finish_reasons.at(0), model.reason);
    EXPECT_EQ(trace.parameters.max_tokens, 9) << model.response;
    EXPECT_EQ(trace.usage.input.value_or(-1), model.input);
  }
}

TEST_F(Modalities, EveryTextOfATextModelIsAChoice) {
  const Trace trace = at(
      "/model/m/invoke", R"({"prompt":"q","num_generations":2})",
      R"({"generations":[{"text":"a","finish_reason":"COMPLETE"},{"text":"b","finish_reason":"MAX_TOKENS"}]})");
  ASSERT_EQ(trace.output_messages.size(), 2U);
  EXPECT_EQ(trace.output_messages[1].finish_reason, "MAX_TOKENS");
  EXPECT_EQ(trace.finish_reasons.size(), 2U);
  EXPECT_EQ(trace.parameters.choice_count, 2);
}

TEST_F(Modalities, CountsOfATextStreamAreKeptFromWhereverTheyStand) {
  const Trace trace =
      at("/ml/v1/text/generation_stream", R"({"input":"q","model_id":"m"})",
         "data: "
         "{\"model_id\":\"m\",\"results\":[{\"generated_text\":\"a\",\"generated_token_count\":1,"
         "\"input_token_count\":5,\"stop_reason\":\"not_finished\"}]}\n\n"
         "data: "
         "{\"model_id\":\"m\",\"results\":[{\"generated_text\":\"b\",\"generated_token_count\":2,"
         "\"input_token_count\":0,\"stop_reason\":\"eos_token\"}]}\n\n");
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<ab>");
  EXPECT_EQ(trace.usage.input, 5);
  EXPECT_EQ(trace.usage.output, 2);
  EXPECT_EQ(trace.finish_reasons.at(0), "eos_token");
}

TEST_F(Modalities, APredictionsPiecesAndADocumentsPagesAreOneText) {
  const Trace replicate =
      at("/v1/predictions", R"({"input":{"prompt":"q"}})", R"({"id":"p","output":["a","b"]})");
  EXPECT_EQ(replicate.prompts.at(0), "q");
  EXPECT_EQ(show(replicate.output_messages.at(0)), "assistant t<ab>");
  const Trace ocr =
      at("/v1/ocr",
         R"({"model":"m","document":{"type":"document_url","document_url":"https://a/b.pdf"}})",
         R"({"pages":[{"index":0,"markdown":"one"},{"index":1,"markdown":"two"}],"model":"m"})");
  EXPECT_EQ(show(ocr.output_messages.at(0)), "assistant t<onetwo>");
}

TEST_F(Modalities, StepsOfAnInteractionAreMessages) {
  const Trace trace = at(
      "/v1beta/interactions",
      R"({"model":"g","system_instruction":"be kind","input":[{"type":"text","text":"q"},{"type":"function_result","call_id":"c","name":"f","result":"r"}],"generation_config":{"max_output_tokens":9}})",
      R"({"id":"i","object":"interaction","status":"completed","model":"g","steps":[{"type":"thought","signature":"S","summary":[{"type":"text","text":"hm"}]},
        {"type":"function_call","id":"c2","name":"f","arguments":{"x":1}},{"type":"model_output","content":[{"type":"text","text":"a"}]}],
        "usage":{"total_input_tokens":7,"total_output_tokens":1,"total_thought_tokens":5,"total_tool_use_tokens":2,"total_tokens":15}})");
  EXPECT_EQ(trace.input_messages.size(), 3U);
  EXPECT_EQ(show(trace.input_messages[0]), "system t<be kind>");
  EXPECT_EQ(show(trace.input_messages[2]), "tool R#c f<r>");
  EXPECT_EQ(show(trace.output_messages.at(0)), R"(assistant r<hm> c#c2 f<{"x":1}> t<a>)");
  EXPECT_EQ(trace.output_messages[0].parts[0].signature, "S");
  EXPECT_EQ(trace.parameters.max_tokens, 9);
  EXPECT_EQ(trace.usage.input, 9);
  EXPECT_EQ(trace.usage.output, 6);
  EXPECT_EQ(trace.usage.reasoning, 5);
}

TEST_F(Modalities, AStreamedInteractionIsTheSame) {
  const Trace trace = at(
      "/v1beta/interactions", "",
      "data: "
      "{\"event_type\":\"interaction.created\",\"interaction\":{\"id\":\"i\",\"status\":\"in_"
      "progress\",\"object\":\"interaction\"}}\n\n"
      "data: {\"event_type\":\"step.start\",\"index\":0,\"step\":{\"type\":\"thought\"}}\n\n"
      "data: "
      "{\"event_type\":\"step.delta\",\"index\":0,\"delta\":{\"content\":{\"text\":\"hm\"},"
      "\"type\":\"thought_summary\"}}\n\n"
      "data: "
      "{\"event_type\":\"step.delta\",\"index\":0,\"delta\":{\"signature\":\"S\",\"type\":"
      "\"thought_signature\"}}\n\n"
      "data: {\"event_type\":\"step.start\",\"index\":1,\"step\":{\"type\":\"model_output\"}}\n\n"
      "data: "
      "{\"event_type\":\"step.delta\",\"index\":1,\"delta\":{\"text\":\"a\",\"type\":\"text\"}}\n\n"
      "data: "
      "{\"event_type\":\"step.delta\",\"index\":1,\"delta\":{\"text\":\"b\",\"type\":\"text\"}}\n\n"
      "data: "
      "{\"event_type\":\"interaction.completed\",\"interaction\":{\"id\":\"i\",\"status\":"
      "\"completed\",\"usage\":{\"total_input_tokens\":7,\"total_output_tokens\":2}}}\n\n"
      "data: [DONE]\n\n");
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant r<hm> t<ab>");
  EXPECT_EQ(trace.output_messages[0].parts[0].signature, "S");
  EXPECT_EQ(trace.finish_reasons.at(0), "completed");
  EXPECT_EQ(trace.response_id, "i");
  EXPECT_EQ(trace.usage.input, 7);
}

}  // namespace
}  // namespace sidecast
