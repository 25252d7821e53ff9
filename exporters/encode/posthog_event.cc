#include "exporters/encode/posthog_event.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <simdjson.h>

#include "engine/base/json_writer.h"
#include "engine/base/sha256.h"
#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"
#include "exporters/dialects/times.h"

namespace sidecast {
namespace {

constexpr std::size_t kScratchBytes = 16U * 1024U;
constexpr int kDepthMax = 3;  // of metadata; what is deeper is cut

// RFC 9562 §5.8: of the record's id and the span's, by a hash.
std::string uuid_of(const Trace& trace, const Span& span) {
  const std::string name =
      fmt::format("{}\n{}", trace.identity.generation_id, to_hex(span.span_id.view()));
  const Sha256 hash = sha256(name);
  std::string hex = to_hex(as_bytes(hash).substr(0, 16));
  hex[12] = '8';
  hex[16] = "89ab"[static_cast<unsigned>(hash[8]) % 4];
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20, 12));
}

// PostHog takes letters, digits and -_~.@()!':| in a trace's id.
std::string trace_id_of(const Trace& trace) {
  const Text given = trace.settings.trace_id_text;
  std::string id(given.empty() ? trace.identity.generation_id : given);
  for (char& c : id) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || Text("-_~.@()!':|").find(c) != Text::npos;
    if (!is_plain) c = '_';
  }
  return id;
}

void write_shallow(JsonWriter& json, simdjson::dom::element value, int depth) {
  simdjson::dom::object object;
  simdjson::dom::array array;
  const bool is_nested = value.is_object() || value.is_array();
  if (is_nested && depth > kDepthMax) {
    json.string("[truncated]");
  } else if (value.get(object) == simdjson::SUCCESS) {
    json.begin_object();
    for (const auto& [name, member] : object) write_shallow(json.key(name), member, depth + 1);
    json.end_object();
  } else if (value.get(array) == simdjson::SUCCESS) {
    json.begin_array();
    for (const simdjson::dom::element element : array) write_shallow(json, element, depth + 1);
    json.end_array();
  } else {
    json.raw(simdjson::minify(value));
  }
}

// The user's keys as metadata_<key>, so that none can be mistaken for one of PostHog's.
void write_metadata_properties(JsonWriter& json, const Trace& trace, Arena& arena) {
  for (const Metadatum& metadatum : trace.metadata) {
    json.key(join({"metadata_", metadatum.key}, arena));
    const Text* const text = std::get_if<Text>(&metadatum.value);
    simdjson::dom::parser parser;
    simdjson::dom::element element;
    if (metadatum.is_json && text != nullptr &&
        parser.parse(text->data(), text->size()).get(element) == simdjson::SUCCESS) {
      write_shallow(json, element, 1);
    } else {
      write_json(json, metadatum);
    }
  }
  const auto text = [&json](Text name, Text value) {
    if (!value.empty()) json.key(name).string(value);
  };
  text("trace_name", trace.settings.trace_name);
  text("metadata_span_name", trace.settings.span_name);
}

// Properties under construction; what is absent is left out.
class Properties {
 public:
  explicit Properties(JsonWriter& json) noexcept : json_(json) {}
  void text(Text name, Text value) {
    if (!value.empty()) json_.key(name).string(value);
  }
  void integer(Text name, std::optional<std::int64_t> value) {
    if (value) json_.key(name).integer(*value);
  }
  void number(Text name, std::optional<double> value) {
    if (value) json_.key(name).number(*value);
  }
  void json(Text name, Text value) {
    if (!value.empty()) json_.key(name).raw(value);
  }
  void seconds(Text name, Nanoseconds value) {
    json_.key(name).number(std::chrono::duration<double>(value).count());
  }

 private:
  JsonWriter& json_;
};

void write_failure(JsonWriter& json, const Failure& failure) {
  json.key("$ai_is_error").boolean(failure.happened);
  if (!failure.happened) return;
  json.key("$ai_error").string(failure.message.empty() ? failure.type : failure.message);
}

void write_usage(Properties& properties, const Trace& trace) {
  properties.integer("$ai_input_tokens", trace.usage.input);
  properties.integer("$ai_output_tokens", trace.usage.output);
  properties.integer("$ai_cache_read_input_tokens", trace.usage.cache_read);
  properties.integer("$ai_cache_creation_input_tokens", trace.usage.cache_write);
  properties.integer("$ai_reasoning_tokens", trace.usage.reasoning);
  properties.number("$ai_input_cost_usd", trace.cost.input);
  properties.number("$ai_output_cost_usd", trace.cost.output);
  properties.number("$ai_total_cost_usd", trace.cost.total);
}

