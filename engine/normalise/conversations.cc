// Mistral's conversations: entries of messages, calls, executions and handoffs, in requests,
// answers and streams alike. Specification: https://docs.mistral.ai/api/endpoint/beta/conversations
#include "engine/normalise/api.h"
#include "engine/normalise/last_members.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

constexpr std::size_t kEntriesMax = 256;
// Of an answer that came to its end; the API gives no reason of its own.
constexpr Text kCompleted = "completed";

void add_result(JsonValue entry, ArenaVector<Message>& messages, Reading& reading) {
  Message& message = messages.emplace_back(reading.arena);
  message.role = "tool";
  message.tool_call_id = reading.text(entry.find("tool_call_id"));
  Part& part = message.parts.emplace_back();
  part.kind = PartKind::kToolResult;
  part.id = message.tool_call_id;
  part.text = reading.text_or_json(entry.find("result"));
}

// Entries of the model that follow each other are one message.
Message& message_of(Text role, ArenaVector<Message>& messages, Reading& reading) {
  if (role != "assistant" || messages.empty() || messages.back().role != role) {
    messages.emplace_back(reading.arena).role = role;
    messages.back().from_list = true;
  }
  return messages.back();
}

void read_entry(JsonValue entry, ArenaVector<Message>& messages, Reading& reading) {
  const Text type = entry.find("type").word();
  if (type == "function.result") {
    add_result(entry, messages, reading);
    return;
  }
  Text role = reading.text(entry.find("role"));
  if (role.empty()) role = type == "message.input" ? "user" : "assistant";
  Message& message = message_of(role, messages, reading);
  if (type == "function.call") {
    Part& part = message.parts.emplace_back();
    part.kind = PartKind::kToolCall;
    part.id = reading.text(entry.find("tool_call_id"));
    part.name = reading.text(entry.find("name"));
    part.text = reading.text_or_json(entry.find("arguments"));
  } else if (const JsonValue content = entry.find("content"); content.is_present()) {
    read_content(content, message, reading);
  } else {
    read_part(entry, message, reading);
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
  const JsonValue inputs = body.find("inputs");
  if (inputs.is_string()) {
    Message& message = messages.emplace_back(reading.arena);
    message.role = "user";
    read_content(inputs, message, reading);
  }
  for (const JsonMember element : inputs) {
    if (element.value.is_object() && element.key.empty())
      read_entry(element.value, messages, reading);
  }
  read_tools(body.find("tools"), reading);
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  set_if_empty(trace.response_id, reading.text(body.find("conversation_id")));
  for (const JsonMember element : body.find("outputs")) {
    if (!element.value.is_object()) continue;
    set_if_empty(trace.model_served, reading.text(element.value.find("model")));
    read_entry(element.value, trace.output_messages, reading);
  }
  const Text reason = reading.text(body.find("status"));
  trace.finish_reasons.push_back(reason);
  if (!trace.output_messages.empty()) trace.output_messages.back().finish_reason = reason;
}

void read_whole_response(JsonValue body, Reading& reading) {
  read_response(body, reading);
  Trace& trace = reading.trace;
  const bool is_whole = body.find("object").word() == "conversation.response";
  if (!is_whole || !trace.finish_reasons.back().empty()) return;
  trace.finish_reasons.back() = kCompleted;
  if (!trace.output_messages.empty()) trace.output_messages.back().finish_reason = kCompleted;
}

struct Entry {
  explicit Entry(Arena& arena)
      : members(arena), text(arena), thinking(arena), arguments(arena), chunks(arena.resource()) {}
  Text id;
  Text type;
  LastMembers members;
  TextField text;
  TextField thinking;
  TextField arguments;
  ArenaVector<Text> chunks;  // of content that is neither
};

// "message.output.delta" and the like: of which entry an event tells.
Text entry_type(Text event) noexcept {
  for (const Text type : {"message.output", "function.call", "tool.execution", "agent.handoff"}) {
    if (event.substr(0, type.size()) == type) return type;
  }
  return {};
}

class Assembly {
 public:
  explicit Assembly(Reading& reading)
      : reading_(reading), response_(reading.arena), entries_(reading.arena.resource()) {}

  void add(JsonValue event, StreamReader& stream) {
    const Text type = event.find("type").word();
    if (type == "conversation.response.error") {
      response_.set("error", reading_.json(event));
    } else if (type.substr(0, 21) == "conversation.response") {
      is_done_ = is_done_ || type == "conversation.response.done";
      if (is_done_) stream.note_end();
      for (const JsonMember member : event) {
        if (member.key == "conversation_id" || member.key == "usage") {
          response_.set(member, reading_);
        }
      }
    } else if (const Text kind = entry_type(type); !kind.empty()) {
      if (Entry* const entry = entry_of(kind, event)) add_to_entry(event, *entry);
    }
  }

  [[nodiscard]] bool is_empty() const noexcept { return response_.empty() && entries_.empty(); }

  void write(JsonWriter& out) {
    out.begin_object().key("object").string("conversation.response.stream");
    response_.write(out);
    if (is_done_) out.key("status").string(kCompleted);
    out.key("outputs").begin_array();
    for (const Entry& entry : entries_) write_entry(entry, out);
    out.end_array().end_object();
  }

 private:
  Entry* entry_of(Text type, JsonValue event) {
    const Text id = event.find("id").word();
    for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
      if (entry->type == type && entry->id == id) return &*entry;
    }
    if (entries_.size() == kEntriesMax) return nullptr;
    Entry& entry = entries_.emplace_back(reading_.arena);
    entry.type = type;
    entry.id = reading_.text(event.find("id"));
    return &entry;
  }

  void add_to_entry(JsonValue event, Entry& entry) {
    for (const JsonMember member : event) {
      if (member.key == "content") {
        add_content(member.value, entry);
      } else if (member.key == "arguments") {
        entry.arguments.append(member.value, reading_);
      } else if (member.key != "type" && member.key != "output_index" &&
                 member.key != "content_index") {
        entry.members.set(member, reading_);
      }
    }
  }

  void add_content(JsonValue content, Entry& entry) {
    const Text type = content.find("type").word();
    if (content.is_string()) {
      entry.text.append(content, reading_);
    } else if (type == "text") {
      entry.text.append(content.find("text"), reading_);
    } else if (type == "thinking") {
      for (const JsonMember thought : content.find("thinking")) {
        entry.thinking.append(thought.value.find("text"), reading_);
      }
    } else if (content.is_object() && entry.chunks.size() < kEntriesMax) {
      entry.chunks.push_back(reading_.json(content));
    }
  }

  void write_entry(const Entry& entry, JsonWriter& out) const {
    Arena& arena = reading_.arena;
    out.begin_object().key("type").string(entry.type);
    entry.members.write(out);
    entry.arguments.write("arguments", arena, out);
    if (entry.text.has_come() || entry.thinking.has_come() || !entry.chunks.empty()) {
      out.key("content").begin_array();
      if (entry.thinking.has_come()) {
        out.begin_object().key("type").string("thinking").key("thinking").begin_array();
        out.begin_object().key("type").string("text");
        entry.thinking.write("text", arena, out);
        out.end_object().end_array().end_object();
      }
      if (entry.text.has_come()) {
        out.begin_object().key("type").string("text");
        entry.text.write("text", arena, out);
        out.end_object();
      }
      for (const Text chunk : entry.chunks) out.raw(chunk);
      out.end_array();
    }
    out.end_object();
  }

  Reading& reading_;
  bool is_done_ = false;
  LastMembers response_;
  ArenaVector<Entry> entries_;
};

bool assemble(StreamReader& stream, Reading& reading, JsonWriter& out) {
  Assembly assembly(reading);
  while (const std::optional<StreamEvent> event = stream.next()) assembly.add(event->value, stream);
  if (assembly.is_empty()) return false;
  assembly.write(out);
  return true;
}

}  // namespace

const Api kConversations{"mistral conversations",
                         Operation::kChat,
                         TraceKind::kLlm,
                         &read_request,
                         &read_whole_response,
                         &assemble,
                         true};

}  // namespace sidecast
