#include "exporters/dialects/genai_messages.h"

#include <algorithm>

#include <simdjson.h>

#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"

namespace sidecast {
namespace {

Text modality_of(PartKind kind) noexcept {
  switch (kind) {
    case PartKind::kImage:
      return "image";
    case PartKind::kAudio:
      return "audio";
    case PartKind::kVideo:
      return "video";
    default:
      return "document";
  }
}

// stop, length, content_filter, tool_call or error; a reason nobody listed stays as it is.
Text schema_finish_reason(const Message& message) noexcept {
  if (message.finish_reason.empty()) return "error";  // cut off, or never said
  const Text normalised = normalised_finish_reason(message.finish_reason);
  // Responses, Gemini and Mistral end a call of a tool like any answer.
  const bool is_call =
      normalised == "stop" &&
      std::any_of(message.parts.begin(), message.parts.end(),
                  [](const Part& part) { return part.kind == PartKind::kToolCall; });
  return is_call || normalised == "tool_calls" ? Text("tool_call") : normalised;
}

class MessageWriter {
 public:
  explicit MessageWriter(JsonWriter& json) noexcept : json_(json) {}

  // The member "parts" of a message.
  void parts(const Message& message) {
    json_.key("parts");
    list(message);
  }

  void list(const Message& message) {
    json_.begin_array();
    for (const Part& each : message.parts) part(each, message);
    json_.end_array();
  }

  void text_part(Text text) {
    json_.begin_object();
    json_.key("type").string("text");
    json_.key("content").string(text);
    json_.end_object();
  }

 private:
  void part(const Part& part, const Message& message) {
    switch (part.kind) {
      case PartKind::kText:
      case PartKind::kRefusal:
        return text_part(part.text);
      case PartKind::kReasoning:
        return reasoning(part);
      case PartKind::kToolCall:
        return tool_call(part);
      case PartKind::kToolResult:
        return tool_result(part, message);
      case PartKind::kOther:
        return other(part);
      default:
        return media(part);
    }
  }

  void optional(Text name, Text value) {
    if (!value.empty()) json_.key(name).string(value);
  }

  void reasoning(const Part& part) {
    if (part.text.empty()) return;  // nothing but a provider's opaque proof
    json_.begin_object();
    json_.key("type").string("reasoning");
    json_.key("content").string(part.text);
    json_.end_object();
  }

  // Arguments are any JSON; what the model cut off or made up stays the text it is.
  void any(Text name, Text text) {
    json_.key(name);
    simdjson::dom::element parsed;
    const bool is_structure = !text.empty() && (text.front() == '{' || text.front() == '[');
    if (is_structure && parser_.parse(text.data(), text.size()).get(parsed) == simdjson::SUCCESS) {
      json_.raw(text);
    } else {
      json_.string(text);
    }
  }

  void tool_call(const Part& part) {
    const bool is_hosted = !part.type.empty() && part.type != "function";
    json_.begin_object();
    json_.key("type").string(is_hosted ? "server_tool_call" : "tool_call");
    optional("id", part.id);
    json_.key("name").string(part.name.empty() ? part.type : part.name);
    if (is_hosted) {
      json_.key("server_tool_call").begin_object();
      json_.key("type").string(part.type);
      if (!part.text.empty()) any("arguments", part.text);
      json_.end_object();
    } else if (!part.text.empty()) {
      any("arguments", part.text);
    }
    json_.end_object();
  }

  void tool_result(const Part& part, const Message& message) {
    json_.begin_object();
    json_.key("type").string("tool_call_response");
    optional("id", part.id.empty() ? message.tool_call_id : part.id);
    any("response", part.text);
    json_.end_object();
  }

  void media(const Part& part) {
    const bool is_inlined = part.url.empty() && part.file_id.empty();
    json_.begin_object();
    json_.key("type").string(!part.url.empty() ? "uri" : is_inlined ? "blob" : "file");
    json_.key("modality").string(modality_of(part.kind));
    optional("mime_type", part.mime_type);
    if (!part.url.empty()) {
      json_.key("uri").string(part.url);
    } else if (!part.file_id.empty()) {
      json_.key("file_id").string(part.file_id);
    } else {
      json_.key("content").string({});  // required; how much was left out stands beside it
      json_.key("omitted_bytes").unsigned_integer(part.omitted_bytes);
    }
    optional("filename", part.name);
    json_.end_object();
    if (!part.text.empty()) text_part(part.text);  // a transcript
  }

  // A part nobody here knows keeps its own type and members.
  void other(const Part& part) {
    simdjson::dom::element parsed;
    std::string_view type;
    const bool is_part =
        parser_.parse(part.text.data(), part.text.size()).get(parsed) == simdjson::SUCCESS &&
        parsed["type"].get(type) == simdjson::SUCCESS;
    is_part ? static_cast<void>(json_.raw(part.text)) : text_part(part.text);
  }

