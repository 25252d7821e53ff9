// The Weave dialect, for its /otel route. It takes the first name it finds of each list, so one
// name of each is sent; its own free attributes live under wandb.attributes.
#include "exporters/dialects/content.h"
#include "exporters/dialects/dialects.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/genai.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"

namespace sidecast {
namespace {

namespace key = keys::weave;

Text kind_of(TraceKind kind) noexcept {
  switch (kind) {
    case TraceKind::kLlm:
      return "llm";
    case TraceKind::kEmbedding:
      return "embedding";
    case TraceKind::kRetriever:
      return "retriever";
    case TraceKind::kReranker:
      return "reranker";
    case TraceKind::kTool:
      return "tool";
    case TraceKind::kAgent:
      return "agent";
    case TraceKind::kGuardrail:
      return "guardrail";
    case TraceKind::kEvaluator:
      return "evaluator";
    case TraceKind::kPrompt:
      return "prompt";
    case TraceKind::kChain:
      return "chain";
    case TraceKind::kUnknown:
      break;
  }
  return "unknown";
}

void write_common(const DialectContext& context, Text kind, const Span& span,
                  AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(key::kSpanKind, kind);
  out.text(key::kDisplayName, span.name);
  out.text(key::kThreadId, trace.identity.session_id);
  // A turn of the thread is what has no parent of ours.
  if (!trace.identity.session_id.empty() && span.parent_span_id.is_zero()) {
    out.boolean(key::kIsTurn, true);
  }
  out.text(key::kUserId, trace.identity.user_id);
  out.text(key::kSessionId, trace.identity.session_id);
  out.texts(key::kTags, trace.tags);
  out.add_outside(key::kAttributes, metadata_without(trace, {"tags"}, context.arena));
  out.add_outside(key::kAttributes, unused_settings(context));
}

void write_call(const Trace& trace, Arena& arena, AttributeWriter& out) {
  const ProviderNames provider = provider_names(trace.provider, arena);
  out.text(keys::kResponseModel, model_of(trace));
  out.text(keys::kSystem, provider.gen_ai);
  out.text(keys::kLlmProvider, provider.openinference);
  out.text(keys::kLlmInvocationParameters, trace.parameters.json);
  out.integer(key::kPromptTokens, trace.usage.input);
  out.integer(key::kCompletionTokens, trace.usage.output);
}

// What its usage has no place for; costs it computes itself, from the model's name.
ArenaVector<Metadatum> facts_of(const Trace& trace, Arena& arena) {
  ArenaVector<Metadatum> facts = gateway_facts(trace, arena);
  add_cost_facts(trace, facts);
  const auto add = [&facts](Text name, std::optional<std::int64_t> value) {
    if (value) facts.push_back({name, *value, false});
  };
  add("cache_read_tokens", trace.usage.cache_read);
  add("cache_write_tokens", trace.usage.cache_write);
  add("reasoning_tokens", trace.usage.reasoning);
  const std::span<const Text> reasons = finish_reasons(trace, arena);
  if (!reasons.empty()) facts.push_back({"finish_reason", reasons.front(), false});
  return facts;
}

void write_content(const Trace& trace, Arena& arena, AttributeWriter& out) {
  out.text(keys::kPrompt, input_content(trace, arena));
  out.text(keys::kCompletion, output_choices(trace, arena));
}

void paint_subject(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  AttributeWriter out(span.attributes, context.arena);
  if (span.name.empty()) span.name = default_span_name(trace, context.arena);
  span.kind = trace.is_explicit_span ? SpanKind::kInternal : SpanKind::kClient;
  write_common(context, kind_of(trace.kind), span, out);
  write_call(trace, context.arena, out);
  write_outcome(context, slot, StatusCode::kOk, span, out);
  write_content(trace, context.arena, out);
  out.add_outside(key::kGateway, facts_of(trace, context.arena));
  write_attributes(trace, key::kNamespace, key::kAttributes, out);
  span.dropped_attributes = trace.metadata_dropped;
}

void paint_level(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kInternal;
  write_common(context, "chain", span, out);
  write_outcome(context, slot, StatusCode::kOk, span, out);
  if (slot.role == SpanRole::kRoot) write_content(context.trace, context.arena, out);
}

void paint_attempt(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kClient;
  out.text(key::kSpanKind, "chain");
  out.text(key::kThreadId, context.trace.identity.session_id);
  out.add_outside(key::kAttributes, attempt_facts(slot, context.arena));
  write_outcome(context, slot, StatusCode::kOk, span, out);
}

}  // namespace

SpanSet write_weave(const Trace& trace, const DialectOptions& options, Arena& arena) {
  static constexpr Painters kPainters{&paint_level, &paint_subject, &paint_attempt};
  return build_tree({trace, options, arena}, kPainters);
}

}  // namespace sidecast
