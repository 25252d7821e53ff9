// The MLflow dialect: its own names for kind, content, usage and cost, GenAI names for the rest.
// User and session are read from the root span, so they stand on every one.
#include "exporters/dialects/content.h"
#include "exporters/dialects/dialects.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/genai.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"

namespace sidecast {
namespace {

namespace key = keys::mlflow;

Text type_of(const Trace& trace) noexcept {
  switch (trace.kind) {
    case TraceKind::kLlm:
      return trace.operation == Operation::kCompletions ? "LLM" : "CHAT_MODEL";
    case TraceKind::kUnknown:
      return "UNKNOWN";
    case TraceKind::kPrompt:
      return "PARSER";  // the nearest it has: text made from text
    default:
      return openinference_kind(trace.kind);  // the same words
  }
}

void write_common(const DialectContext& context, Text type, AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(key::kSpanType, type);
  out.text(keys::kUserId, trace.identity.user_id);
  out.text(keys::kSessionId, trace.identity.session_id);
  out.texts(keys::kTags, trace.tags);
  out.add_outside(keys::kMetadataPrefix, metadata_without(trace, {"tags"}, context.arena));
  out.add_outside(keys::kMetadataPrefix, unused_settings(context));
}

Text cost_json(const Cost& cost, Arena& arena) {
  return json_object(arena, [&cost](JsonMembers& json) {
    json.number("input_cost", cost.input);
    json.number("output_cost", cost.output);
    json.number("total_cost", cost.total);
  });
}

void write_content(const Trace& trace, Arena& arena, AttributeWriter& out) {
  out.text(key::kInputs, trace.is_explicit_span && trace.input_messages.empty()
                             ? input_content(trace, arena)
                             : input_json(trace, arena));
  out.text(key::kOutputs, output_choices(trace, arena));
}

void paint_subject(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  AttributeWriter out(span.attributes, context.arena);
  if (span.name.empty()) span.name = default_span_name(trace, context.arena);
  span.kind = trace.is_explicit_span ? SpanKind::kInternal : SpanKind::kClient;
  write_common(context, type_of(trace), out);
  write_gen_ai_call(context, out);
  write_gen_ai_parameters(context, out);
  write_gen_ai_tokens(context, out);
  write_gen_ai_finish(context, out);
  out.text(key::kCost, cost_json(trace.cost, context.arena));
  write_outcome(context, slot, StatusCode::kOk, span, out);
  write_content(trace, context.arena, out);
  out.text(keys::kToolDefinitions, tools_json(trace, context.arena));
  out.add_outside(keys::kMetadataGatewayPrefix, gateway_facts(trace, context.arena));
  write_attributes(trace, key::kNamespace, keys::kMetadataPrefix, out);
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
  out.text(key::kSpanType, "CHAIN");
  out.text(keys::kSessionId, context.trace.identity.session_id);
  out.add_outside(keys::kMetadataPrefix, attempt_facts(slot, context.arena));
  write_outcome(context, slot, StatusCode::kOk, span, out);
}

}  // namespace

SpanSet write_mlflow(const Trace& trace, const DialectOptions& options, Arena& arena) {
  static constexpr Painters kPainters{&paint_level, &paint_subject, &paint_attempt};
  return build_tree({trace, options, arena}, kPainters);
}

}  // namespace sidecast
