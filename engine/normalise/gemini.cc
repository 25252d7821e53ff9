// Google's generateContent, of Gemini and Vertex, and its streams of partial answers.
// Specification: https://ai.google.dev/api/generate-content
#include <algorithm>

#include "engine/normalise/api.h"
#include "engine/normalise/binary.h"
#include "engine/normalise/last_members.h"
#include "engine/normalise/partial_arguments.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

constexpr std::size_t kCandidatesMax = 256;
constexpr std::size_t kPartsMax = 65536;

// The APIs' JSON names and those of their Python clients.
JsonValue find_either(JsonValue object, Text camel, Text snake) {
  const JsonValue found = object.find(camel);
  return found ? found : object.find(snake);
}

void read_media(JsonValue source, Part& part, Reading& reading) {
  const JsonValue uri = find_either(source, "fileUri", "file_uri");
  const JsonValue data = source.find("data");
  set_media(data ? data : uri, part, reading);
  const Text mime_type = reading.text(find_either(source, "mimeType", "mime_type"));
  if (!mime_type.empty()) part.mime_type = mime_type;
  part.kind = kind_of_mime_type(part.mime_type);
}

void read_gemini_part(JsonValue source, Message& message, Reading& reading) {
  Part part;
  const JsonValue text = source.find("text");
  const JsonValue call = find_either(source, "functionCall", "function_call");
  const JsonValue inline_data = find_either(source, "inlineData", "inline_data");
  const JsonValue file = find_either(source, "fileData", "file_data");
  if (text.is_string()) {
    if (source.find("thought").boolean().value_or(false)) part.kind = PartKind::kReasoning;
    part.text = reading.text(text);
  } else if (call.is_object()) {
    part.kind = PartKind::kToolCall;
    part.id = reading.text(call.find("id"));
    part.name = reading.text(call.find("name"));
    part.text = reading.json(call.find("args"));
  } else if (inline_data.is_object() || file.is_object()) {
    read_media(inline_data.is_object() ? inline_data : file, part, reading);
  } else {
    part.kind = PartKind::kOther;
    for (const JsonMember member : source) {  // executableCode, codeExecutionResult, ...
      if (part.type.empty() && member.value.is_object()) part.type = reading.text(member.key_value);
    }
    part.text = reading.json(source);
  }
  const JsonValue signature = find_either(source, "thoughtSignature", "thought_signature");
  part.signature = reading.opaque(signature);
  message.parts.push_back(part);
}

void add_function_response(JsonValue response, ArenaVector<Message>& messages, Reading& reading) {
  Message& message = messages.emplace_back(reading.arena);
  message.role = "tool";
  message.name = reading.text(response.find("name"));
  message.tool_call_id = reading.text(response.find("id"));
  Part& part = message.parts.emplace_back();
  part.kind = PartKind::kToolResult;
  part.id = message.tool_call_id;
  part.name = message.name;
  part.text = reading.json(response.find("response"));
}

void read_gemini_content(JsonValue content, Text role_if_none, ArenaVector<Message>& messages,
                         Reading& reading) {
  const JsonValue parts = content.find("parts");
  bool has_others = parts.is_empty() || parts.is_object();
  for (const JsonMember element : parts) {
    const JsonValue response = find_either(element.value, "functionResponse", "function_response");
    if (response.is_object()) {
      add_function_response(response, messages, reading);
    } else {
      has_others = true;
    }
  }
  if (!has_others) return;
  Message& message = messages.emplace_back(reading.arena);
  message.role = reading.text(content.find("role"));
  set_if_empty(message.role, role_if_none);
  if (message.role == "model") message.role = "assistant";
  message.from_list = true;
  if (content.is_string()) read_content(content, message, reading);
  if (parts.is_object()) {
    read_gemini_part(parts, message, reading);
    return;
  }
  for (const JsonMember element : parts) {
    if (element.value.is_string()) {
      read_part(element.value, message, reading);
    } else if (!find_either(element.value, "functionResponse", "function_response")) {
      read_gemini_part(element.value, message, reading);
    }
  }
}

