// OpenAI's chat completions, and what everybody made of them: OpenRouter, Azure, Mistral, Groq,
// DeepSeek, xAI, vLLM, ... Specification: https://platform.openai.com/docs/api-reference/chat
#include "engine/normalise/api.h"
#include "engine/normalise/openai_chat_stream.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  for (const JsonMember element : body.find("messages")) {
    read_message(element.value, reading.trace.input_messages, reading);
  }
  read_tools(body.find("tools"), reading);
  read_tools(body.find("functions"), reading);
}

void read_choice(JsonValue choice, Reading& reading) {
  Trace& trace = reading.trace;
  const Text finish_reason = reading.text(choice.find("finish_reason"));
  trace.finish_reasons.push_back(finish_reason);
  reading.add_fact("native_finish_reason", choice.find("native_finish_reason"));
  const std::size_t before = trace.output_messages.size();
  read_message(choice.find("message"), trace.output_messages, reading);
  if (trace.output_messages.size() == before) {
    Message& message = trace.output_messages.emplace_back(reading.arena);
    if (const JsonValue text = choice.find("text"); text.is_string())
      read_content(text, message, reading);
  }
  Message& message = trace.output_messages.back();
  message.finish_reason = finish_reason;
  set_if_empty(message.role, "assistant");
  const JsonValue error = choice.find("error");
  if (error.is_object()) {
    trace.outcome.failed = true;
    set_if_empty(trace.outcome.error_message, reading.text_or_json(error.find("message")));
  }
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  set_if_empty(trace.response_id, reading.text(body.find("id")));
  set_if_empty(trace.model_served, reading.text(body.find("model")));
  set_if_empty(trace.provider, reading.text(body.find("provider")));
  set_if_empty(trace.system_fingerprint, reading.text(body.find("system_fingerprint")));
  set_if_empty(trace.service_tier, reading.text(body.find("service_tier")));
  for (const Text key : {"choices", "outputs"}) {
    for (const JsonMember choice : body.find(key)) read_choice(choice.value, reading);
  }
}

}  // namespace

const Api kOpenAiChat{"openai chat", Operation::kChat, TraceKind::kLlm,
                      &read_request, &read_response,   &assemble_openai_chat,
                      true};

}  // namespace sidecast
