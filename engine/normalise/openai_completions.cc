// OpenAI's legacy completions: a prompt, a text.
// Specification: https://platform.openai.com/docs/api-reference/completions
#include "engine/normalise/api.h"
#include "engine/normalise/openai_chat_stream.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  const JsonValue prompt = body.find("prompt");
  if (prompt.is_string()) reading.trace.prompts.push_back(reading.text(prompt));
  for (const JsonMember element : prompt) {  // a list of prompts, or one as token numbers
    if (element.value.is_string()) reading.trace.prompts.push_back(reading.text(element.value));
  }
}

void read_response(JsonValue body, Reading& reading) {
  kOpenAiChat.read_response(body, reading);
}

}  // namespace

const Api kOpenAiCompletions{"openai completions",
                             Operation::kCompletions,
                             TraceKind::kLlm,
                             &read_request,
                             &read_response,
                             &assemble_openai_chat,
                             true};

}  // namespace sidecast
