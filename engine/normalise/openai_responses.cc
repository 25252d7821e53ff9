// OpenAI's Responses, and those who follow it (xAI, OpenRouter, Groq, ...).
// Specification: https://platform.openai.com/docs/api-reference/responses
#include "engine/normalise/api.h"
#include "engine/normalise/openai_responses_stream.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

bool ends_with(Text text, Text suffix) noexcept {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

bool is_call_output(Text type) noexcept {
  return ends_with(type, "call_output");
}

void add_call_output(JsonValue item, ArenaVector<Message>& messages, Reading& reading) {
  Message& message = messages.emplace_back(reading.arena);
  message.role = "tool";
  message.tool_call_id = reading.text(item.find("call_id"));
  Part& part = message.parts.emplace_back();
  part.kind = PartKind::kToolResult;
  part.id = message.tool_call_id;
  part.text = reading.text_or_json(item.find("output"));
}

// Items of the model (reasoning, text, calls) that follow each other are one message.
Message& assistant_message(ArenaVector<Message>& messages, Reading& reading) {
  if (messages.empty() || messages.back().role != "assistant") {
    messages.emplace_back(reading.arena).role = "assistant";
  }
  messages.back().from_list = true;
  return messages.back();
}

void read_item(JsonValue item, ArenaVector<Message>& messages, Reading& reading) {
  const Text type = item.find("type").word();
  const Text role = reading.text(item.find("role"));
  if (is_call_output(type)) {
    add_call_output(item, messages, reading);
  } else if (role.empty() || role == "assistant") {
    Message& message = assistant_message(messages, reading);
    if (role.empty()) {
      read_part(item, message, reading);
    } else {
      read_content(item.find("content"), message, reading);
    }
  } else {
    Message& message = messages.emplace_back(reading.arena);
    message.role = role;
    read_content(item.find("content"), message, reading);
  }
}

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  ArenaVector<Message>& messages = reading.trace.input_messages;
  const JsonValue instructions = body.find("instructions");
  if (instructions.is_string()) {
    Message& message = messages.emplace_back(reading.arena);
    message.role = "system";
    read_content(instructions, message, reading);
  }
  const JsonValue input = body.find("input");
  if (input.is_string()) {
    Message& message = messages.emplace_back(reading.arena);
    message.role = "user";
    read_content(input, message, reading);
  }
  for (const JsonMember element : input) {
    if (element.value.is_object()) read_item(element.value, messages, reading);
  }
  read_tools(body.find("tools"), reading);
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  set_if_empty(trace.response_id, reading.text(body.find("id")));
  set_if_empty(trace.model_served, reading.text(body.find("model")));
  set_if_empty(trace.service_tier, reading.text(body.find("service_tier")));
  for (const JsonMember element : body.find("output")) {
    if (element.value.is_object()) read_item(element.value, trace.output_messages, reading);
  }
  Text reason = reading.text(body.find("incomplete_details", "reason"));
  if (reason.empty()) reason = reading.text(body.find("status"));
  if (reason.empty()) return;
  trace.finish_reasons.push_back(reason);
  if (!trace.output_messages.empty()) trace.output_messages.back().finish_reason = reason;
}

}  // namespace

const Api kOpenAiResponses{"openai responses",
                           Operation::kResponses,
                           TraceKind::kLlm,
                           &read_request,
                           &read_response,
                           &assemble_openai_responses,
                           true};

}  // namespace sidecast
