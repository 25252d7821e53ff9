#include "engine/normalise/parts.h"

#include <algorithm>
#include <array>

namespace sidecast {
namespace {

using ReadPart = void (*)(JsonValue source, Part& part, Reading& reading);

void read_text(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kText;
  part.text = reading.text(source.find("text"));
}

void read_refusal(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kRefusal;
  part.text = reading.text(source.find("refusal"));
}

// Anthropic's `thinking`; Mistral's is a list of text parts.
void read_thinking(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kReasoning;
  const JsonValue thinking = source.find("thinking");
  if (thinking.is_array()) {
    TextPieces pieces(reading.arena);
    for (const JsonMember element : thinking) {
      pieces.append(reading.text(element.value.find("text")));
    }
    part.text = pieces.join(reading.arena);
  } else {
    part.text = reading.text(thinking);
  }
  part.signature = reading.opaque(source.find("signature"));
}

void read_redacted_thinking(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kReasoning;
  part.type = "redacted_thinking";
  part.signature = reading.opaque(source.find("data"));
}

// Responses: the summary, or the reasoning itself where a model shows it.
void read_reasoning_item(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kReasoning;
  TextPieces pieces(reading.arena);
  for (const Text key : {"summary", "content"}) {
    for (const JsonMember element : source.find(key)) {
      if (!pieces.empty()) pieces.append("\n");
      pieces.append(reading.text(element.value.find("text")));
    }
    if (!pieces.empty()) break;
  }
  pieces.append(reading.text(source.find("text")));
  part.text = pieces.join(reading.arena);
  part.id = reading.text(source.find("id"));
  part.signature = reading.opaque(source.find("encrypted_content"));
}

void read_tool_use(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kToolCall;
  part.id = reading.text(source.find("id"));
  part.name = reading.text(source.find("name"));
  part.text = reading.text_or_json(source.find("input"));
}

void read_server_tool_use(JsonValue source, Part& part, Reading& reading) {
  read_tool_use(source, part, reading);
  part.type = reading.text(source.find("type"));
}

void read_function_call(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kToolCall;
  part.id = reading.text(source.find("call_id"));
  part.name = reading.text(source.find("name"));
  part.text = reading.text_or_json(source.find("arguments"));
}

void read_custom_tool_call(JsonValue source, Part& part, Reading& reading) {
  read_function_call(source, part, reading);
  part.type = "custom";
  part.text = reading.text_or_json(source.find("input"));
}

void read_image_url(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kImage;
  const JsonValue image = source.find("image_url");
  set_media(image.is_object() ? image.find("url") : image, part, reading);
  part.file_id = reading.text(source.find("file_id"));
}

void read_video_url(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kVideo;
  const JsonValue video = source.find("video_url");
  set_media(video.is_object() ? video.find("url") : video, part, reading);
}

void read_input_audio(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kAudio;
  const JsonValue audio = source.find("input_audio");
  set_media(audio.is_object() ? audio.find("data") : audio, part, reading);
  const Text format = audio.find("format").word();
  if (part.mime_type.empty() && !format.empty()) {
    constexpr Text kAudio = "audio/";
    char* const type = reading.arena.allocate(kAudio.size() + format.size());
    std::copy_n(format.data(), format.size(), std::copy_n(kAudio.data(), kAudio.size(), type));
    part.mime_type = {type, kAudio.size() + format.size()};
  }
}

void read_file(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kFile;
  const JsonValue nested = source.find("file");
  const JsonValue file = nested.is_object() ? nested : source;
  JsonValue bytes = file.find("file_data");
  if (!bytes.is_present()) bytes = file.find("file_url");
  set_media(bytes.is_object() ? bytes.find("url") : bytes, part, reading);
  part.name = reading.text(file.find("filename"));
  part.file_id = reading.text(file.find("file_id"));
}

void read_document_url(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kFile;
  set_media(source.find("document_url"), part, reading);
  part.name = reading.text(source.find("document_name"));
}

// Anthropic's `image` and `document`: {"source":{"type":"base64"|"url"|"file"|"text",...}}.
void read_sourced(PartKind kind, JsonValue source, Part& part, Reading& reading) {
  part.kind = kind;
  const JsonValue from = source.find("source");
  const JsonValue data = from.find("data");
  if (from.find("type").word() == "text") {
    part.kind = PartKind::kText;
    part.text = reading.text(data);
  } else {
    set_media(data ? data : from.find("url"), part, reading);
    const Text mime_type = reading.text(from.find("media_type"));
    if (!mime_type.empty()) part.mime_type = mime_type;
    part.file_id = reading.text(from.find("file_id"));
  }
  part.name = reading.text(source.find("title"));
}

void read_image(JsonValue source, Part& part, Reading& reading) {
  read_sourced(PartKind::kImage, source, part, reading);
}

void read_document(JsonValue source, Part& part, Reading& reading) {
  read_sourced(PartKind::kFile, source, part, reading);
}

void read_other(JsonValue source, Part& part, Reading& reading) {
  part.kind = PartKind::kOther;
  part.type = reading.text(source.find("type"));
  part.text = reading.json(source);
}

struct PartType {
  Text name;
  ReadPart read;
};

constexpr std::array<PartType, 23> kPartTypes = {{
    {"text", &read_text},
    {"input_text", &read_text},
    {"output_text", &read_text},
    {"summary_text", &read_text},
    {"refusal", &read_refusal},
    {"thinking", &read_thinking},
    {"redacted_thinking", &read_redacted_thinking},
    {"reasoning", &read_reasoning_item},
    {"tool_use", &read_tool_use},
    {"server_tool_use", &read_server_tool_use},
    {"mcp_tool_use", &read_server_tool_use},
    {"function_call", &read_function_call},
    {"custom_tool_call", &read_custom_tool_call},
    {"image_url", &read_image_url},
    {"input_image", &read_image_url},
    {"video_url", &read_video_url},
    {"input_video", &read_video_url},
    {"input_audio", &read_input_audio},
    {"audio_url", &read_file},
    {"file", &read_file},
    {"input_file", &read_file},
    {"image", &read_image},
    {"document", &read_document},
}};

// gRPC writes its enumerators in full.
Text role_of(JsonValue message, Reading& reading) {
  const Text role = reading.text(message.find("role"));
  if (role == "ROLE_USER") return "user";
  if (role == "ROLE_ASSISTANT") return "assistant";
  if (role == "ROLE_SYSTEM") return "system";
  if (role == "ROLE_TOOL") return "tool";
  return role;
}

// A result is a string, or a list of parts of which the text is the result.
Text read_result(JsonValue content, Reading& reading) {
  if (!content.is_array()) return reading.text_or_json(content);
  for (const JsonMember element : content) {
    const Text type = element.value.find("type").word();
    if (type != "text" && type != "input_text" && type != "output_text") {
      return reading.json(content);
    }
  }
  TextPieces pieces(reading.arena);
  for (const JsonMember element : content) {
    if (!pieces.empty()) pieces.append("\n");
    pieces.append(reading.text(element.value.find("text")));
  }
  return pieces.join(reading.arena);
}

void add_tool_result(JsonValue source, ArenaVector<Message>& messages, Reading& reading) {
  Message& message = messages.emplace_back(reading.arena);
  message.role = "tool";
  message.tool_call_id = reading.text(source.find("tool_use_id"));
  Part& part = message.parts.emplace_back();
  part.kind = PartKind::kToolResult;
  part.id = message.tool_call_id;
  part.text = read_result(source.find("content"), reading);
}

void add_reasoning(JsonValue text, Message& to, Reading& reading) {
  const Text reasoning = reading.text(text);
  if (reasoning.empty()) return;
  Part& part = to.parts.emplace_back();
  part.kind = PartKind::kReasoning;
  part.text = reasoning;
}

}  // namespace

void set_file(JsonValue file, Part& part, Reading& reading) {
  if (!file.is_object()) return;
  part.name = reading.text(file.find("filename"));
  set_if_empty(part.mime_type, reading.text(file.find("content_type")));
  if (const auto bytes = file.find("bytes").integer(); bytes && *bytes > 0) {
    part.omitted_bytes = static_cast<std::uint64_t>(*bytes);
  }
}

void set_media(JsonValue url, Part& part, Reading& reading) {
  if (!url.is_string()) return;
  if (const MediaSpan* const span = reading.media->first(url.word())) {
    part.mime_type = span->mime_type;
    part.omitted_bytes = span->omitted_bytes;
    return;
  }
  // Query strings carry signatures; base64 that nothing marks as such carries the media itself.
  const Text reference = reading.text(url);
  if (reference.find("://") == Text::npos) {
    part.omitted_bytes = reference.size();
    return;
  }
  part.url = reference.substr(0, reference.find_first_of("?#"));
}

void read_part(JsonValue source, Message& message, Reading& reading) {
  Part part;
  Text type = source.find("type").word();
  if (type.empty() && !source.is_empty()) type = (*source.begin()).key;  // {"text":"..."}
  if (source.is_string()) {
    part.text = reading.text(source);
  } else if (type == "document_url") {
    read_document_url(source, part, reading);
  } else {
    ReadPart read = &read_other;
    for (const PartType& known : kPartTypes) {
      if (known.name == type) read = known.read;
    }
    read(source, part, reading);
  }
  message.parts.push_back(part);
}

void read_content(JsonValue content, Message& message, Reading& reading) {
  if (content.is_string()) {
    Part& part = message.parts.emplace_back();
    part.text = reading.text(content);
  } else if (content.is_array()) {
    message.from_list = true;
    for (const JsonMember element : content) read_part(element.value, message, reading);
  } else if (content.is_object()) {
    read_part(content, message, reading);
  }
}

void read_tool_calls(JsonValue calls, Message& message, Reading& reading) {
  for (const JsonMember element : calls) {
    const JsonValue call = element.value;
    const JsonValue custom = call.find("custom");
    const JsonValue function = custom ? custom : call.find("function");
    Part& part = message.parts.emplace_back();
    part.kind = PartKind::kToolCall;
    const Text type = call.find("type").word();
    if (type != "function") part.type = reading.text(call.find("type"));
    part.id = reading.text(call.find("id"));
    part.name = reading.text(function.find("name"));
    part.text = reading.text_or_json(function.find(custom ? "input" : "arguments"));
  }
}

void read_reasoning(JsonValue message, Message& to, Reading& reading) {
  const JsonValue details = message.find("reasoning_details");
  if (details.is_array() && !details.is_empty()) {
    // The same reasoning as in `reasoning`, with ids and proofs.
    for (const JsonMember element : details) {
      const JsonValue detail = element.value;
      Part& part = to.parts.emplace_back();
      part.kind = PartKind::kReasoning;
      part.id = reading.text(detail.find("id"));
      const JsonValue summary = detail.find("summary");
      part.text = reading.text(summary.is_string() ? summary : detail.find("text"));
      const JsonValue data = detail.find("data");
      part.signature = reading.opaque(data ? data : detail.find("signature"));
    }
    return;
  }
  const JsonValue reasoning = message.find("reasoning");
  add_reasoning(reasoning.is_string() ? reasoning : message.find("reasoning_content"), to, reading);
  add_reasoning(message.find("thinking"), to, reading);   // Ollama's
  add_reasoning(message.find("tool_plan"), to, reading);  // Cohere's
}

void read_message(JsonValue message, ArenaVector<Message>& messages, Reading& reading) {
  if (!message.is_object()) return;
  const JsonValue content = message.find("content");
  // Results first: `messages` may grow, so the message itself is made afterwards.
  bool has_results = false;
  bool has_others = false;
  for (const JsonMember element : content) {
    const bool is_result = element.value.find("type").word() == "tool_result";
    if (is_result) add_tool_result(element.value, messages, reading);
    (is_result ? has_results : has_others) = true;
  }
  if (has_results && !has_others) return;

  Message& to = messages.emplace_back(reading.arena);
  to.role = role_of(message, reading);
  to.name = reading.text(message.find("name"));
  to.tool_call_id = reading.text(message.find("tool_call_id"));
  if (to.role == "tool" || to.role == "function") {
    Part& part = to.parts.emplace_back();
    part.kind = PartKind::kToolResult;
    part.id = to.tool_call_id;
    part.text = read_result(content, reading);
    return;
  }
  read_reasoning(message, to, reading);
  if (has_results) {
    to.from_list = true;
    for (const JsonMember element : content) {
      if (element.value.find("type").word() != "tool_result") {
        read_part(element.value, to, reading);
      }
    }
  } else {
    read_content(content, to, reading);
  }
  const JsonValue refusal = message.find("refusal");
  if (refusal.is_string() && !refusal.word().empty()) {
    read_refusal(message, to.parts.emplace_back(), reading);
  }
  for (const JsonMember image : message.find("images")) {
    // OpenRouter's are parts, Ollama's bare base64.
    if (image.value.is_object()) {
      read_part(image.value, to, reading);
    } else {
      Part& part = to.parts.emplace_back();
      part.kind = PartKind::kImage;
      set_media(image.value, part, reading);
    }
  }
  const JsonValue audio = message.find("audio");
  if (audio.is_object()) {
    Part& part = to.parts.emplace_back();
    part.kind = PartKind::kAudio;
    part.file_id = reading.text(audio.find("id"));
    part.text = reading.text(audio.find("transcript"));
    set_media(audio.find("data"), part, reading);
  }
  read_tool_calls(message.find("tool_calls"), to, reading);
  const JsonValue call = message.find("function_call");
  if (call.is_object()) {
    Part& part = to.parts.emplace_back();
    part.kind = PartKind::kToolCall;
    part.name = reading.text(call.find("name"));
    part.text = reading.text_or_json(call.find("arguments"));
  }
}

void read_tools(JsonValue tools, Reading& reading) {
  for (const JsonMember element : tools) {
    const JsonValue source = element.value;
    if (!source.is_object()) continue;
    const JsonValue nested = source.find("function");
    const JsonValue function = nested.is_object() ? nested : source;
    Tool& tool = reading.trace.tools.emplace_back();
    tool.type = reading.text(source.find("type"));
    set_if_empty(tool.type, "function");
    tool.name = reading.text(function.find("name"));
    set_if_empty(tool.name, reading.text(source.find("server_label")));
    tool.description = reading.text(function.find("description"));
    const JsonValue schema = function.find("input_schema");
    tool.parameters = reading.json(schema ? schema : function.find("parameters"));
    tool.json = reading.json(source);
  }
}

}  // namespace sidecast
