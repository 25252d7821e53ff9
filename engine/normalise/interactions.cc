// Google's Interactions: steps of thought, output and calls, in requests, answers and streams
// alike. Specification: https://ai.google.dev/api/interactions-api
#include "engine/normalise/api.h"
#include "engine/normalise/last_members.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

constexpr std::size_t kStepsMax = 4096;

Text joined_texts(JsonValue list, Reading& reading) {
  TextPieces pieces(reading.arena);
  for (const JsonMember element : list) pieces.append(reading.text(element.value.find("text")));
  return pieces.join(reading.arena);
}

void add_result(JsonValue step, ArenaVector<Message>& messages, Reading& reading) {
  Message& message = messages.emplace_back(reading.arena);
  message.role = "tool";
  message.name = reading.text(step.find("name"));
  message.tool_call_id = reading.text(step.find("call_id"));
  Part& part = message.parts.emplace_back();
  part.kind = PartKind::kToolResult;
  part.id = message.tool_call_id;
  part.name = message.name;
  part.text = reading.text_or_json(step.find("result"));
}

// Steps of the model that follow each other are one message.
Message& message_of(Text role, ArenaVector<Message>& messages, Reading& reading) {
  if (messages.empty() || messages.back().role != role) {
    messages.emplace_back(reading.arena).role = role;
    messages.back().from_list = true;
  }
  return messages.back();
}

void read_step(JsonValue step, ArenaVector<Message>& messages, Reading& reading) {
  const Text type = step.find("type").word();
  if (type == "function_result") {
    add_result(step, messages, reading);
    return;
  }
  Text role = reading.text(step.find("role"));
  const bool is_of_user = type == "user_input" || type == "text" || type == "image" ||
                          type == "audio" || type == "video" || type == "document";
  if (role == "model" || role.empty()) role = is_of_user ? "user" : "assistant";
  Message& message = message_of(role, messages, reading);
  const JsonValue content = step.find("content");
  if (type == "thought") {
    Part& part = message.parts.emplace_back();
    part.kind = PartKind::kReasoning;
    part.text = joined_texts(step.find("summary"), reading);
    part.signature = reading.opaque(step.find("signature"));
  } else if (type == "function_call") {
    Part& part = message.parts.emplace_back();
    part.kind = PartKind::kToolCall;
    part.id = reading.text(step.find("id"));
    part.name = reading.text(step.find("name"));
    part.text = reading.text_or_json(step.find("arguments"));
  } else if (content.is_present()) {
    read_content(content, message, reading);
  } else {
    read_part(step, message, reading);
  }
}

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  ArenaVector<Message>& messages = reading.trace.input_messages;
  const JsonValue system = body.find("system_instruction");
  if (system.is_present()) {
    Message& message = messages.emplace_back(reading.arena);
    message.role = "system";
    read_content(system, message, reading);
  }
  const JsonValue input = body.find("input");
  if (input.is_string()) {
    Message& message = messages.emplace_back(reading.arena);
    message.role = "user";
    read_content(input, message, reading);
  } else if (input.is_object()) {
    read_step(input, messages, reading);
  }
  for (const JsonMember element : input) {
    if (element.value.is_object() && element.key.empty())
      read_step(element.value, messages, reading);
  }
  read_tools(body.find("tools"), reading);
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  set_if_empty(trace.response_id, reading.text(body.find("id")));
  set_if_empty(trace.model_served, reading.text(body.find("model")));
  set_if_empty(trace.service_tier, reading.text(body.find("service_tier")));
  for (const Text key : {"steps", "outputs"}) {
    for (const JsonMember element : body.find(key)) {
      if (!element.value.is_object()) continue;
      if (key == "steps") {
        read_step(element.value, trace.output_messages, reading);
      } else {
        read_part(element.value, message_of("assistant", trace.output_messages, reading), reading);
      }
    }
  }
  const Text status = reading.text(body.find("status"));
  if (status.empty()) return;
  trace.finish_reasons.push_back(status);
  if (!trace.output_messages.empty()) trace.output_messages.back().finish_reason = status;
}

struct Step {
  explicit Step(Arena& arena)
      : members(arena), text(arena), summary(arena), signature(arena), arguments(arena) {}
  std::int64_t index = 0;
  LastMembers members;
  TextField text;
  TextField summary;
  TextField signature;
  TextField arguments;
};

void add_delta(JsonValue delta, Step& step, Reading& reading) {
  const JsonValue text = delta.find("text");
  const JsonValue nested = delta.find("content", "text");
  const Text type = delta.find("type").word();
  (type.substr(0, 7) == "thought" ? step.summary : step.text).append(text, reading);
  step.summary.append(nested, reading);
  step.signature.append(delta.find("signature"), reading);
  for (const JsonMember member : delta) {
    if (member.key == "arguments" || member.key == "partial_arguments") {
      member.value.is_string() ? step.arguments.append(member.value, reading)
                               : step.members.set("arguments", reading.json(member.value));
    } else if (member.key == "id" || member.key == "name") {
      step.members.set(member, reading);
    }
  }
}

void write_texts(Text key, const TextField& text, Arena& arena, JsonWriter& out) {
  if (!text.has_come()) return;
  out.key(key).begin_array().begin_object().key("type").string("text");
  text.write("text", arena, out);
  out.end_object().end_array();
}

bool assemble(StreamReader& stream, Reading& reading, JsonWriter& out) {
  Arena& arena = reading.arena;
  LastMembers interaction(arena);
  ArenaVector<Step> steps(arena.resource());
  while (const std::optional<StreamEvent> event = stream.next()) {
    for (const JsonMember member : event->value.find("interaction"))
      interaction.set(member, reading);
    for (const JsonMember member : event->value) {
      if (member.key == "error") interaction.set(member, reading);
    }
    const std::optional<std::int64_t> index = event->value.find("index").integer();
    if (!index) continue;
    if (steps.empty() || steps.back().index != *index) {
      if (steps.size() == kStepsMax) continue;
      steps.emplace_back(arena).index = *index;
    }
    for (const Text key : {"step", "content"}) {
      for (const JsonMember member : event->value.find(key))
        steps.back().members.set(member, reading);
    }
    add_delta(event->value.find("delta"), steps.back(), reading);
  }
  if (interaction.empty() && steps.empty()) return false;
  out.begin_object();
  interaction.write(out);
  out.key("steps").begin_array();
  for (const Step& step : steps) {
    out.begin_object();
    step.members.write(out);
    write_texts("content", step.text, arena, out);
    write_texts("summary", step.summary, arena, out);
    step.signature.write("signature", arena, out);
    step.arguments.write("arguments", arena, out);
    out.end_object();
  }
  out.end_array().end_object();
  return true;
}

}  // namespace

const Api kInteractions{"google interactions",
                        Operation::kChat,
                        TraceKind::kLlm,
                        &read_request,
                        &read_response,
                        &assemble,
                        true};

}  // namespace sidecast
