#include "engine/normalise/text_model.h"

#include <algorithm>
#include <array>

#include "engine/normalise/last_members.h"
#include "engine/normalise/parts.h"
#include "engine/normalise/request.h"

namespace sidecast {
namespace {

constexpr std::size_t kTextsMax = 256;

struct Completion {
  JsonValue text;
  JsonValue reason;
};

JsonValue first_of(JsonValue object, std::initializer_list<Text> keys) noexcept {
  for (const Text key : keys) {
    if (const JsonValue found = object.find(key); found.is_string()) return found;
  }
  return {};
}

JsonValue reason_of(JsonValue object) noexcept {
  const JsonValue reason = first_of(object, {"finish_reason", "stop_reason", "completionReason",
                                             "stopReason", "done_reason", "finishReason"});
  return reason ? reason : object.find("finishReason", "reason");  // Jurassic's
}

Completion completion_of(JsonValue element) noexcept {
  if (element.is_string()) return {element, {}};
  JsonValue text =
      first_of(element, {"outputText", "generated_text", "text", "content", "markdown"});
  if (!text) text = element.find("data", "text");  // Jurassic's
  if (!text) text = element.find("message", "content");
  return {text, reason_of(element)};
}

// The only text of an answer, or the piece that an event brings.
JsonValue single_text(JsonValue body) noexcept {
  const JsonValue found =
      first_of(body, {"text", "deltaText", "completion", "outputText", "generation", "response",
                      "generated_text", "value", "output_text", "answer"});
  if (found) return found;
  constexpr std::array<std::array<Text, 2>, 3> kNested = {
      {{"delta", "text"}, {"token", "text"}, {"message", "content"}}};
  for (const auto& [outer, inner] : kNested) {
    if (const JsonValue piece = body.find(outer, inner); piece.is_string()) return piece;
  }
  return {};
}

template <typename Visit>
void for_each_completion(JsonValue body, Visit visit) {
  if (const JsonValue text = single_text(body)) {
    visit(Completion{text, reason_of(body)});
    return;
  }
  for (const Text list : {"results", "outputs", "generations", "completions", "predictions",
                          "choices", "pages", "output"}) {
    const JsonValue elements = body.find(list);
    if (elements.is_string()) visit(Completion{elements, reason_of(body)});
    bool has_come = false;
    for (const JsonMember element : elements) {
      const Completion completion = completion_of(element.value);
      if (!completion.text.is_string()) continue;
      visit(completion);
      has_come = true;
    }
    if (has_come) return;
  }
}

// Replicate's output, and the pages of a document that was read, are pieces of one text.
bool is_one_text(JsonValue body) noexcept {
  return body.find("output").is_array() || body.find("pages").is_array();
}

void add_prompt(JsonValue value, Reading& reading) {
  ArenaVector<Text>& prompts = reading.trace.prompts;
  if (value.is_string() && prompts.size() < kTextsMax) prompts.push_back(reading.text(value));
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

void read_request(JsonValue body, Reading& reading) {
  read_parameters(body, reading);
  read_text_prompts(body, reading);
}

}  // namespace

void read_text_prompts(JsonValue body, Reading& reading) {
  for (const Text key : {"prompt", "inputText", "inputs", "input"}) {
    const JsonValue value = body.find(key);
    add_prompt(value, reading);
    if (value.is_array()) {
      for (const JsonMember element : value) add_prompt(element.value, reading);
    }
    add_prompt(value.find("prompt"), reading);  // Replicate's
  }
  for (const JsonMember element : body.find("instances")) {
    add_prompt(first_of(element.value, {"prompt", "content"}), reading);
  }
}

void read_text_answer(JsonValue body, Reading& reading) {
  Trace& trace = reading.trace;
  for (const Text key : {"id", "responseId", "response_id", "generation_id"}) {
    set_if_empty(trace.response_id, reading.text(body.find(key)));
  }
  for (const Text key : {"model", "modelVersion", "model_id"}) {
    set_if_empty(trace.model_served, reading.text(body.find(key)));
  }
  if (trace.outcome.failed) {
    if (const JsonValue reason = reason_of(body); reason.is_string()) {
      trace.finish_reasons.push_back(reading.text(reason));
    }
    return;
  }
  const bool is_one = is_one_text(body);
  TextPieces pieces(reading.arena);
  for_each_completion(body, [&](const Completion& completion) {
    const Text text = reading.text(completion.text);
    pieces.append(text);
    if (is_one || text.empty() || trace.output_messages.size() == kTextsMax) return;
    Message& message = trace.output_messages.emplace_back(reading.arena);
    message.role = "assistant";
    message.parts.emplace_back().text = text;
    message.finish_reason = reading.text(completion.reason);
    if (message.finish_reason.empty()) message.finish_reason = reading.text(reason_of(body));
    trace.finish_reasons.push_back(message.finish_reason);
  });
  if (is_one && !pieces.empty()) {
    Message& message = trace.output_messages.emplace_back(reading.arena);
    message.role = "assistant";
    message.parts.emplace_back().text = pieces.join(reading.arena);
  }
  if (trace.finish_reasons.empty()) {
    const Text reason = reading.text(reason_of(body));
    if (!reason.empty()) trace.finish_reasons.push_back(reason);
  }
}

bool assemble_texts(StreamReader& stream, Reading& reading, JsonWriter& out) {
  ArenaVector<Text> pieces(reading.arena.resource());
  Text reason;
  // The numbers, names and errors that events bring along; the last of each counts.
  constexpr std::array<Text, 12> kKept = {"id",
                                          "model",
                                          "usage",
                                          "usageMetadata",
                                          "error",
                                          "meta",
                                          "inputTextTokenCount",
                                          "totalOutputTextTokenCount",
                                          "prompt_token_count",
                                          "generation_token_count",
                                          "amazon-bedrock-invocationMetrics",
                                          "model_id"};
  std::array<Text, kKept.size()> kept;
  LastMembers counts(reading.arena);  // those that stand within the elements of a list
  while (const std::optional<StreamEvent> event = stream.next()) {
    const JsonValue value = event->value;
    for_each_completion(value, [&](const Completion& completion) {
      const Text piece = reading.text(completion.text);
      if (!piece.empty()) pieces.push_back(piece);
      if (completion.reason.is_string()) reason = reading.text(completion.reason);
    });
    if (const JsonValue last = reason_of(value); last.is_string()) reason = reading.text(last);
    for (const JsonMember member : value) {
      for (std::size_t i = 0; i < kKept.size(); ++i) {
        if (member.key == kKept[i] && member.value.is_present())
          kept[i] = reading.json(member.value);
      }
      if (member.key != "results") continue;
      for (const JsonMember element : member.value) {
        for (const JsonMember count : element.value) {
          // watsonx counts the input in its first event and the output up.
          if (count.value.integer().value_or(0) > 0) counts.set(count, reading);
        }
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
  if (!reason.empty()) out.key("finish_reason").string(reason);
  if (!counts.empty()) {
    out.key("results").begin_array().begin_object();
    counts.write(out);
    out.end_object().end_array();
  }
  out.key("text").string(scrub_text(join_pieces(pieces, reading), reading.arena));
  out.end_object();
  return true;
}

const Api kTextModel{"text model",  Operation::kCompletions, TraceKind::kLlm,
                     &read_request, &read_text_answer,       &assemble_texts};

}  // namespace sidecast
