#include "engine/normalise/request.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace sidecast {
namespace {

// Members of requests that are content, identity or the trace object, and log-probability settings:
// none of them is a parameter.
constexpr std::array<Text, 39> kNotParameters = {"messages",
                                                 "tools",
                                                 "functions",
                                                 "input",
                                                 "prompt",
                                                 "system",
                                                 "instructions",
                                                 "contents",
                                                 "documents",
                                                 "query",
                                                 "texts",
                                                 "images",
                                                 "inputs",
                                                 "content",
                                                 "requests",
                                                 "instances",
                                                 "message",
                                                 "chat_history",
                                                 "preamble",
                                                 "suffix",
                                                 "inputText",
                                                 "input_text",
                                                 "inputTexts",
                                                 "toolConfig",
                                                 "systemInstruction",
                                                 "prediction",
                                                 "user",
                                                 "session_id",
                                                 "trace",
                                                 "logprobs",
                                                 "top_logprobs",
                                                 "context",
                                                 "multipart",
                                                 "file",
                                                 "image",
                                                 "mask",
                                                 "system_prompt",
                                                 "cachedContent",
                                                 "system_instruction"};

bool is_parameter(Text key) noexcept {
  return std::find(kNotParameters.begin(), kNotParameters.end(), key) == kNotParameters.end();
}

struct NumberName {
  Text key;
  std::optional<double> Parameters::*number;
};
constexpr std::array<NumberName, 11> kNumbers = {{
    {"temperature", &Parameters::temperature},
    {"top_p", &Parameters::top_p},
    {"topP", &Parameters::top_p},
    {"p", &Parameters::top_p},
    {"top_k", &Parameters::top_k},
    {"topK", &Parameters::top_k},
    {"k", &Parameters::top_k},
    {"frequency_penalty", &Parameters::frequency_penalty},
    {"frequencyPenalty", &Parameters::frequency_penalty},
    {"presence_penalty", &Parameters::presence_penalty},
    {"presencePenalty", &Parameters::presence_penalty},
}};

struct IntegerName {
  Text key;
  std::optional<std::int64_t> Parameters::*integer;
};
constexpr std::array<IntegerName, 18> kIntegers = {{
    {"max_tokens", &Parameters::max_tokens},
    {"max_completion_tokens", &Parameters::max_tokens},
    {"max_output_tokens", &Parameters::max_tokens},
    {"maxOutputTokens", &Parameters::max_tokens},
    {"maxTokens", &Parameters::max_tokens},
    {"maxTokenCount", &Parameters::max_tokens},
    {"num_predict", &Parameters::max_tokens},
    {"max_tokens_to_sample", &Parameters::max_tokens},
    {"maxTokensToSample", &Parameters::max_tokens},
    {"max_gen_len", &Parameters::max_tokens},
    {"max_new_tokens", &Parameters::max_tokens},
    {"random_seed", &Parameters::seed},
    {"num_generations", &Parameters::choice_count},
    {"seed", &Parameters::seed},
    {"n", &Parameters::choice_count},
    {"candidateCount", &Parameters::choice_count},
    {"dimensions", &Parameters::dimensions},
    {"output_dimension", &Parameters::dimensions},
}};

void read_stop_sequences(JsonValue value, Reading& reading) {
  ArenaVector<Text>& to = reading.trace.parameters.stop_sequences;
  if (value.is_string()) to.push_back(reading.text(value));
  for (const JsonMember element : value) {
    if (element.value.is_string()) to.push_back(reading.text(element.value));
  }
}

// `response_format`, Responses' `text.format`, Gemini's `responseMimeType`.
Text output_type_of(JsonValue format) noexcept {
  const Text type = format.is_string() ? format.word() : format.find("type").word();
  if (type.substr(0, 4) == "json" || type == "application/json") return "json";
  if (type == "text" || type == "text/plain") return "text";
  return {};
}

void read_modalities(JsonValue modalities, Parameters& parameters) {
  for (const JsonMember element : modalities) {
    const Text modality = element.value.word();
    if (modality == "image" || modality == "IMAGE") parameters.output_type = "image";
    if (modality == "audio" || modality == "AUDIO") parameters.output_type = "speech";
  }
}

void read_parameter(const JsonMember& member, Reading& reading) {
  Parameters& parameters = reading.trace.parameters;
  for (const NumberName& name : kNumbers) {
    if (name.key == member.key) parameters.*name.number = member.value.number();
  }
  for (const IntegerName& name : kIntegers) {
    if (name.key == member.key) parameters.*name.integer = member.value.integer();
  }
  const Text key = member.key;
  if (key == "stop" || key == "stop_sequences" || key == "stopSequences") {
    read_stop_sequences(member.value, reading);
  } else if (key == "stream") {
    parameters.stream = member.value.boolean().value_or(false);
  } else if (key == "service_tier") {
    parameters.service_tier = reading.text(member.value);
  } else if (key == "encoding_format") {
    parameters.encoding_format = reading.text(member.value);
  } else if (key == "response_format" || key == "responseMimeType" || key == "format") {
    set_if_empty(parameters.output_type, output_type_of(member.value));
  } else if (key == "text") {
    set_if_empty(parameters.output_type, output_type_of(member.value.find("format")));
  } else if (key == "modalities" || key == "responseModalities") {
    read_modalities(member.value, parameters);
  }
}

}  // namespace

void read_parameters(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  std::size_t size = 2;
  for (const JsonMember member : body) {
    if (is_parameter(member.key)) size += member.key.size() + 4 + member.value.raw().size();
  }
  char* const out = reading.arena.allocate(size);
  char* to = out;
  const auto put = [&to](Text text) {
    std::memcpy(to, text.data(), text.size());
    to += text.size();
  };
  put("{");
  for (const JsonMember member : body) {
    if (!is_parameter(member.key)) continue;
    read_parameter(member, reading);
    if (member.key == "generationConfig" || member.key == "inferenceConfig" ||
        member.key == "options" || member.key == "textGenerationConfig" ||
        member.key == "generation_config" || member.key == "parameters" ||
        member.key == "completion_args") {
      for (const JsonMember nested : member.value) read_parameter(nested, reading);
    }
    if (to != out + 1) put(",");
    put(member.key_value.raw());
    put(":");
    put(member.value.raw());
  }
  put("}");
  const Text json(out, static_cast<std::size_t>(to - out));
  if (json.size() > 2) trace.parameters.json = scrub_text(json, reading.arena);

  set_if_empty(trace.model_requested, reading.text(body.find("model")));
}

}  // namespace sidecast
