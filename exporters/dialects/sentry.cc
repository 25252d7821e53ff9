// The Sentry dialect: OpenTelemetry's GenAI names as sentry-conventions has them. It drops span
// events, so error texts stand in status and attributes too, and it adds tokens and costs up over
// spans, so they stand on the generation alone.
#include "exporters/dialects/dialects.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/genai.h"
#include "exporters/dialects/genai_messages.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/names.h"

namespace sidecast {
namespace {

namespace key = keys::sentry;

void write_common(const DialectContext& context, AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(keys::kUserId, trace.identity.user_id);
  out.text(keys::kSessionId, trace.identity.session_id);
  out.text(keys::kConversationId, trace.identity.session_id);
  out.texts(keys::kTraceTags, trace.tags);
  out.add_outside(keys::kTraceMetadataPrefix, metadata_without(trace, {"tags"}, context.arena));
  out.add_outside(keys::kTraceMetadataPrefix, unused_settings(context));
}

void write_ending(const DialectContext& context, const SpanSlot& slot, Span& span,
                  AttributeWriter& out) {
  if (failure_of(context, slot).happened) out.text(keys::kSpanStatusMessage, span.status_message);
  write_outcome(context, slot, StatusCode::kUnset, span, out);
}

void paint_subject(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  AttributeWriter out(span.attributes, context.arena);
  if (span.name.empty()) span.name = default_span_name(trace, context.arena);
  span.kind = trace.is_explicit_span ? SpanKind::kInternal : SpanKind::kClient;
  write_gen_ai_call(context, out);
  write_common(context, out);
  write_gen_ai_parameters(context, out);
  write_gen_ai_tokens(context, out);
  out.integer(keys::kUsageTotalTokens, total_tokens(trace.usage));
  out.number(key::kCostInput, trace.cost.input);
  out.number(key::kCostOutput, trace.cost.output);
  out.number(key::kCostTotal, trace.cost.total);
  write_gen_ai_finish(context, out);
  if (trace.parameters.stream) out.boolean(key::kStreaming, true);
  write_ending(context, slot, span, out);
  write_gen_ai_content(context, out);
  out.add_outside(keys::kTraceGatewayPrefix, gateway_facts(trace, context.arena));
  write_attributes(trace, out);
  span.dropped_attributes = trace.metadata_dropped;
}

void paint_level(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kInternal;
  write_common(context, out);
  write_ending(context, slot, span, out);
}

void paint_attempt(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kClient;
  out.text(keys::kSessionId, context.trace.identity.session_id);
  out.add_outside(keys::kTraceMetadataPrefix, attempt_facts(slot, context.arena));
  write_ending(context, slot, span, out);
}

}  // namespace

SpanSet write_sentry(const Trace& trace, const DialectOptions& options, Arena& arena) {
  static constexpr Painters kPainters{&paint_level, &paint_subject, &paint_attempt};
  return build_tree({trace, options, arena}, kPainters);
}

}  // namespace sidecast
