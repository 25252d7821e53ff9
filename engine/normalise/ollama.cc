// Ollama's own chat and generate, one JSON object a line when streamed.
// Specification: https://github.com/ollama/ollama/blob/main/docs/api.md
#include "engine/normalise/api.h"
#include "engine/normalise/last_members.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

constexpr std::size_t kCallsMax = 1024;

void add_text(JsonValue text, Text role, ArenaVector<Message>& messages, Reading& reading) {
  if (!text.is_string() || text.word().empty()) return;
  Message& message = messages.emplace_back(reading.arena);
  message.role = role;
  read_content(text, message, reading);
}

void read_request(JsonValue body, Reading& reading) {
  kOpenAiChat.read_request(body, reading);
  ArenaVector<Message>& messages = reading.trace.input_messages;
  add_text(body.find("system"), "system", messages, reading);
  add_text(body.find("prompt"), "user", messages, reading);
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  set_if_empty(trace.model_served, reading.text(body.find("model")));
  const Text reason = reading.text(body.find("done_reason"));
  if (!reason.empty()) trace.finish_reasons.push_back(reason);
  ArenaVector<Message>& messages = trace.output_messages;
  const JsonValue message = body.find("message");
  if (message.is_object()) {
    read_message(message, messages, reading);
  } else if (const JsonValue text = body.find("response"); text.is_string()) {
    messages.emplace_back(reading.arena).role = "assistant";
    read_reasoning(body, messages.back(), reading);
    read_content(text, messages.back(), reading);
  }
  if (!messages.empty()) messages.back().finish_reason = reason;
}

bool assemble(StreamReader& stream, Reading& reading, JsonWriter& out) {
  Arena& arena = reading.arena;
  LastMembers members(arena);
  LastMembers message(arena);
  TextField content(arena);
  TextField thinking(arena);
  TextField response(arena);
  ArenaVector<Text> calls(arena.resource());
  bool is_ollama = false;  // an endpoint may promise what the answer does not keep
  while (const std::optional<StreamEvent> event = stream.next()) {
    if (event->value.find("done").boolean().value_or(false)) stream.note_end();
    for (const JsonMember member : event->value) {
      is_ollama =
          is_ollama || member.key == "response" || member.key == "message" || member.key == "done";
      if (member.key == "response") {
        response.append(member.value, reading);
      } else if (member.key == "thinking") {
        thinking.append(member.value, reading);
      } else if (member.key != "message") {
        members.set(member, reading);
      } else {
        for (const JsonMember inner : member.value) {
          if (inner.key == "content") {
            content.append(inner.value, reading);
          } else if (inner.key == "thinking") {
            thinking.append(inner.value, reading);
          } else if (inner.key == "tool_calls") {
            for (const JsonMember call : inner.value) {
              if (calls.size() < kCallsMax) calls.push_back(reading.json(call.value));
            }
          } else {
            message.set(inner, reading);
          }
        }
      }
    }
  }
  if (!is_ollama) return false;
  out.begin_object();
  members.write(out);
  response.write("response", arena, out);
  if (response.has_come()) {
    thinking.write("thinking", arena, out);
  } else {
    out.key("message").begin_object();
    message.write(out);
    content.write("content", arena, out);
    thinking.write("thinking", arena, out);
    if (!calls.empty()) {
      out.key("tool_calls").begin_array();
      for (const Text call : calls) out.raw(call);
      out.end_array();
    }
    out.end_object();
  }
  out.end_object();
  return true;
}

}  // namespace

const Api kOllama{
    "ollama", Operation::kChat, TraceKind::kLlm, &read_request, &read_response, &assemble, true};

}  // namespace sidecast
