// Cohere's chat, versions 2 (messages) and 1 (one message and a history).
// Specification: https://docs.cohere.com/reference/chat
#include "engine/normalise/api.h"
#include "engine/normalise/last_members.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

constexpr std::size_t kCallsMax = 1024;

void add_turn(JsonValue text, Text role, ArenaVector<Message>& messages, Reading& reading) {
  if (!text.is_string()) return;
  Message& message = messages.emplace_back(reading.arena);
  message.role = role;
  read_content(text, message, reading);
}

void read_request(JsonValue body, Reading& reading) {
  kOpenAiChat.read_request(body, reading);
  ArenaVector<Message>& messages = reading.trace.input_messages;
  add_turn(body.find("preamble"), "system", messages, reading);
  for (const JsonMember element : body.find("chat_history")) {
    const Text role = element.value.find("role").word();
    add_turn(element.value.find("message"),
             role == "CHATBOT"  ? Text("assistant")
             : role == "SYSTEM" ? Text("system")
                                : Text("user"),
             messages, reading);
  }
  add_turn(body.find("message"), "user", messages, reading);
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  const JsonValue id = body.find("id");
  set_if_empty(trace.response_id, reading.text(id ? id : body.find("generation_id")));
  const Text reason = reading.text(body.find("finish_reason"));
  if (!reason.empty()) trace.finish_reasons.push_back(reason);
  ArenaVector<Message>& messages = trace.output_messages;
  const JsonValue message = body.find("message");
  if (message.is_object()) {
    read_message(message, messages, reading);
  } else {
    add_turn(body.find("text"), "assistant", messages, reading);
  }
  if (messages.empty()) return;
  Message& answer = messages.back();
  answer.finish_reason = reason;
  for (const JsonMember element : body.find("tool_calls")) {  // version 1
    Part& part = answer.parts.emplace_back();
    part.kind = PartKind::kToolCall;
    part.name = reading.text(element.value.find("name"));
    part.text = reading.json(element.value.find("parameters"));
  }
}

// ---- Streams ------------------------------------------------------------------------------------

struct Call {
  explicit Call(Arena& arena) : arguments(arena) {}
  Text id;
  Text name;
  TextField arguments;
};

bool assemble(StreamReader& stream, Reading& reading, JsonWriter& out) {
  Arena& arena = reading.arena;
  LastMembers members(arena);
  TextField text(arena);
  TextField thinking(arena);
  TextField plan(arena);
  ArenaVector<Call> calls(arena.resource());
  bool is_cohere = false;  // an endpoint may promise what the answer does not keep
  while (const std::optional<StreamEvent> event = stream.next()) {
    const JsonValue value = event->value;
    is_cohere = is_cohere || value.find("event_type").is_string() ||
                value.find("delta").is_object() || value.find("type").word() == "message-start" ||
                value.find("type").word() == "message-end";
    if (value.find("is_finished").boolean().value_or(false) ||
        value.find("type").word() == "message-end") {
      stream.note_end();
    }
    if (const JsonValue response = value.find("response"); response.is_object()) {
      // Version 1 ends with the whole answer.
      for (const JsonMember member : response) members.set(member, reading);
      for (const JsonMember member : value) {
        if (member.key == "finish_reason") members.set(member, reading);
      }
      text = TextField(arena);
      continue;
    }
    text.append(value.find("text"), reading);
    const JsonValue delta = value.find("delta");
    const JsonValue message = delta.find("message");
    text.append(message.find("content", "text"), reading);
    thinking.append(message.find("content", "thinking"), reading);
    plan.append(message.find("tool_plan"), reading);
    const JsonValue call = message.find("tool_calls");
    if (call.is_object()) {
      const bool is_new = value.find("type").word() == "tool-call-start" || calls.empty();
      if (is_new && calls.size() < kCallsMax) {
        calls.emplace_back(arena);
        calls.back().id = reading.text(call.find("id"));
        calls.back().name = reading.text(call.find("function", "name"));
      }
      calls.back().arguments.append(call.find("function", "arguments"), reading);
    }
    for (const JsonMember member : value) {
      if (member.key == "id" || member.key == "generation_id") members.set(member, reading);
    }
    for (const JsonMember member : delta) {
      if (member.key != "message") members.set(member, reading);
    }
  }
  if (!is_cohere) return false;
  out.begin_object();
  members.write(out);
  const bool is_version_1 =
      text.has_come() == false && !thinking.has_come() && calls.empty() && !plan.has_come();
  if (!is_version_1) {
    out.key("message").begin_object().key("role").string("assistant");
    plan.write("tool_plan", arena, out);
    out.key("content").begin_array();
    if (thinking.has_come()) {
      out.begin_object().key("type").string("thinking");
      thinking.write("thinking", arena, out);
      out.end_object();
    }
    if (text.has_come()) {
      out.begin_object().key("type").string("text");
      text.write("text", arena, out);
      out.end_object();
    }
    out.end_array();
    if (!calls.empty()) {
      out.key("tool_calls").begin_array();
      for (const Call& call : calls) {
        out.begin_object().key("id").string(call.id).key("type").string("function");
        out.key("function").begin_object().key("name").string(call.name);
        call.arguments.write("arguments", arena, out);
        out.end_object().end_object();
      }
      out.end_array();
    }
    out.end_object();
  }
  out.end_object();
  return true;
}

}  // namespace

const Api kCohere{"cohere chat", Operation::kChat, TraceKind::kLlm,
                  &read_request, &read_response,   &assemble,
                  true};

}  // namespace sidecast
