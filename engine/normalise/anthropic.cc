// Anthropic's messages, also as Bedrock and Vertex pass them on.
// Specification: https://docs.anthropic.com/en/api/messages, .../messages-streaming
#include "engine/normalise/anthropic_stream.h"
#include "engine/normalise/api.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  ArenaVector<Message>& messages = reading.trace.input_messages;
  const JsonValue system = body.find("system");
  if (system.is_present() && !(system.is_array() && system.is_empty())) {
    Message& message = messages.emplace_back(reading.arena);
    message.role = "system";
    read_content(system, message, reading);
  }
  for (const JsonMember element : body.find("messages")) {
    read_message(element.value, messages, reading);
  }
  read_tools(body.find("tools"), reading);
  const JsonValue prompt = body.find("prompt");  // of the text completions of old
  if (prompt.is_string()) reading.trace.prompts.push_back(reading.text(prompt));
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  set_if_empty(trace.response_id, reading.text(body.find("id")));
  set_if_empty(trace.model_served, reading.text(body.find("model")));
  set_if_empty(trace.service_tier, reading.text(body.find("usage", "service_tier")));
  JsonValue content = body.find("content");
  if (!content) content = body.find("completion");  // of the text completions of old
  if (!content.is_present()) return;
  // Results of Anthropic's own tools stand among the blocks and stay there.
  Message& message = trace.output_messages.emplace_back(reading.arena);
  message.role = reading.text(body.find("role"));
  set_if_empty(message.role, "assistant");
  read_content(content, message, reading);
  message.finish_reason = reading.text(body.find("stop_reason"));
  trace.finish_reasons.push_back(message.finish_reason);
}

}  // namespace

const Api kAnthropic{"anthropic messages",
                     Operation::kMessages,
                     TraceKind::kLlm,
                     &read_request,
                     &read_response,
                     &assemble_anthropic,
                     true};

}  // namespace sidecast
