// The Opik dialect. Two traps shape it: a name none of its rules knows is shown as input, so
// nothing goes out under any other; and a gen_ai.usage.* that is no integer fails the whole
// request.
#include "exporters/dialects/content.h"
#include "exporters/dialects/dialects.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/genai.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"

namespace sidecast {
namespace {

namespace key = keys::opik;

// Rules for gen_ai.request.* would put parameters into the input.
void write_call(const DialectContext& context, AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(keys::kRequestModel, trace.model_requested);
  out.text(keys::kResponseModel, trace.model_served);
  out.text(keys::kSystem, provider_names(trace.provider, context.arena).gen_ai);
  out.text(keys::kResponseId, trace.response_id);
  out.texts(keys::kResponseFinishReasons, finish_reasons(trace, context.arena));
  out.text(key::kParameters, trace.parameters.json);
  write_gen_ai_tokens(context, out);
  out.integer(keys::kUsageTotalTokens, total_tokens(trace.usage));
  out.number(key::kCostInput, trace.cost.input);
  out.number(key::kCostOutput, trace.cost.output);
  out.number(key::kCostTotal, trace.cost.total);
}

// Opik makes ids of its own: the caller's trace id is kept as he wrote it.
void write_common(const DialectContext& context, Text kind, AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(key::kSpanKind, kind);
  out.text(keys::kConversationId, trace.identity.session_id);
  out.text(key::kUserId, trace.identity.user_id);
  out.text(key::kTraceId, trace.settings.trace_id_text);
  out.texts(key::kTags, trace.tags);
  out.add_outside(key::kMetadata, metadata_without(trace, {"tags"}, context.arena));
  out.add_outside(key::kMetadata, unused_settings(context));
}

void write_content(const Trace& trace, Arena& arena, AttributeWriter& out) {
  out.text(keys::kPrompt, input_json(trace, arena));
  out.text(keys::kCompletion, output_messages_object(trace, arena));
}

void paint_subject(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  AttributeWriter out(span.attributes, context.arena);
  if (span.name.empty()) span.name = default_span_name(trace, context.arena);
  span.kind = trace.is_explicit_span ? SpanKind::kInternal : SpanKind::kClient;
  write_common(context, openinference_kind(trace.kind), out);
  write_call(context, out);
  write_outcome(context, slot, StatusCode::kOk, span, out);
  write_content(trace, context.arena, out);
  out.add_outside(key::kGateway, gateway_facts(trace, context.arena));
  write_attributes(trace, key::kNamespace, key::kMetadata, out);
  span.dropped_attributes = trace.metadata_dropped;
}

void paint_level(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kInternal;
  write_common(context, "CHAIN", out);
  write_outcome(context, slot, StatusCode::kOk, span, out);
  if (slot.role == SpanRole::kRoot) write_content(context.trace, context.arena, out);
}

void paint_attempt(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kClient;
  out.text(keys::kConversationId, context.trace.identity.session_id);
  out.add_outside(key::kMetadata, attempt_facts(slot, context.arena));
  write_outcome(context, slot, StatusCode::kOk, span, out);
}

}  // namespace

SpanSet write_opik(const Trace& trace, const DialectOptions& options, Arena& arena) {
  static constexpr Painters kPainters{&paint_level, &paint_subject, &paint_attempt};
  return build_tree({trace, options, arena}, kPainters);
}

}  // namespace sidecast
