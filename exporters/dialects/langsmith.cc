// The LangSmith dialect. langsmith.usage_metadata replaces flat token counts on ingest and is the
// only way in for their details and for costs. The conversation goes into metadata on every span:
// langsmith.trace.session_id would be the project.
#include "exporters/dialects/content.h"
#include "exporters/dialects/dialects.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/genai.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"

namespace sidecast {
namespace {

namespace key = keys::langsmith;

Text run_type(TraceKind kind) noexcept {
  switch (kind) {
    case TraceKind::kLlm:
      return "llm";
    case TraceKind::kEmbedding:
      return "embedding";
    case TraceKind::kRetriever:
    case TraceKind::kReranker:
      return "retriever";
    case TraceKind::kTool:
      return "tool";
    case TraceKind::kPrompt:
      return "prompt";
    default:
      return "chain";
  }
}

Text joined_tags(const Trace& trace, Arena& arena) {
  Text all;
  for (const Text tag : trace.tags) all = all.empty() ? tag : join({all, ",", tag}, arena);
  return all;
}

void write_run(const DialectContext& context, Text kind, const Span& span, AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(key::kKind, kind);
  out.text(key::kName, span.name);
  out.text(key::kUserId, trace.identity.user_id);
  out.text(key::kSessionId, trace.identity.session_id);
  out.text(key::kThreadId, trace.identity.session_id);
  out.text(key::kTags, joined_tags(trace, context.arena));
  out.add_outside(key::kMetadata, metadata_without(trace, {"tags"}, context.arena));
  out.add_outside(key::kMetadata, unused_settings(context));
}

Text usage_metadata(const Trace& trace, Arena& arena) {
  const Usage& usage = trace.usage;
  const Text input_details = json_object(arena, [&usage](JsonMembers& json) {
    json.integer("audio", usage.input_audio);
    json.integer("cache_creation", usage.cache_write);
    json.integer("cache_read", usage.cache_read);
  });
  const Text output_details = json_object(arena, [&usage](JsonMembers& json) {
    json.integer("audio", usage.output_audio);
    json.integer("reasoning", usage.reasoning);
  });
  return json_object(arena, [&](JsonMembers& json) {
    json.integer("input_tokens", usage.input);
    json.integer("output_tokens", usage.output);
    json.integer("total_tokens", total_tokens(usage));
    json.json("input_token_details", input_details);
    json.json("output_token_details", output_details);
    json.number("input_cost", trace.cost.input);
    json.number("output_cost", trace.cost.output);
    json.number("total_cost", trace.cost.total);
  });
}

void paint_subject(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  AttributeWriter out(span.attributes, context.arena);
  if (span.name.empty()) span.name = default_span_name(trace, context.arena);
  span.kind = trace.is_explicit_span ? SpanKind::kInternal : SpanKind::kClient;
  write_run(context, run_type(trace.kind), span, out);
  write_gen_ai_call(context, out);
  write_gen_ai_parameters(context, out);
  write_gen_ai_finish(context, out);
  out.text(key::kUsage, usage_metadata(trace, context.arena));
  write_outcome(context, slot, StatusCode::kOk, span, out);
  out.text(keys::kPrompt, input_json(trace, context.arena));
  out.text(keys::kCompletion, output_messages_object(trace, context.arena));
  out.text(keys::kToolDefinitions, tools_json(trace, context.arena));
  out.add_outside(key::kGateway, gateway_facts(trace, context.arena));
  write_attributes(trace, key::kNamespace, key::kMetadata, out);
  span.dropped_attributes = trace.metadata_dropped;
}

void paint_level(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kInternal;
  write_run(context, "chain", span, out);
  write_outcome(context, slot, StatusCode::kOk, span, out);
  if (slot.role == SpanRole::kRoot) {
    out.text(keys::kPrompt, input_json(context.trace, context.arena));
    out.text(keys::kCompletion, output_messages_object(context.trace, context.arena));
  }
}

void paint_attempt(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kClient;
  write_run(context, "chain", span, out);
  write_outcome(context, slot, StatusCode::kOk, span, out);
  out.add_outside(key::kMetadata, attempt_facts(slot, context.arena));
}

}  // namespace

SpanSet write_langsmith(const Trace& trace, const DialectOptions& options, Arena& arena) {
  static constexpr Painters kPainters{&paint_level, &paint_subject, &paint_attempt};
  return build_tree({trace, options, arena}, kPainters);
}

}  // namespace sidecast
