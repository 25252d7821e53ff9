// Pictures made of a prompt: OpenAI's images and those who follow it (xAI, Together, ...), Imagen's
// predict, Titan's and Stability's InvokeModel.
// Specification: https://platform.openai.com/docs/api-reference/images
#include "engine/normalise/api.h"
#include "engine/normalise/last_members.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

constexpr std::size_t kPicturesMax = 256;

void add_text(JsonValue text, Message& message, Reading& reading) {
  if (text.is_string()) message.parts.emplace_back().text = reading.text(text);
}

// A reference, base64, or an uploaded file; or a list of them.
void add_picture(JsonValue source, Message& message, Reading& reading) {
  if (source.is_array()) {
    for (const JsonMember element : source) add_picture(element.value, message, reading);
    return;
  }
  Part part;
  part.kind = PartKind::kImage;
  if (source.is_string()) {
    set_media(source, part, reading);
  } else if (source.is_object()) {
    for (const Text key : {"b64_json", "url", "image_url", "bytesBase64Encoded", "base64"}) {
      const JsonValue media = source.find(key);
      if (media.is_string()) set_media(media, part, reading);
    }
    for (const Text key : {"mime_type", "mimeType", "content_type"}) {
      set_if_empty(part.mime_type, reading.text(source.find(key)));
    }
    set_file(source, part, reading);
  } else {
    return;
  }
  if (message.parts.size() < kPicturesMax) message.parts.push_back(part);
}

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  Message message(reading.arena);
  message.role = "user";
  add_text(body.find("prompt"), message, reading);
  add_text(body.find("textToImageParams", "text"), message, reading);
  for (const Text list : {"instances", "text_prompts"}) {
    for (const JsonMember element : body.find(list)) {
      add_text(element.value.find(list == "instances" ? "prompt" : "text"), message, reading);
    }
  }
  for (const Text key : {"image", "images", "mask"}) add_picture(body.find(key), message, reading);
  message.from_list = message.parts.size() > 1;
  if (!message.parts.empty()) reading.trace.input_messages.push_back(std::move(message));
  if (reading.trace.parameters.output_type.empty()) reading.trace.parameters.output_type = "image";
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  set_if_empty(trace.response_id, reading.text(body.find("id")));
  set_if_empty(trace.model_served, reading.text(body.find("model")));
  Message message(reading.arena);
  message.role = "assistant";
  message.from_list = true;
  for (const Text key : {"data", "predictions", "images", "artifacts"}) {
    for (const JsonMember element : body.find(key)) {
      add_text(element.value.find("revised_prompt"), message, reading);
      add_picture(element.value, message, reading);
    }
  }
  for (const JsonMember reason : body.find("finish_reasons")) {
    if (reason.value.is_string()) message.finish_reason = reading.text(reason.value);
  }
  if (message.parts.empty()) return;
  trace.finish_reasons.push_back(message.finish_reason);
  trace.output_messages.push_back(std::move(message));
}

// Each event is a whole picture, the last ones the finished ones: partial ones are not kept.
bool assemble(StreamReader& stream, Reading& reading, JsonWriter& out) {
  ArenaVector<Text> pictures(reading.arena.resource());
  LastMembers members(reading.arena);
  while (const std::optional<StreamEvent> event = stream.next()) {
    const Text type = event->value.find("type").word();
    constexpr Text kCompleted = ".completed";
    const bool is_finished = type.size() > kCompleted.size() &&
                             type.substr(type.size() - kCompleted.size()) == kCompleted;
    if (is_finished && pictures.size() < kPicturesMax) {
      pictures.push_back(reading.json(event->value));
    }
    for (const JsonMember member : event->value) {
      if (member.key == "usage" || member.key == "error") members.set(member, reading);
    }
  }
  if (pictures.empty() && members.empty()) return false;
  out.begin_object();
  members.write(out);
  out.key("data").begin_array();
  for (const Text picture : pictures) out.raw(picture);
  out.end_array().end_object();
  return true;
}

}  // namespace

const Api kImages{"images",      Operation::kImage, TraceKind::kLlm,
                  &read_request, &read_response,    &assemble};

}  // namespace sidecast
