// Any API we do not know: nothing is taken apart, but model, ids, usage and errors stand in few
// places, and streams of text have few shapes.
#include <algorithm>
#include <array>

#include "engine/normalise/api.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

// Where the events of text streams hold their piece: Sourcegraph, Hugging Face, Titan, Llama, old
// Anthropic and Cohere, watsonx, ...
Text text_piece(JsonValue event, Reading& reading) {
  for (const Text key : {"text", "deltaText", "completion", "outputText", "generation", "response",
                         "generated_text", "value"}) {
    const JsonValue piece = event.find(key);
    if (piece.is_string()) return reading.text(piece);
  }
  constexpr std::array<std::array<Text, 2>, 3> kNested = {
      {{"delta", "text"}, {"token", "text"}, {"message", "content"}}};
  for (const auto& [outer, inner] : kNested) {
    const JsonValue piece = event.find(outer, inner);
    if (piece.is_string()) return reading.text(piece);
  }
  for (const JsonMember element : event.find("results")) {
    for (const Text key : {"generated_text", "outputText"}) {
      const JsonValue piece = element.value.find(key);
      if (piece.is_string()) return reading.text(piece);
    }
  }
  return {};
}

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  for (const JsonMember element : body.find("messages")) {
    read_message(element.value, reading.trace.input_messages, reading);
  }
  read_tools(body.find("tools"), reading);
  const JsonValue prompt = body.find("prompt");
  if (prompt.is_string()) reading.trace.prompts.push_back(reading.text(prompt));
}

void read_response(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  for (const Text key : {"id", "responseId", "response_id", "generation_id"}) {
    set_if_empty(trace.response_id, reading.text(body.find(key)));
  }
  for (const Text key : {"model", "modelVersion", "model_id"}) {
    set_if_empty(trace.model_served, reading.text(body.find(key)));
  }
  for (const Text key : {"finish_reason", "stop_reason", "completionReason", "stopReason",
                         "done_reason", "finishReason"}) {
    const Text reason = reading.text(body.find(key));
    if (reason.empty()) continue;
    trace.finish_reasons.push_back(reason);
    break;
  }
  const Text text = trace.outcome.failed ? Text() : text_piece(body, reading);
  if (text.empty()) return;
  Message& message = trace.output_messages.emplace_back(reading.arena);
  message.role = "assistant";
  message.parts.emplace_back().text = text;
  if (!trace.finish_reasons.empty()) message.finish_reason = trace.finish_reasons.front();
}

// Most streams send what comes next, some all of it again each time. A text that only grew was sent
// again; two pieces may begin alike by chance.
Text join_pieces(const ArenaVector<Text>& pieces, Reading& reading) {
  bool only_grew = pieces.size() > 2;
  TextPieces joined(reading.arena);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    joined.append(pieces[i]);
    if (i > 0 && pieces[i].substr(0, pieces[i - 1].size()) != pieces[i - 1]) only_grew = false;
  }
  return only_grew ? pieces.back() : joined.join(reading.arena);
}

bool assemble(StreamReader& stream, Reading& reading, JsonWriter& out) {
  ArenaVector<Text> pieces(reading.arena.resource());
  // The numbers, names and errors that events bring along; the last of each counts.
  constexpr std::array<Text, 16> kKept = {"id",
                                          "model",
                                          "usage",
                                          "usageMetadata",
                                          "error",
                                          "finish_reason",
                                          "stop_reason",
                                          "stopReason",
                                          "meta",
                                          "inputTextTokenCount",
                                          "totalOutputTextTokenCount",
                                          "completionReason",
                                          "prompt_token_count",
                                          "generation_token_count",
                                          "amazon-bedrock-invocationMetrics",
                                          "model_id"};
  std::array<Text, kKept.size()> kept;
  while (const std::optional<StreamEvent> event = stream.next()) {
    const Text piece = text_piece(event->value, reading);
    if (!piece.empty()) pieces.push_back(piece);
    for (const JsonMember member : event->value) {
      for (std::size_t i = 0; i < kKept.size(); ++i) {
        if (member.key == kKept[i] && member.value.is_present())
          kept[i] = reading.json(member.value);
      }
    }
  }
  const bool is_empty = pieces.empty() && std::all_of(kept.begin(), kept.end(),
                                                      [](Text json) { return json.empty(); });
  if (is_empty) return false;
  out.begin_object();
  for (std::size_t i = 0; i < kKept.size(); ++i) {
    if (!kept[i].empty()) out.key(kKept[i]).raw(kept[i]);
  }
  out.key("text").string(scrub_text(join_pieces(pieces, reading), reading.arena));
  out.end_object();
  return true;
}

}  // namespace

const Api kUnknownApi{"unknown",     Operation::kUnknown, TraceKind::kLlm,
                      &read_request, &read_response,      &assemble};

}  // namespace sidecast
