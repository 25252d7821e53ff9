#include "exporters/dialects/content.h"

#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/messages.h"

namespace sidecast {
namespace {

Text as_json(Text value, bool is_json, Arena& arena) {
  if (value.empty() || is_json) return value;
  JsonText text(value.size() + value.size() / 8 + 16);
  text.writer().string(value);
  return text.finish(arena);
}

}  // namespace

Text input_content(const Trace& trace, Arena& arena) {
  if (trace.input_messages.empty()) {
    return trace.is_explicit_span ? as_json(trace.input_value, trace.input_is_json, arena)
                                  : input_json(trace, arena);
  }
  JsonText text(4096);
  write_chat_messages(text.writer(), flatten_messages(trace.input_messages, arena), arena);
  return text.finish(arena);
}

Text output_content(const Trace& trace, Arena& arena) {
  if (trace.output_messages.empty()) {
    if (trace.kind == TraceKind::kEmbedding) return {};
    return as_json(trace.output_value, trace.output_is_json, arena);
  }
  const ArenaVector<FlatMessage> messages = flatten_messages(trace.output_messages, arena);
  JsonText text(1024);
  if (messages.size() == 1) {
    write_chat_message(text.writer(), messages.front(), arena);
  } else {
    write_chat_messages(text.writer(), messages, arena);
  }
  return text.finish(arena);
}

Text output_messages_object(const Trace& trace, Arena& arena) {
  if (trace.output_messages.empty()) return output_json(trace, arena);
  JsonText text(1024);
  JsonWriter& json = text.writer();
  json.begin_object();
  write_chat_messages(json.key("messages"), flatten_messages(trace.output_messages, arena), arena);
  json.end_object();
  return text.finish(arena);
}

Text output_choices(const Trace& trace, Arena& arena) {
  if (trace.output_messages.empty()) return output_content(trace, arena);
  JsonText text(1024);
  JsonWriter& json = text.writer();
  json.begin_object();
  json.key("choices").begin_array();
  std::uint64_t index = 0;
  for (const FlatMessage& message : flatten_messages(trace.output_messages, arena)) {
    json.begin_object();
    json.key("index").unsigned_integer(index++);
    write_chat_message(json.key("message"), message, arena);
    if (!message.finish_reason.empty()) json.key("finish_reason").string(message.finish_reason);
    json.end_object();
  }
  json.end_array().end_object();
  return text.finish(arena);
}

}  // namespace sidecast
