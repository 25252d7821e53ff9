// The Langfuse dialect. Usage goes out as usage_details alone: every numeric gen_ai.usage.* would
// become a usage type of its own there. Its types are disjoint (it sums and prices each), so input
// is without cached tokens and output without reasoning.
#include <algorithm>
#include <array>

#include "exporters/dialects/content.h"
#include "exporters/dialects/dialects.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/genai.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/names.h"
#include "exporters/dialects/times.h"

namespace sidecast {
namespace {

namespace key = keys::langfuse;

Text type_of(TraceKind kind) noexcept {
  switch (kind) {
    case TraceKind::kLlm:
    case TraceKind::kReranker:  // a model call with tokens and cost, for which it has no other
      return "generation";
    case TraceKind::kEmbedding:
      return "embedding";
    case TraceKind::kChain:
      return "chain";
    case TraceKind::kRetriever:
      return "retriever";
    case TraceKind::kTool:
      return "tool";
    case TraceKind::kAgent:
      return "agent";
    case TraceKind::kGuardrail:
      return "guardrail";
    case TraceKind::kEvaluator:
      return "evaluator";
    case TraceKind::kPrompt:
    case TraceKind::kUnknown:
      break;
  }
  return "span";
}

// On every span, so that its filters work.
void write_trace_fields(const DialectContext& context, AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(key::kTraceName, trace.settings.trace_name);
  out.text(key::kUserId, trace.identity.user_id);
  out.text(key::kSessionId, trace.identity.session_id);
  out.texts(key::kTraceTags, trace.tags);
  out.text(key::kEnvironment, metadata_text(trace, "environment"));
  out.text(key::kRelease, metadata_text(trace, "release"));
  out.add_outside(key::kTraceMetadata,
                  metadata_without(trace, {"environment", "release", "tags"}, context.arena));
  out.add_outside(key::kTraceMetadata, unused_settings(context));
}

void write_ending(const DialectContext& context, const SpanSlot& slot, Span& span,
                  AttributeWriter& out) {
  const bool failed = failure_of(context, slot).happened;
  out.text(key::kLevel, failed ? "ERROR" : "DEFAULT");
  if (failed) out.text(key::kStatusMessage, span.status_message);
  write_outcome(context, slot, StatusCode::kOk, span, out);
}

std::optional<std::int64_t> without(std::optional<std::int64_t> all,
                                    std::initializer_list<std::optional<std::int64_t>> parts) {
  if (!all) return all;
  for (const auto& part : parts) *all -= std::clamp<std::int64_t>(part.value_or(0), 0, *all);
  return all;
}

Text usage_details(const Usage& usage, Arena& arena) {
  return json_object(arena, [&usage](JsonMembers& json) {
    json.integer("input", without(usage.input, {usage.cache_read, usage.cache_write}));
    json.integer("output", without(usage.output, {usage.reasoning}));
    json.integer("total", total_tokens(usage));
    json.integer("input_cached_tokens", usage.cache_read);
    json.integer("input_cache_creation", usage.cache_write);
    json.integer("output_reasoning_tokens", usage.reasoning);
  });
}

Text cost_details(const Cost& cost, Arena& arena) {
  return json_object(arena, [&cost](JsonMembers& json) {
    json.number("input", cost.input);
    json.number("output", cost.output);
    json.number("total", cost.total);
  });
}

void write_call(const DialectContext& context, AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(key::kModelName, model_of(trace));
  out.text(key::kModelParameters, trace.parameters.json);
  out.text(key::kUsageDetails, usage_details(trace.usage, context.arena));
  out.text(key::kCostDetails, cost_details(trace.cost, context.arena));
  if (time_to_first_token(trace)) {
    std::array<char, kIsoTimeBytes> text;
    out.text(key::kCompletionStart, context.arena.copy(iso_time(*trace.first_token, text)));
  }
}

void paint_observation(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  AttributeWriter out(span.attributes, context.arena);
  if (span.name.empty()) span.name = default_span_name(trace, context.arena);
  span.kind = trace.is_explicit_span ? SpanKind::kInternal : SpanKind::kClient;
  out.text(key::kType, type_of(trace.kind));
  write_trace_fields(context, out);
  write_ending(context, slot, span, out);
  write_call(context, out);
  out.text(key::kInput, input_content(trace, context.arena));
  out.text(key::kOutput, output_content(trace, context.arena));
  out.add_outside(key::kGateway, gateway_facts(trace, context.arena));
  write_attributes(trace, key::kNamespace, key::kMetadata, out);
  span.dropped_attributes = trace.metadata_dropped;
}

void paint_level(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kInternal;
  out.text(key::kType, "span");
  write_trace_fields(context, out);
  write_ending(context, slot, span, out);
  if (slot.role == SpanRole::kRoot) {
    out.text(key::kTraceInput, input_content(context.trace, context.arena));
    out.text(key::kTraceOutput, output_content(context.trace, context.arena));
  }
}

void paint_attempt(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kClient;
  out.text(key::kType, "span");
  out.text(key::kUserId, context.trace.identity.user_id);
  out.text(key::kSessionId, context.trace.identity.session_id);
  write_ending(context, slot, span, out);
  out.add_outside(key::kMetadata, attempt_facts(slot, context.arena));
}

}  // namespace

SpanSet write_langfuse(const Trace& trace, const DialectOptions& options, Arena& arena) {
  static constexpr Painters kPainters{&paint_level, &paint_observation, &paint_attempt};
  SpanSet set = build_tree({trace, options, arena}, kPainters);
  AttributeWriter resource(set.resource, arena);
  for (const auto& promoted : {std::pair(key::kEnvironment, Text("environment")),
                               std::pair(key::kRelease, Text("release"))}) {
    if (!resource.has(promoted.first)) {
      resource.text(promoted.first, metadata_text(trace, promoted.second));
    }
  }
  return set;
}

}  // namespace sidecast
