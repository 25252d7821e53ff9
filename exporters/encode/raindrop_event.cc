#include "exporters/encode/raindrop_event.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "engine/base/json_writer.h"
#include "engine/base/utf8.h"
#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"
#include "exporters/dialects/times.h"

namespace sidecast {
namespace {

constexpr std::size_t kScratchBytes = 16U * 1024U;
// An event may have 1 MiB; Raindrop's own client cuts each text.
constexpr std::size_t kTextBytesMax = 400'000;

// The texts of a message, one after the other, with notes where media stood.
Text said(const FlatMessage& message, Arena& arena) {
  Text all;
  for (const Part* part : message.content) {
    if (part->kind == PartKind::kReasoning) continue;
    const Text text = is_media(part->kind) ? media_note(*part, arena) : part->text;
    all = all.empty() ? text : join({all, "\n", text}, arena);
  }
  return all;
}

Text latest_of_user(const Trace& trace, Arena& arena) {
  const auto messages = flatten_messages(trace.input_messages, arena);
  for (auto message = messages.rbegin(); message != messages.rend(); ++message) {
    if (message->role == "user") return said(*message, arena);
  }
  if (!messages.empty()) return {};
  return trace.prompts.empty() ? trace.input_value : trace.prompts.back();
}

Text answer_of(const Trace& trace, Arena& arena) {
  const auto messages = flatten_messages(trace.output_messages, arena);
  return messages.empty() ? trace.output_value : said(messages.front(), arena);
}

void write_numbers(JsonWriter& json, const Trace& trace) {
  const auto integer = [&json](Text name, std::optional<std::int64_t> value) {
    if (value) json.key(name).integer(*value);
  };
  integer("prompt_tokens", trace.usage.input);
  integer("completion_tokens", trace.usage.output);
  integer("total_tokens", total_tokens(trace.usage));
  if (trace.cost.total) json.key("total_cost").number(*trace.cost.total);
  json.key("duration_ms")
      .number(std::chrono::duration<double, std::milli>(trace.end - trace.start).count());
}

// Ours first; a key of the user's with one of these names would be there twice.
void write_properties(JsonWriter& json, const Trace& trace, Arena& arena) {
  constexpr Text kOurs[] = {"trace_id",          "trace_name",    "model",
                            "provider",          "source",        "prompt_tokens",
                            "completion_tokens", "total_tokens",  "total_cost",
                            "duration_ms",       "finish_reason", "error"};
  const auto text = [&json](Text name, Text value) {
    if (!value.empty()) json.key(name).string(value);
  };
  const TraceSettings& settings = trace.settings;
  json.begin_object();
  text("trace_id",
       settings.trace_id_text.empty() ? trace.identity.generation_id : settings.trace_id_text);
  text("trace_name", settings.trace_name);
  text("model", model_of(trace));
  text("provider", trace.provider);
  text("source", "sidecast");
  write_numbers(json, trace);
  const std::span<const Text> reasons = finish_reasons(trace, arena);
  if (!reasons.empty()) text("finish_reason", reasons.front());
  const Failure failure = failure_of(trace);
  if (failure.happened) text("error", failure.type);
  for (const Metadatum& metadatum : trace.metadata) {
    const bool is_ours =
        std::find(std::begin(kOurs), std::end(kOurs), metadatum.key) != std::end(kOurs);
    if (!is_ours) write_json(json.key(metadatum.key), metadatum);
  }
  json.end_object();
}

}  // namespace

void encode_raindrop_event(const Trace& trace, const SpanSet& /*set*/, ByteBuffer& out) {
  Arena arena(kScratchBytes);
  JsonWriter json(out);
  const Identity& identity = trace.identity;
  const auto content = [&json](Text name, Text value) {
    if (!value.empty()) json.key(name).string(utf8_prefix(value, kTextBytesMax));
  };
  json.begin_object();
  json.key("event_id").string(identity.generation_id);
  // Raindrop wants one; without a user each conversation stands for itself.
  const Text user = !identity.user_id.empty()      ? identity.user_id
                    : !identity.session_id.empty() ? identity.session_id
                                                   : identity.generation_id;
  json.key("user_id").string(user);
  json.key("event").string("llm_generation");
  std::array<char, kIsoTimeBytes> text;
  json.key("timestamp").string(iso_time(trace.start, text));
  write_properties(json.key("properties"), trace, arena);
  json.key("ai_data").begin_object();
  content("model", model_of(trace));
  content("input", latest_of_user(trace, arena));
  content("output", answer_of(trace, arena));
  content("convo_id", identity.session_id);
  json.end_object().end_object();
}

}  // namespace sidecast
