#include "exporters/dialects/facts.h"

#include <algorithm>
#include <iterator>

#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/keys.h"

namespace sidecast {

ArenaVector<Metadatum> gateway_facts(const Trace& trace, Arena& arena) {
  ArenaVector<Metadatum> facts(arena.resource());
  facts.reserve(16 + trace.facts.size());
  const auto text = [&facts](Text key, Text value) {
    if (!value.empty()) facts.push_back({key, value, false});
  };
  const auto integer = [&facts](Text key, std::int64_t value) {
    facts.push_back({key, value, false});
  };
  if (!trace.is_explicit_span) text("generation_id", trace.identity.generation_id);
  text("account", trace.identity.account);
  text("api_key_id", trace.identity.api_key_id);
  text("api_key_name", trace.identity.api_key_name);
  text("provider_name", trace.provider);
  text("endpoint", trace.endpoint);
  text("region", trace.region);
  text("service_tier", trace.service_tier);
  text("system_fingerprint", trace.system_fingerprint);
  if (trace.outcome.http_status != 0) integer("http_status", trace.outcome.http_status);
  if (const auto first_token = time_to_first_token(trace)) {
    integer("first_token_ms", std::chrono::duration_cast<Milliseconds>(*first_token).count());
  }
  if (trace.outcome.aborted) facts.push_back({"aborted", true, false});
  if (trace.shed.happened) {
    facts.push_back({"shed", true, false});
    integer("request_bytes", static_cast<std::int64_t>(trace.shed.request_bytes));
    integer("response_bytes", static_cast<std::int64_t>(trace.shed.response_bytes));
  }
  facts.insert(facts.end(), trace.facts.begin(), trace.facts.end());
  return facts;
}

ArenaVector<Metadatum> unused_settings(const DialectContext& context) {
  ArenaVector<Metadatum> unused(context.arena.resource());
  const TraceSettings& settings = context.trace.settings;
  if (trace_id_is_hashed(context)) unused.push_back({"trace_id", settings.trace_id_text, false});
  if (!settings.parent_span_id && !settings.parent_span_id_text.empty()) {
    unused.push_back({"parent_span_id", settings.parent_span_id_text, false});
  }
  if (context.options.tree != TreeShape::kFull) {
    const auto text = [&unused](Text key, Text value) {
      if (!value.empty()) unused.push_back({key, value, false});
    };
    text("trace_name", settings.trace_name);
    text("span_name", settings.span_name);
  }
  return unused;
}

void write_metadata(JsonWriter& json, std::span<const Metadatum> user,
                    std::span<const Metadatum> more, std::span<const Metadatum> facts) {
  const auto is_users = [user](Text key) {
    return std::any_of(user.begin(), user.end(), [key](const auto& m) { return m.key == key; });
  };
  json.begin_object();
  for (const Metadatum& metadatum : user) write_json(json.key(metadatum.key), metadatum);
  for (const Metadatum& metadatum : more) {
    if (!is_users(metadatum.key)) write_json(json.key(metadatum.key), metadatum);
  }
  if (!facts.empty()) {
    json.key(is_users("gateway") ? "sidecast" : "gateway").begin_object();
    for (const Metadatum& fact : facts) write_json(json.key(fact.key), fact);
    json.end_object();
  }
  json.end_object();
}

std::size_t place_of_call(const Trace& trace, const SpanSet& set) noexcept {
  const SpanId id = trace.span_id.value_or(hash_span_id(trace.identity.generation_id));
  const auto found = std::find_if(set.spans.begin(), set.spans.end(),
                                  [&id](const Span& span) { return span.span_id == id; });
  return found == set.spans.end() ? 0 : static_cast<std::size_t>(found - set.spans.begin());
}

std::optional<std::int64_t> total_tokens(const Usage& usage) noexcept {
  if (usage.total || !usage.input || !usage.output) return usage.total;
  std::int64_t sum = 0;
  if (__builtin_add_overflow(*usage.input, *usage.output, &sum)) return std::nullopt;
  return sum;
}

std::span<const Text> finish_reasons(const Trace& trace, Arena& arena) {
  std::pmr::polymorphic_allocator<Text> allocator(arena.resource());
  const std::size_t most = std::max(trace.finish_reasons.size(), trace.output_messages.size());
  Text* const reasons = allocator.allocate(most);
  std::size_t count = 0;
  const auto add = [&](Text reason) {
    if (!reason.empty()) new (&reasons[count++]) Text(reason);
  };
  for (const Text reason : trace.finish_reasons) add(reason);
  if (count > 0) return {reasons, count};
  for (const Message& message : trace.output_messages) add(message.finish_reason);
  return {reasons, count};
}

std::optional<Nanoseconds> time_to_first_token(const Trace& trace) noexcept {
  if (!trace.first_token || *trace.first_token < trace.start) return std::nullopt;
  return *trace.first_token - trace.start;
}

void add_exception(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Failure failure = failure_of(context, slot);
  if (!failure.happened) return;
  SpanEvent& event = span.events.emplace_back(context.arena);
  event.name = keys::kException;
  event.time = span.end;
  AttributeWriter out(event.attributes, context.arena);
  out.text(keys::kExceptionType, failure.type);
  out.text(keys::kExceptionMessage, failure.message);
}

void write_outcome(const DialectContext& context, const SpanSlot& slot, StatusCode success,
                   Span& span, AttributeWriter& out) {
  const Failure failure = failure_of(context, slot);
  if (!failure.happened) {
    span.status = success;
    return;
  }
  if (!out.has(keys::kErrorType)) out.text(keys::kErrorType, failure.type);
  add_exception(context, slot, span);
}

void write_attributes(const Trace& trace, AttributeWriter& out) {
  static constexpr Text kReserved[] = {"otel.", "service.", "telemetry.", "data_stream."};
  for (const Metadatum& attribute : trace.attributes) {
    const bool is_reserved =
        std::any_of(std::begin(kReserved), std::end(kReserved),
                    [&attribute](Text prefix) { return attribute.key.starts_with(prefix); });
    out.add_outside(is_reserved ? keys::kSidecastPrefix : Text(), attribute);
  }
}

void write_attributes(const Trace& trace, Text own_namespace, Text prefix, AttributeWriter& out) {
  for (const Metadatum& attribute : trace.attributes) {
    out.add_outside(attribute.key.starts_with(own_namespace) ? Text() : prefix, attribute);
  }
}

ArenaVector<Metadatum> metadata_without(const Trace& trace, std::initializer_list<Text> promoted,
                                        Arena& arena) {
  ArenaVector<Metadatum> kept(arena.resource());
  kept.reserve(trace.metadata.size());
  std::copy_if(trace.metadata.begin(), trace.metadata.end(), std::back_inserter(kept),
               [&promoted](const Metadatum& metadatum) {
                 return std::find(promoted.begin(), promoted.end(), metadatum.key) ==
                        promoted.end();
               });
  return kept;
}

ArenaVector<Metadatum> unique_keys(std::span<const Metadatum> metadata, Arena& arena) {
  ArenaVector<const Metadatum*> sorted(arena.resource());
  sorted.reserve(metadata.size());
  for (const Metadatum& metadatum : metadata) sorted.push_back(&metadatum);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto* a, const auto* b) { return a->key < b->key; });
  sorted.erase(std::unique(sorted.begin(), sorted.end(),
                           [](const auto* a, const auto* b) { return a->key == b->key; }),
               sorted.end());
  std::sort(sorted.begin(), sorted.end());  // one array: addresses are the order it came in
  ArenaVector<Metadatum> kept(arena.resource());
  kept.reserve(sorted.size());
  for (const Metadatum* metadatum : sorted) kept.push_back(*metadatum);
  return kept;
}

