#include "exporters/encode/trace_json.h"

#include <array>

#include "engine/base/json_writer.h"
#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"
#include "exporters/dialects/times.h"

namespace sidecast {
namespace {

constexpr std::size_t kScratchBytes = 16U * 1024U;

void write_time(JsonWriter& json, Text name, Timestamp time) {
  std::array<char, kIsoTimeBytes> text;
  json.key(name).string(iso_time(time, text));
}

void write_status(JsonMembers& members, const Failure& failure) {
  members.text("level", failure.happened ? "ERROR" : "DEFAULT");
  if (!failure.happened) return;
  members.text("errorType", failure.type);
  members.text("statusMessage", failure.message);
}

void write_generation(JsonWriter& json, const Trace& trace, Arena& arena) {
  JsonMembers members(json);
  json.begin_object();
  members.text("id", trace.identity.generation_id);
  members.text("type", trace.is_explicit_span ? openinference_kind(trace.kind) : "GENERATION");
  const Text name = trace.is_explicit_span ? trace.name : trace.settings.generation_name;
  members.text("name", name.empty() ? model_of(trace) : name);
  members.text("model", model_of(trace));
  members.text("providerName", trace.provider);
  write_time(json, "startTime", trace.start);
  write_time(json, "endTime", trace.end);
  if (trace.first_token) write_time(json, "completionStartTime", *trace.first_token);
  members.integer("promptTokens", trace.usage.input);
  members.integer("completionTokens", trace.usage.output);
  members.integer("totalTokens", total_tokens(trace.usage));
  members.integer("cachedTokens", trace.usage.cache_read);
  members.integer("reasoningTokens", trace.usage.reasoning);
  members.number("inputCost", trace.cost.input);
  members.number("outputCost", trace.cost.output);
  members.number("totalCost", trace.cost.total);
  const std::span<const Text> reasons = finish_reasons(trace, arena);
  if (!reasons.empty()) {
    members.text("finishReason", reasons.front());
    members.text("normalizedFinishReason", normalised_finish_reason(reasons.front()));
  }
  members.json("modelParameters", trace.parameters.json);
  write_status(members, failure_of(trace));
  json.end_object();
}

void write_attempt(JsonWriter& json, const Attempt& attempt, std::size_t index) {
  JsonMembers members(json);
  json.begin_object();
  members.text("type", "SPAN");
  members.integer("attempt", static_cast<std::int64_t>(index));
  members.text("name", "provider attempt");
  members.text("model", attempt.model);
  members.text("providerName", attempt.provider);
  write_time(json, "startTime", attempt.start);
  write_time(json, "endTime", attempt.end);
  if (attempt.http_status != 0) members.integer("statusCode", attempt.http_status);
  write_status(members, failure_of(attempt));
  json.end_object();
}

}  // namespace

void encode_trace_json(const Trace& trace, const SpanSet& /*set*/, ByteBuffer& out) {
  Arena arena(kScratchBytes);
  JsonWriter json(out);
  JsonMembers members(json);
  const TraceSettings& settings = trace.settings;
  json.begin_object();
  members.text(
      "id", settings.trace_id_text.empty() ? trace.identity.generation_id : settings.trace_id_text);
  members.text("name", settings.trace_name.empty() ? model_of(trace) : settings.trace_name);
  write_time(json, "timestamp", trace.start);
  members.text("userId", trace.identity.user_id);
  members.text("sessionId", trace.identity.session_id);
  members.text("apiKeyName", trace.identity.api_key_name);
  write_metadata(json.key("metadata"), trace.metadata, {}, gateway_facts(trace, arena));
  if (!trace.attributes.empty()) {
    write_metadata(json.key("attributes"), trace.attributes, {}, {});
  }
  members.json("input", input_json(trace, arena));
  members.json("output", output_json(trace, arena));
  json.key("observations").begin_array();
  write_generation(json, trace, arena);
  for (std::size_t i = 0; i < trace.attempts.size(); ++i) write_attempt(json, trace.attempts[i], i);
  json.end_array();
  json.end_object();
}

}  // namespace sidecast