void read_gemini_tools(JsonValue tools, Reading& reading) {
  for (const JsonMember element : tools) {
    const JsonValue functions =
        find_either(element.value, "functionDeclarations", "function_declarations");
    for (const JsonMember declaration : functions) {
      const JsonValue function = declaration.value;
      Tool& tool = reading.trace.tools.emplace_back();
      tool.type = "function";
      tool.name = reading.text(function.find("name"));
      tool.description = reading.text(function.find("description"));
      const JsonValue schema = function.find("parameters");
      tool.parameters = reading.json(schema ? schema : function.find("parametersJsonSchema"));
      tool.json = reading.json(function);
    }
    if (functions) continue;
    for (const JsonMember hosted : element.value) {  // {"googleSearch":{}}, {"codeExecution":{}}
      Tool& tool = reading.trace.tools.emplace_back();
      tool.type = reading.text(hosted.key_value);
      tool.name = tool.type;
      tool.json = reading.json(element.value);
    }
  }
}

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  ArenaVector<Message>& messages = reading.trace.input_messages;
  const JsonValue system = find_either(body, "systemInstruction", "system_instruction");
  if (system.is_present()) {
    read_gemini_content(system, "system", messages, reading);
    messages.back().role = "system";
  }
  const JsonValue contents = body.find("contents");
  if (contents.is_object() || contents.is_string()) {
    read_gemini_content(contents, "user", messages, reading);
  } else {
    for (const JsonMember element : contents) {
      read_gemini_content(element.value, "user", messages, reading);
    }
  }
  read_gemini_tools(body.find("tools"), reading);
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  set_if_empty(trace.response_id, reading.text(find_either(body, "responseId", "response_id")));
  set_if_empty(trace.model_served,
               reading.text(find_either(body, "modelVersion", "model_version")));
  for (const JsonMember element : body.find("candidates")) {
    const JsonValue candidate = element.value;
    const Text reason =
        reading.text_or_json(find_either(candidate, "finishReason", "finish_reason"));
    trace.finish_reasons.push_back(reason);
    read_gemini_content(candidate.find("content"), "assistant", trace.output_messages, reading);
    if (!trace.output_messages.empty()) trace.output_messages.back().finish_reason = reason;
  }
  const JsonValue blocked = body.find("promptFeedback", "blockReason");
  if (blocked.is_string() && trace.finish_reasons.empty()) {
    trace.finish_reasons.push_back(reading.text(blocked));
  }
}

// ---- Streams: each event is an answer with the next parts ---------------------------------------

struct PartInPieces {
  explicit PartInPieces(Arena& arena) : text(arena), arguments(arena), call(arena), rest(arena) {}
  bool is_thought = false;
  bool is_call_in_pieces = false;
  TextField text;
  PartialArguments arguments;
  LastMembers call;
  LastMembers rest;
};

struct Candidate {
  explicit Candidate(Arena& arena) : parts(arena.resource()), rest(arena) {}
  std::int64_t index = 0;
  ArenaVector<PartInPieces> parts;
  LastMembers rest;
};

class Assembly {
 public:
  explicit Assembly(Reading& reading)
      : reading_(reading),
        candidates_(reading.arena.resource()),
        usage_(reading.arena),
        members_(reading.arena) {}

  void add(JsonValue event) {
    for (const JsonMember member : event) {
      if (member.key == "candidates") {
        for (const JsonMember candidate : member.value) add_candidate(candidate.value);
      } else if (member.key == "usageMetadata") {
        // The last event's may leave out what an earlier one said.
        for (const JsonMember count : member.value) usage_.set(count, reading_);
      } else {
        members_.set(member, reading_);
      }
    }
  }

  [[nodiscard]] bool is_empty() const noexcept { return candidates_.empty() && members_.empty(); }

