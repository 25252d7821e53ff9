// The Datadog dialect, for LLM Observability over OTLP, which reads OpenTelemetry's GenAI names
// from version 1.37 on and nothing else. It computes costs itself; ours are kept as metadata. The
// application is the resource's service.name.
#include "exporters/dialects/dialects.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/genai.h"
#include "exporters/dialects/genai_messages.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/names.h"

namespace sidecast {
namespace {

// The user's metadata and the gateway's facts: plain attributes under one prefix.
void write_common(const DialectContext& context, std::span<const Metadatum> facts,
                  AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(keys::kUserId, trace.identity.user_id);
  out.text(keys::kSessionId, trace.identity.session_id);
  out.text(keys::kConversationId, trace.identity.session_id);
  out.texts(keys::kTags, trace.tags);
  out.add_outside(keys::kMetadataPrefix, metadata_without(trace, {"tags"}, context.arena));
  out.add_outside(keys::kMetadataPrefix, unused_settings(context));
  out.add_outside(keys::kMetadataGatewayPrefix, facts);
}

void paint_subject(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  AttributeWriter out(span.attributes, context.arena);
  if (span.name.empty()) span.name = default_span_name(trace, context.arena);
  span.kind = trace.is_explicit_span ? SpanKind::kInternal : SpanKind::kClient;
  write_gen_ai_call(context, out);
  write_gen_ai_parameters(context, out);
  write_gen_ai_tokens(context, out);
  write_gen_ai_finish(context, out);
  write_outcome(context, slot, StatusCode::kUnset, span, out);
  write_gen_ai_content(context, out);
  ArenaVector<Metadatum> facts = gateway_facts(trace, context.arena);
  add_cost_facts(trace, facts);
  write_common(context, facts, out);
  write_attributes(trace, out);
  span.dropped_attributes = trace.metadata_dropped;
}

void paint_level(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kInternal;
  // The root of an LLM trace is a workflow to it.
  out.text(keys::kOperationName, "invoke_workflow");
  out.text(keys::kWorkflowName, span.name);
  write_outcome(context, slot, StatusCode::kUnset, span, out);
  if (slot.role == SpanRole::kRoot) {
    out.text(keys::kInputMessages, gen_ai_input_messages(context));
    out.text(keys::kOutputMessages, gen_ai_output_messages(context));
  }
  write_common(context, {}, out);
}

void paint_attempt(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kClient;
  out.text(keys::kSessionId, context.trace.identity.session_id);
  out.add_outside(keys::kMetadataPrefix, attempt_facts(slot, context.arena));
  write_outcome(context, slot, StatusCode::kUnset, span, out);
}

}  // namespace

SpanSet write_datadog(const Trace& trace, const DialectOptions& options, Arena& arena) {
  static constexpr Painters kPainters{&paint_level, &paint_subject, &paint_attempt};
  return build_tree({trace, options, arena}, kPainters);
}

}  // namespace sidecast