  JsonWriter& json_;
  simdjson::dom::parser parser_;
};

bool is_instruction(const Trace& trace, const Message& message) noexcept {
  return trace.operation == Operation::kMessages && message.role == "system";
}

void write_texts_as_user(JsonWriter& json, MessageWriter& out, const ArenaVector<Text>& texts) {
  json.begin_object();
  json.key("role").string("user");
  json.key("parts").begin_array();
  for (const Text text : texts) out.text_part(text);
  json.end_array().end_object();
}

// Anthropic's users answer tools in messages of their own.
Text role_of(const Message& message) noexcept {
  const bool holds_result =
      std::any_of(message.parts.begin(), message.parts.end(),
                  [](const Part& part) { return part.kind == PartKind::kToolResult; });
  return holds_result ? Text("tool") : message.role;
}

}  // namespace

Text gen_ai_input_messages(const DialectContext& context) {
  const Trace& trace = context.trace;
  ArenaVector<Text> texts(context.arena.resource());
  if (trace.input_messages.empty()) {
    texts = trace.prompts;
    if (texts.empty() && !trace.rerank_query.empty()) texts.push_back(trace.rerank_query);
    if (texts.empty() && !trace.input_value.empty()) texts.push_back(trace.input_value);
    if (texts.empty()) return {};
  }
  JsonText text(1024);
  JsonWriter& json = text.writer();
  MessageWriter out(json);
  json.begin_array();
  if (!texts.empty()) write_texts_as_user(json, out, texts);
  for (const Message& message : trace.input_messages) {
    if (is_instruction(trace, message)) continue;
    json.begin_object();
    json.key("role").string(role_of(message));
    if (!message.name.empty()) json.key("name").string(message.name);
    out.parts(message);
    json.end_object();
  }
  json.end_array();
  return text.finish(context.arena);
}

Text gen_ai_output_messages(const DialectContext& context) {
  const Trace& trace = context.trace;
  const bool is_value = trace.output_messages.empty();
  if (is_value && (trace.output_value.empty() || trace.kind == TraceKind::kEmbedding)) return {};
  JsonText text(1024);
  JsonWriter& json = text.writer();
  MessageWriter out(json);
  json.begin_array();
  if (is_value) {
    json.begin_object();
    json.key("role").string("assistant");
    json.key("parts").begin_array();
    out.text_part(trace.output_value);
    json.end_array();
    json.key("finish_reason").string(trace.outcome.failed ? "error" : "stop");
    json.end_object();
  }
  for (const Message& message : trace.output_messages) {
    json.begin_object();
    json.key("role").string(message.role.empty() ? Text("assistant") : message.role);
    if (!message.name.empty()) json.key("name").string(message.name);
    out.parts(message);
    const bool is_required = context.options.gen_ai_names == GenAiNames::kReleased;
    if (is_required || !message.finish_reason.empty()) {
      json.key("finish_reason").string(schema_finish_reason(message));
    }
    json.end_object();
  }
  json.end_array();
  return text.finish(context.arena);
}

Text gen_ai_system_instructions(const DialectContext& context) {
  const Trace& trace = context.trace;
  const auto found =
      std::find_if(trace.input_messages.begin(), trace.input_messages.end(),
                   [&trace](const Message& message) { return is_instruction(trace, message); });
  if (found == trace.input_messages.end()) return {};
  JsonText text(512);
  JsonWriter& json = text.writer();
  MessageWriter(json).list(*found);
  return text.finish(context.arena);
}

void write_gen_ai_content(const DialectContext& context, AttributeWriter& out) {
  const Trace& trace = context.trace;
  if (trace.is_explicit_span && trace.kind == TraceKind::kTool) {
    out.text(keys::kToolNameGenAi, trace.name);
    out.text(keys::kToolCallArguments, trace.input_value);
    out.text(keys::kToolCallResult, trace.output_value);
    return;
  }
  if (trace.is_explicit_span && trace.kind == TraceKind::kRetriever) {
    out.text(keys::kRetrievalQueryText, trace.input_value);
    out.text(keys::kRetrievalDocumentsGenAi, trace.output_value);
    return;
  }
  if (trace.is_explicit_span && trace.kind == TraceKind::kAgent) {
    out.text(keys::kAgentNameGenAi, trace.name);
  }
  if (trace.is_explicit_span && trace.kind == TraceKind::kChain) {
    out.text(keys::kWorkflowName, trace.name);
  }
  out.text(keys::kSystemInstructions, gen_ai_system_instructions(context));
  out.text(keys::kInputMessages, gen_ai_input_messages(context));
  out.text(keys::kOutputMessages, gen_ai_output_messages(context));
  out.text(keys::kRetrievalDocumentsGenAi, ranking_json(trace, context.arena));
  out.text(keys::kToolDefinitions, tools_json(trace, context.arena));
}

}  // namespace sidecast