Text metadata_text(const Trace& trace, Text key) noexcept {
  for (const Metadatum& metadatum : trace.metadata) {
    const auto* const text = std::get_if<Text>(&metadatum.value);
    if (metadatum.key == key && text != nullptr && !metadatum.is_json) return *text;
  }
  return {};
}

void add_cost_facts(const Trace& trace, ArenaVector<Metadatum>& facts) {
  const auto add = [&facts](Text key, std::optional<double> value) {
    if (value) facts.push_back({key, *value, false});
  };
  add("cost_usd", trace.cost.total);
  add("input_cost_usd", trace.cost.input);
  add("output_cost_usd", trace.cost.output);
}

ArenaVector<Metadatum> attempt_facts(const SpanSlot& slot, Arena& arena) {
  const Attempt& attempt = *slot.attempt;
  ArenaVector<Metadatum> facts(arena.resource());
  const auto add = [&facts](Text key, Text value) {
    if (!value.empty()) facts.push_back({key, value, false});
  };
  facts.push_back({"attempt_index", static_cast<std::int64_t>(slot.attempt_index), false});
  add("provider_name", attempt.provider);
  add("model", attempt.model);
  add("endpoint", attempt.endpoint);
  if (attempt.http_status != 0) {
    facts.push_back({"http_status", std::int64_t{attempt.http_status}, false});
  }
  return facts;
}

}  // namespace sidecast