  void write(JsonWriter& out) const {
    out.begin_object().key("candidates").begin_array();
    for (const Candidate& candidate : candidates_) {
      out.begin_object().key("content").begin_object().key("parts").begin_array();
      for (const PartInPieces& part : candidate.parts) {
        out.begin_object();
        part.text.write("text", reading_.arena, out);
        if (part.is_call_in_pieces) write_call(part, out);
        part.rest.write(out);
        out.end_object();
      }
      out.end_array().key("role").string("model").end_object();
      candidate.rest.write(out);
      out.end_object();
    }
    out.end_array();
    if (!usage_.empty()) {
      out.key("usageMetadata").begin_object();
      usage_.write(out);
      out.end_object();
    }
    members_.write(out);
    out.end_object();
  }

 private:
  void add_candidate(JsonValue source) {
    Candidate* const candidate = candidate_at(source.find("index").integer().value_or(0));
    if (candidate == nullptr) return;
    for (const JsonMember member : source) {
      if (member.key == "content") {
        for (const JsonMember part : member.value.find("parts")) add_part(part.value, *candidate);
      } else if (member.key != "logprobsResult") {
        candidate->rest.set(member, reading_);
      }
    }
  }

  Candidate* candidate_at(std::int64_t index) {
    for (Candidate& candidate : candidates_) {
      if (candidate.index == index) return &candidate;
    }
    if (candidates_.size() == kCandidatesMax) return nullptr;
    Candidate& candidate = candidates_.emplace_back(reading_.arena);
    candidate.index = index;
    return &candidate;
  }

  // Text goes on where the part before was text of the same kind; anything else stands alone.
  void add_part(JsonValue source, Candidate& candidate) {
    const JsonValue call = source.find("functionCall");
    const bool continues_call = call.is_object() && !call.find("name") &&
                                !candidate.parts.empty() &&
                                candidate.parts.back().is_call_in_pieces;
    if (continues_call) {
      candidate.parts.back().arguments.add(call.find("partialArgs"), reading_);
      return;
    }
    const bool is_text = source.find("text").is_string();
    const bool is_thought = source.find("thought").boolean().value_or(false);
    ArenaVector<PartInPieces>& parts = candidate.parts;
    const bool goes_on = is_text && !parts.empty() && parts.back().text.has_come() &&
                         parts.back().is_thought == is_thought;
    if (!goes_on) {
      if (parts.size() == kPartsMax) return;
      parts.emplace_back(reading_.arena).is_thought = is_thought;
    }
    PartInPieces& part = parts.back();
    for (const JsonMember member : source) {
      if (member.key == "text") {
        part.text.append(member.value, reading_);
      } else if (member.key == "functionCall" && call.find("willContinue").boolean()) {
        part.is_call_in_pieces = true;
        for (const JsonMember inner : call) {
          if (inner.key == "id" || inner.key == "name") part.call.set(inner, reading_);
        }
        part.arguments.add(call.find("partialArgs"), reading_);
      } else {
        part.rest.set(member, reading_);
      }
    }
  }

  void write_call(const PartInPieces& part, JsonWriter& out) const {
    out.key("functionCall").begin_object();
    part.call.write(out);
    out.key("args");
    part.arguments.write(reading_.arena, out);
    out.end_object();
  }

  Reading& reading_;
  ArenaVector<Candidate> candidates_;
  LastMembers usage_;
  LastMembers members_;
};

bool assemble(StreamReader& stream, Reading& reading, JsonWriter& out) {
  Assembly assembly(reading);
  while (const std::optional<StreamEvent> event = stream.next()) assembly.add(event->value);
  if (assembly.is_empty()) return false;
  assembly.write(out);
  return true;
}

}  // namespace

const Api kGemini{
    "gemini", Operation::kChat, TraceKind::kLlm, &read_request, &read_response, &assemble, true};

}  // namespace sidecast
