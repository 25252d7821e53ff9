#include "exporters/dialects/messages.h"

#include <algorithm>

#include "exporters/dialects/attribute_writer.h"

namespace sidecast {
namespace {

constexpr Text kRoleTool = "tool";

Text media_word(PartKind kind) noexcept {
  switch (kind) {
    case PartKind::kImage:
      return "image";
    case PartKind::kAudio:
      return "audio";
    case PartKind::kVideo:
      return "video";
    default:
      return "file";
  }
}

// Bytes of text in there, with room for escapes and names: a guess that spares most regrowth.
std::size_t expected_bytes(const ArenaVector<Message>& messages) noexcept {
  std::size_t bytes = 256;
  for (const Message& message : messages) {
    bytes += 64;
    for (const Part& part : message.parts) bytes += part.text.size() + part.text.size() / 8 + 96;
  }
  return bytes;
}

FlatMessage flat_result(const Message& message, const Part& result, Arena& arena) {
  FlatMessage flat(arena);
  flat.role = kRoleTool;
  flat.name = result.name;
  flat.tool_call_id = result.id.empty() ? message.tool_call_id : result.id;
  flat.content.push_back(&result);
  return flat;
}

FlatMessage flat_rest(const Message& message, Arena& arena) {
  FlatMessage flat(arena);
  flat.role = message.role;
  flat.name = message.name;
  flat.tool_call_id = message.tool_call_id;
  flat.finish_reason = message.finish_reason;
  flat.from_list = message.from_list;
  flat.content.reserve(message.parts.size());
  for (const Part& part : message.parts) {
    if (part.kind == PartKind::kToolResult) continue;
    (part.kind == PartKind::kToolCall ? flat.calls : flat.content).push_back(&part);
  }
  return flat;
}

// The texts of one kind, concatenated; a view where there is only one.
Text texts_of(const FlatMessage& message, PartKind kind, Arena& arena) {
  Text all;
  for (const Part* part : message.content) {
    if (part->kind == kind) all = all.empty() ? part->text : join({all, part->text}, arena);
  }
  return all;
}

void write_call(JsonWriter& json, const Part& call) {
  json.begin_object();
  if (!call.id.empty()) json.key("id").string(call.id);
  json.key("type").string("function");
  json.key("function").begin_object();
  json.key("name").string(call.name.empty() ? call.type : call.name);
  json.key("arguments").string(call.text);
  json.end_object().end_object();
}

void write_calls(JsonWriter& json, const FlatMessage& message) {
  json.begin_array();
  for (const Part* call : message.calls) write_call(json, *call);
  json.end_array();
}

// Media keep type, size and where they are; their bytes are gone already.
void write_media(JsonWriter& json, const Part& part) {
  json.begin_object();
  json.key("type").string(media_word(part.kind));
  if (!part.mime_type.empty()) json.key("mime_type").string(part.mime_type);
  if (!part.name.empty()) json.key("filename").string(part.name);
  if (!part.url.empty()) json.key("url").string(part.url);
  if (!part.file_id.empty()) json.key("file_id").string(part.file_id);
  if (part.url.empty() && part.file_id.empty()) {
    json.key("data").string(kRedacted);
    json.key("omitted_bytes").unsigned_integer(part.omitted_bytes);
  }
  if (!part.text.empty()) json.key("transcript").string(part.text);
  json.end_object();
}

void write_part(JsonWriter& json, const Part& part) {
  if (is_media(part.kind)) {
    write_media(json, part);
  } else if (part.kind == PartKind::kOther && !part.text.empty()) {
    json.raw(part.text);
  } else {
    const bool refusal = part.kind == PartKind::kRefusal;
    json.begin_object();
    json.key("type").string(refusal ? "refusal" : "text");
    json.key(refusal ? "refusal" : "text").string(part.text);
    json.end_object();
  }
}

// Reasoning has a member of its own in chat messages.
bool is_listed(const Part* part) noexcept {
  return part->kind != PartKind::kReasoning;
}

void write_content(JsonWriter& json, const FlatMessage& message) {
  const auto listed = std::count_if(message.content.begin(), message.content.end(), &is_listed);
  if (listed == 0) {
    if (message.calls.empty()) json.key("content").string({});
    return;
  }
  const auto first = std::find_if(message.content.begin(), message.content.end(), &is_listed);
  const bool is_text = (*first)->kind == PartKind::kText || (*first)->kind == PartKind::kToolResult;
  json.key("content");
  if (listed == 1 && is_text && !message.from_list) {
    json.string((*first)->text);
    return;
  }
  json.begin_array();
  for (const Part* part : message.content) {
    if (is_listed(part)) write_part(json, *part);
  }
  json.end_array();
}

void write_texts(JsonWriter& json, const ArenaVector<Text>& texts) {
  json.begin_array();
  for (const Text text : texts) json.string(text);
  json.end_array();
}

void write_contents(JsonWriter& json, const ArenaVector<Document>& documents) {
  json.begin_array();
  for (const Document& document : documents) json.string(document.content);
  json.end_array();
}

}  // namespace

bool FlatMessage::is_plain_text() const noexcept {
  if (from_list || content.size() != 1) return false;
  const PartKind kind = content.front()->kind;
  return kind == PartKind::kText || kind == PartKind::kRefusal || kind == PartKind::kToolResult;
}

ArenaVector<FlatMessage> flatten_messages(const ArenaVector<Message>& messages, Arena& arena) {
  ArenaVector<FlatMessage> flat(arena.resource());
  flat.reserve(messages.size());
  for (const Message& message : messages) {
    std::size_t results = 0;
    for (const Part& part : message.parts) {
      if (part.kind != PartKind::kToolResult) continue;
      flat.push_back(flat_result(message, part, arena));
      ++results;
    }
    if (results == 0 || results < message.parts.size()) flat.push_back(flat_rest(message, arena));
  }
  return flat;
}

void write_chat_message(JsonWriter& json, const FlatMessage& message, Arena& arena) {
  json.begin_object();
  json.key("role").string(message.role);
  if (!message.name.empty()) json.key("name").string(message.name);
  if (!message.tool_call_id.empty()) json.key("tool_call_id").string(message.tool_call_id);
  write_content(json, message);
  const Text reasoning = texts_of(message, PartKind::kReasoning, arena);
  if (!reasoning.empty()) json.key("reasoning").string(reasoning);
  if (!message.calls.empty()) write_calls(json.key("tool_calls"), message);
  json.end_object();
}

void write_chat_messages(JsonWriter& json, const ArenaVector<FlatMessage>& messages, Arena& arena) {
  json.begin_array();
  for (const FlatMessage& message : messages) write_chat_message(json, message, arena);
  json.end_array();
}

bool is_media(PartKind kind) noexcept {
  return kind == PartKind::kImage || kind == PartKind::kAudio || kind == PartKind::kVideo ||
         kind == PartKind::kFile;
}

Text media_note(const Part& part, Arena& arena) {
  const bool elsewhere = !part.url.empty() || !part.file_id.empty();
  const Text where = part.url.empty() ? part.file_id : part.url;
  const auto with = [&arena](Text before, Text text) {
    return text.empty() ? Text() : join({before, text}, arena);
  };
  return join(
      {"[", media_word(part.kind), with(" ", part.name), with(", ", part.mime_type),
       with(", ", where),
       elsewhere ? Text()
                 : join({", ", decimal(part.omitted_bytes, arena), " bytes left out"}, arena),
       "]"},
      arena);
}

Text input_json(const Trace& trace, Arena& arena) {
  JsonText text(expected_bytes(trace.input_messages));
  JsonWriter& json = text.writer();
  json.begin_object();
  if (!trace.input_messages.empty()) {
    write_chat_messages(json.key("messages"), flatten_messages(trace.input_messages, arena), arena);
  } else if (!trace.rerank_query.empty()) {
    json.key("query").string(trace.rerank_query);
    write_contents(json.key("documents"), trace.input_documents);
  } else if (!trace.prompts.empty()) {
    write_texts(json.key(trace.kind == TraceKind::kEmbedding ? "input" : "prompts"), trace.prompts);
  } else if (trace.input_value.empty()) {
    return {};
  } else if (trace.input_is_json) {
    return trace.input_value;
  } else {
    json.key("input").string(trace.input_value);
  }
  json.end_object();
  return text.finish(arena);
}

Text messages_json(const ArenaVector<Message>& messages, Arena& arena) {
  if (messages.empty()) return {};
  JsonText text(expected_bytes(messages));
  write_chat_messages(text.writer(), flatten_messages(messages, arena), arena);
  return text.finish(arena);
}

Text output_json(const Trace& trace, Arena& arena) {
  // An embedding's answer is its vectors: large, and no one reads them here.
  if (trace.kind == TraceKind::kEmbedding) return {};
  JsonText text(expected_bytes(trace.output_messages));
  JsonWriter& json = text.writer();
  json.begin_object();
  if (!trace.output_messages.empty()) {
    const ArenaVector<FlatMessage> messages = flatten_messages(trace.output_messages, arena);
    const FlatMessage& first = messages.front();
    json.key("completion").string(texts_of(first, PartKind::kText, arena));
    const Text reasoning = texts_of(first, PartKind::kReasoning, arena);
    if (!reasoning.empty()) json.key("reasoning").string(reasoning);
    const Text refusal = texts_of(first, PartKind::kRefusal, arena);
    if (!refusal.empty()) json.key("refusal").string(refusal);
    if (!first.calls.empty()) write_calls(json.key("toolCalls"), first);
    const bool has_media = std::any_of(first.content.begin(), first.content.end(), [](auto* part) {
      return is_media(part->kind) || part->kind == PartKind::kOther;
    });
    if (messages.size() > 1 || has_media) write_chat_messages(json.key("choices"), messages, arena);
  } else if (trace.output_value.empty()) {
    return {};
  } else if (trace.output_is_json) {
    return trace.output_value;
  } else {
    json.key("completion").string(trace.output_value);
  }
  json.end_object();
  return text.finish(arena);
}

Text ranking_json(const Trace& trace, Arena& arena) {
  if (trace.output_documents.empty()) return {};
  JsonText text(64 * trace.output_documents.size());
  JsonWriter& json = text.writer();
  json.begin_array();
  for (const Document& document : trace.output_documents) {
    json.begin_object();
    if (!document.id.empty()) json.key("id").string(document.id);
    if (document.score) json.key("score").number(*document.score);
    json.end_object();
  }
  json.end_array();
  return text.finish(arena);
}

Text tools_json(const Trace& trace, Arena& arena) {
  if (trace.tools.empty()) return {};
  JsonText text(1024);
  JsonWriter& json = text.writer();
  json.begin_array();
  for (const Tool& tool : trace.tools) {
    json.begin_object();
    json.key("type").string(tool.type.empty() ? Text("function") : tool.type);
    json.key("name").string(tool.name.empty() ? tool.type : tool.name);
    if (!tool.description.empty()) json.key("description").string(tool.description);
    if (!tool.parameters.empty()) json.key("parameters").raw(tool.parameters);
    json.end_object();
  }
  json.end_array();
  return text.finish(arena);
}

}  // namespace sidecast
