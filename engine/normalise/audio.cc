// Speech made of text, and text made of speech: OpenAI's audio and those who follow it (Mistral,
// xAI, Groq, OpenRouter), Deepgram's listen and speak. Specification:
// https://platform.openai.com/docs/api-reference/audio
#include "engine/normalise/api.h"
#include "engine/normalise/last_members.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

bool starts_with(Text text, Text prefix) noexcept {
  return text.substr(0, prefix.size()) == prefix;
}

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  Message message(reading.arena);
  message.role = "user";
  for (const Text key : {"input", "text", "prompt"}) {  // `prompt` guides a transcription
    const JsonValue text = body.find(key);
    if (text.is_string()) message.parts.emplace_back().text = reading.text(text);
  }
  for (const Text key : {"file", "url", "audio_url"}) {
    const JsonValue source = body.find(key);
    if (!source.is_present()) continue;
    Part part;
    part.kind = PartKind::kAudio;
    set_media(source, part, reading);
    set_file(source, part, reading);
    message.parts.push_back(part);
  }
  message.from_list = message.parts.size() > 1;
  if (!message.parts.empty()) reading.trace.input_messages.push_back(std::move(message));
}

// Deepgram's: {"results":{"channels":[{"alternatives":[{"transcript"}]}]}}.
JsonValue deepgram_transcript(JsonValue body) {
  for (const JsonMember channel : body.find("results", "channels")) {
    for (const JsonMember alternative : channel.value.find("alternatives")) {
      return alternative.value.find("transcript");
    }
  }
  return {};
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  set_if_empty(trace.model_served, reading.text(body.find("model")));
  set_if_empty(trace.response_id, reading.text(body.find("id")));
  Part part;
  JsonValue text = body.find("text");
  if (!text.is_string()) text = body.find("transcript");
  if (!text.is_string()) text = deepgram_transcript(body);
  if (text.is_string()) {
    part.text = reading.text(text);
  } else if (const JsonValue audio = body.find("audio"); audio.is_present()) {
    part.kind = PartKind::kAudio;
    set_media(audio, part, reading);
    set_file(audio, part, reading);
  } else {
    return;
  }
  reading.add_fact("audio_seconds", body.find("duration"));
  Message& message = trace.output_messages.emplace_back(reading.arena);
  message.role = "assistant";
  message.parts.push_back(part);
}

bool assemble(StreamReader& stream, Reading& reading, JsonWriter& out) {
  LastMembers members(reading.arena);
  TextField deltas(reading.arena);
  TextField segments(reading.arena);  // of a transcript by speaker, which has no deltas
  Text done;
  std::uint64_t audio_bytes = 0;
  bool has_audio = false;
  bool is_known = false;
  while (const std::optional<StreamEvent> event = stream.next()) {
    const JsonValue value = event->value;
    const Text type = value.find("type").word();
    is_known = is_known || starts_with(type, "transcript.") ||
               starts_with(type, "transcription.") || starts_with(type, "speech.");
    if (type == "transcript.text.delta") {
      deltas.append(value.find("delta"), reading);
    } else if (type == "transcription.text.delta") {  // Mistral's
      deltas.append(value.find("text"), reading);
    } else if (type == "transcript.text.segment") {
      segments.append(value.find("text"), reading);
    } else if (type == "transcript.text.done" || type == "transcription.done") {
      done = reading.json(value.find("text"));
    } else if (type == "speech.audio.delta") {
      has_audio = true;
      audio_bytes += value.find("audio").word().size();
    }
    for (const JsonMember member : value) {
      if (member.key == "usage" || member.key == "error" || member.key == "model") {
        members.set(member, reading);
      }
    }
  }
  if (!is_known && members.empty()) return false;
  out.begin_object();
  members.write(out);
  if (!done.empty()) {
    out.key("text").raw(done);
  } else if (deltas.has_come()) {
    deltas.write("text", reading.arena, out);
  } else {
    segments.write("text", reading.arena, out);
  }
  if (has_audio)
    out.key("audio").begin_object().key("bytes").unsigned_integer(audio_bytes).end_object();
  out.end_object();
  return true;
}

}  // namespace

const Api kAudio{"audio",       Operation::kAudio, TraceKind::kLlm,
                 &read_request, &read_response,    &assemble};

}  // namespace sidecast
