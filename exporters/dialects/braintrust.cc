// The Braintrust dialect: four JSON texts (metadata, metrics, span attributes, content) instead of
// flat names, which hosted instances strip where they know them.
#include <algorithm>
#include <iterator>

#include "exporters/dialects/content.h"
#include "exporters/dialects/dialects.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/genai.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/names.h"

namespace sidecast {
namespace {

namespace key = keys::braintrust;

Text type_of(TraceKind kind) noexcept {
  switch (kind) {
    case TraceKind::kLlm:
    case TraceKind::kEmbedding:
      return "llm";
    case TraceKind::kTool:
      return "tool";
    case TraceKind::kEvaluator:
      return "score";
    case TraceKind::kRetriever:
    case TraceKind::kReranker:
      return "function";
    default:
      return "task";
  }
}

Text span_attributes(Text type, Text name, Arena& arena) {
  return json_object(arena, [&](JsonMembers& json) {
    json.text("type", type);
    json.text("name", name);
  });
}

// What the backend itself looks for in the metadata comes first and keeps its place: a user's key
// of the same name is left out.
Text metadata_json(const DialectContext& context, bool is_subject) {
  const Trace& trace = context.trace;
  Arena& arena = context.arena;
  ArenaVector<Metadatum> own(arena.resource());
  const auto add = [&own](Text name, Text value, bool is_json = false) {
    if (!value.empty()) own.push_back({name, value, is_json});
  };
  add("user_id", trace.identity.user_id);
  add("session_id", trace.identity.session_id);
  ArenaVector<Metadatum> facts(arena.resource());
  if (is_subject) {
    add("model", model_of(trace));
    add("provider", provider_names(trace.provider, arena).gen_ai);
    add("model_parameters", trace.parameters.json, true);
    facts = gateway_facts(trace, arena);
  }
  ArenaVector<Metadatum> more = metadata_without(trace, {"tags"}, arena);
  const ArenaVector<Metadatum> unused = unused_settings(context);
  more.insert(more.end(), unused.begin(), unused.end());
  if (is_subject) {
    std::copy_if(trace.attributes.begin(), trace.attributes.end(), std::back_inserter(more),
                 [](const Metadatum& a) { return !a.key.starts_with(key::kNamespace); });
  }
  if (own.empty() && more.empty() && facts.empty()) return {};
  JsonText text(512);
  write_metadata(text.writer(), own, unique_keys(more, arena), facts);
  return text.finish(arena);
}

Text metrics_json(const Trace& trace, Arena& arena) {
  const Usage& usage = trace.usage;
  return json_object(arena, [&](JsonMembers& json) {
    json.integer("prompt_tokens", usage.input);
    json.integer("completion_tokens", usage.output);
    json.integer("tokens", total_tokens(usage));
    json.integer("prompt_cached_tokens", usage.cache_read);
    json.integer("prompt_cache_creation_tokens", usage.cache_write);
    json.integer("completion_reasoning_tokens", usage.reasoning);
    if (const auto first_token = time_to_first_token(trace)) {
      json.number("time_to_first_token", std::chrono::duration<double>(*first_token).count());
    }
    json.number("estimated_cost", trace.cost.total);
  });
}

void write_common(const DialectContext& context, Text type, bool is_subject, const Span& span,
                  AttributeWriter& out) {
  out.text(key::kSpanAttributes, span_attributes(type, span.name, context.arena));
  out.texts(key::kTags, context.trace.tags);
  out.text(key::kMetadata, metadata_json(context, is_subject));
}

void paint_subject(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  AttributeWriter out(span.attributes, context.arena);
  if (span.name.empty()) span.name = default_span_name(trace, context.arena);
  span.kind = trace.is_explicit_span ? SpanKind::kInternal : SpanKind::kClient;
  write_common(context, type_of(trace.kind), true, span, out);
  out.text(keys::kRequestModel, trace.model_requested);
  out.text(keys::kResponseModel, trace.model_served);
  out.text(key::kMetrics, metrics_json(trace, context.arena));
  write_outcome(context, slot, StatusCode::kOk, span, out);
  out.text(key::kInput, input_content(trace, context.arena));
  out.text(key::kOutput, output_content(trace, context.arena));
  for (const Metadatum& attribute : trace.attributes) {
    if (attribute.key.starts_with(key::kNamespace)) out.add_outside({}, attribute);
  }
  span.dropped_attributes = trace.metadata_dropped;
}

void paint_level(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kInternal;
  write_common(context, "task", false, span, out);
  write_outcome(context, slot, StatusCode::kOk, span, out);
  if (slot.role == SpanRole::kRoot) {
    out.text(key::kInput, input_content(context.trace, context.arena));
    out.text(key::kOutput, output_content(context.trace, context.arena));
  }
}

void paint_attempt(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kClient;
  out.text(key::kSpanAttributes, span_attributes("task", span.name, context.arena));
  JsonText metadata;
  write_metadata(metadata.writer(), attempt_facts(slot, context.arena), {}, {});
  out.text(key::kMetadata, metadata.finish(context.arena));
  write_outcome(context, slot, StatusCode::kOk, span, out);
}

}  // namespace

SpanSet write_braintrust(const Trace& trace, const DialectOptions& options, Arena& arena) {
  static constexpr Painters kPainters{&paint_level, &paint_subject, &paint_attempt};
  return build_tree({trace, options, arena}, kPainters);
}

}  // namespace sidecast