void write_generation(JsonWriter& json, const Trace& trace, Arena& arena) {
  Properties properties(json);
  properties.text("$ai_model", model_of(trace));
  properties.text("$ai_provider", provider_names(trace.provider, arena).gen_ai);
  const Text input = messages_json(trace.input_messages, arena);
  const Text output = messages_json(trace.output_messages, arena);
  properties.json("$ai_input", input.empty() ? input_json(trace, arena) : input);
  properties.json("$ai_output_choices", output.empty() ? output_json(trace, arena) : output);
  properties.json("$ai_tools", tools_json(trace, arena));
  write_usage(properties, trace);
  if (const auto first_token = time_to_first_token(trace)) {
    properties.seconds("$ai_time_to_first_token", *first_token);
  }
  if (trace.outcome.http_status != 0) {
    properties.integer("$ai_http_status", trace.outcome.http_status);
  }
  properties.number("$ai_temperature", trace.parameters.temperature);
  properties.integer("$ai_max_tokens", trace.parameters.max_tokens);
  json.key("$ai_stream").boolean(trace.parameters.stream);
  const std::span<const Text> reasons = finish_reasons(trace, arena);
  if (!reasons.empty()) properties.text("$ai_stop_reason", reasons.front());
  properties.json("$ai_model_parameters", trace.parameters.json);
}

enum class Place { kRoot, kLevel, kCall, kAttempt };

Text event_name(Place place, const Trace& trace) {
  if (place == Place::kRoot) return "$ai_trace";
  if (place != Place::kCall || trace.is_explicit_span) return "$ai_span";
  return trace.kind == TraceKind::kEmbedding ? "$ai_embedding" : "$ai_generation";
}

void write_state(JsonWriter& json, const Trace& trace, Arena& arena) {
  Properties properties(json);
  if (trace.is_explicit_span) {
    properties.text("$ai_input_state", trace.input_value);
    properties.text("$ai_output_state", trace.output_value);
  } else {
    properties.json("$ai_input_state", input_json(trace, arena));
    properties.json("$ai_output_state", output_json(trace, arena));
  }
}

void write_event(JsonWriter& json, const Trace& trace, const Span& span, Place place,
                 const Attempt* attempt, Arena& arena) {
  const std::string trace_id = trace_id_of(trace);
  const Text user = trace.identity.user_id;
  json.begin_object();
  json.key("event").string(event_name(place, trace));
  json.key("distinct_id").string(user.empty() ? Text(trace_id) : user);
  std::array<char, kIsoTimeBytes> text;
  json.key("timestamp").string(iso_time(span.end, text));
  json.key("uuid").string(uuid_of(trace, span));
  json.key("properties").begin_object();
  Properties properties(json);
  properties.text("$ai_trace_id", trace_id);
  properties.text("$ai_session_id", trace.identity.session_id);
  if (place != Place::kRoot) {
    properties.text("$ai_span_id", to_hex(span.span_id.view()));
    properties.text("$ai_parent_id", span.parent_span_id.is_zero()
                                         ? trace.settings.parent_span_id_text
                                         : Text(to_hex(span.parent_span_id.view())));
  }
  properties.text("$ai_span_name", span.name);
  properties.seconds("$ai_latency", span.end - span.start);
  if (attempt != nullptr) {
    properties.text("$ai_model", attempt->model);
    properties.text("$ai_provider", provider_names(attempt->provider, arena).gen_ai);
    if (attempt->http_status != 0) properties.integer("$ai_http_status", attempt->http_status);
  } else if (place == Place::kCall && !trace.is_explicit_span) {
    write_generation(json, trace, arena);
  } else if (place == Place::kRoot || place == Place::kCall) {
    write_state(json, trace, arena);
  }
  write_failure(json, attempt != nullptr ? failure_of(*attempt) : failure_of(trace));
  // Without a user there is nobody to make a profile of.
  if (user.empty()) json.key("$process_person_profile").boolean(false);
  if (place == Place::kCall || place == Place::kRoot) {
    write_metadata_properties(json, trace, arena);
  }
  json.end_object().end_object();
}

void encode(const Trace& trace, const SpanSet& set, bool whole_tree, ByteBuffer& out) {
  Arena arena(kScratchBytes);
  JsonWriter json(out);
  const std::size_t call = place_of_call(trace, set);
  for (std::size_t i = 0; i < set.spans.size(); ++i) {
    if (i != call && !whole_tree) continue;
    const bool is_attempt = i > call && i - call - 1 < trace.attempts.size();
    const Attempt* const attempt = is_attempt ? &trace.attempts[i - call - 1] : nullptr;
    const Place place = i == call                               ? Place::kCall
                        : i > call                              ? Place::kAttempt
                        : set.spans[i].parent_span_id.is_zero() ? Place::kRoot
                                                                : Place::kLevel;
    write_event(json, trace, set.spans[i], place, attempt, arena);
  }
}

}  // namespace

void encode_posthog_event(const Trace& trace, const SpanSet& set, ByteBuffer& out) {
  encode(trace, set, false, out);
}

void encode_posthog_tree(const Trace& trace, const SpanSet& set, ByteBuffer& out) {
  encode(trace, set, true, out);
}

}  // namespace sidecast
