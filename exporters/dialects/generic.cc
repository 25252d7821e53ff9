// The generic dialect: OpenTelemetry's GenAI names with OpenRouter's additions, content as JSON
// text in gen_ai.prompt and gen_ai.completion, the user's metadata under trace.metadata.*. Three
// things differ from what OpenRouter sends, on purpose: values have their real types
// (finish_reasons is a list), names of spans make spans, and nothing is sent twice
// (span.metadata.*, span.input).
#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/dialects.h"
#include "exporters/dialects/facts.h"
#include "exporters/dialects/genai.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/messages.h"
#include "exporters/dialects/names.h"
#include "exporters/dialects/tree.h"

namespace sidecast {
namespace {

void write_common(const DialectContext& context, AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(keys::kTraceName, trace.settings.trace_name);
  out.text(keys::kSessionId, trace.identity.session_id);
  out.text(keys::kUserId, trace.identity.user_id);
  out.texts(keys::kTraceTags, trace.tags);
}

void write_metadata(const DialectContext& context, AttributeWriter& out) {
  out.add_outside(keys::kTraceMetadataPrefix, context.trace.metadata);
  out.add_outside(keys::kTraceMetadataPrefix, unused_settings(context));
}

void write_level(const DialectContext& context, const SpanSlot& slot, Span& span,
                 AttributeWriter& out) {
  const Failure failure = failure_of(context, slot);
  out.text(keys::kSpanLevel, failure.happened ? "ERROR" : "DEFAULT");
  if (failure.happened) out.text(keys::kSpanStatusMessage, span.status_message);
  write_outcome(context, slot, StatusCode::kOk, span, out);
}

void write_usage(const DialectContext& context, AttributeWriter& out) {
  const Usage& usage = context.trace.usage;
  write_gen_ai_tokens(context, out);
  out.integer(keys::kUsageTotalTokens, total_tokens(usage));
  // OpenRouter's names of the same: readers know one or the other.
  out.integer(keys::kUsageCached, usage.cache_read);
  out.integer(keys::kUsageCacheWrite, usage.cache_write);
  out.integer(keys::kUsageOutputReasoning, usage.reasoning);
  out.integer(keys::kUsageInputAudio, usage.input_audio);
  out.number(keys::kUsageInputCost, context.trace.cost.input);
  out.number(keys::kUsageOutputCost, context.trace.cost.output);
  out.number(keys::kUsageTotalCost, context.trace.cost.total);
}

void paint_generation(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  Arena& arena = context.arena;
  AttributeWriter out(span.attributes, arena);
  if (span.name.empty()) span.name = gen_ai_span_name(trace, arena);
  span.kind = SpanKind::kClient;
  out.text(keys::kSpanType, "generation");
  write_common(context, out);
  write_gen_ai_call(context, out);
  write_gen_ai_parameters(context, out);
  write_usage(context, out);
  const std::span<const Text> reasons = finish_reasons(trace, arena);
  if (!reasons.empty()) out.text(keys::kResponseFinishReason, reasons.front());
  write_gen_ai_finish(context, out);
  write_level(context, slot, span, out);
  out.text(keys::kPrompt, input_json(trace, arena));
  out.text(keys::kCompletion, output_json(trace, arena));
  out.text(keys::kRetrievalDocumentsGenAi, ranking_json(trace, arena));
  out.text(keys::kToolDefinitions, tools_json(trace, arena));
  write_metadata(context, out);
  out.add_outside(keys::kTraceGatewayPrefix, gateway_facts(trace, arena));
  write_attributes(trace, out);
  span.dropped_attributes = trace.metadata_dropped;
}

// Where the conventions have a name for what an explicit span took and gave.
struct ContentKeys {
  Text name;
  Text input;
  Text output;
};

ContentKeys content_keys(TraceKind kind) noexcept {
  switch (kind) {
    case TraceKind::kTool:
      return {keys::kToolNameGenAi, keys::kToolCallArguments, keys::kToolCallResult};
    case TraceKind::kRetriever:
      return {{}, keys::kRetrievalQueryText, keys::kRetrievalDocumentsGenAi};
    case TraceKind::kAgent:
      return {keys::kAgentNameGenAi, keys::kSpanInput, keys::kSpanOutput};
    case TraceKind::kChain:
      return {keys::kWorkflowName, keys::kSpanInput, keys::kSpanOutput};
    case TraceKind::kLlm:
      return {{}, keys::kPrompt, keys::kCompletion};
    default:
      return {{}, keys::kSpanInput, keys::kSpanOutput};
  }
}

void paint_explicit(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  AttributeWriter out(span.attributes, context.arena);
  const ContentKeys content = content_keys(trace.kind);
  if (span.name.empty()) {
    const Text operation = gen_ai_operation(trace);
    span.name = operation.empty() ? openinference_name(trace) : operation;
  }
  span.kind = trace.kind == TraceKind::kLlm ? SpanKind::kClient : SpanKind::kInternal;
  // What the gateway says about its own span goes before what we would make of it.
  write_attributes(trace, out);
  const auto unless_given = [&out](Text key, Text value) {
    if (!key.empty() && !out.has(key)) out.text(key, value);
  };
  unless_given(keys::kSpanType, "span");
  unless_given(keys::kTraceName, trace.settings.trace_name);
  unless_given(keys::kSessionId, trace.identity.session_id);
  unless_given(keys::kUserId, trace.identity.user_id);
  unless_given(keys::kOperationName, gen_ai_operation(trace));
  unless_given(keys::kRequestModel, trace.model_requested);
  unless_given(content.name, trace.name);
  const bool is_llm = trace.kind == TraceKind::kLlm;
  unless_given(content.input, is_llm ? input_json(trace, context.arena) : trace.input_value);
  unless_given(content.output, is_llm ? output_json(trace, context.arena) : trace.output_value);
  if (!out.has(keys::kTraceTags)) out.texts(keys::kTraceTags, trace.tags);
  write_metadata(context, out);
  out.add_outside(keys::kTraceGatewayPrefix, gateway_facts(trace, context.arena));
  const Failure failure = failure_of(context, slot);
  unless_given(keys::kSpanLevel, failure.happened ? "ERROR" : "DEFAULT");
  if (failure.happened) unless_given(keys::kErrorType, failure.type);
  if (!failure.happened) span.status = StatusCode::kOk;
  add_exception(context, slot, span);
  span.dropped_attributes = trace.metadata_dropped;
}

void paint_level(const DialectContext& context, const SpanSlot& slot, Span& span) {
  AttributeWriter out(span.attributes, context.arena);
  span.kind = SpanKind::kInternal;
  out.text(keys::kSpanType, "span");
  write_common(context, out);
  write_level(context, slot, span, out);
  if (slot.role == SpanRole::kRoot) {
    out.text(keys::kTraceInput, input_json(context.trace, context.arena));
    out.text(keys::kTraceOutput, output_json(context.trace, context.arena));
  }
  write_metadata(context, out);
}

void paint_attempt(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Attempt& attempt = *slot.attempt;
  AttributeWriter out(span.attributes, context.arena);
  const ProviderNames provider = provider_names(attempt.provider, context.arena);
  span.kind = SpanKind::kClient;
  out.text(keys::kSpanType, "span");
  out.text(keys::kOperationName, gen_ai_operation(context.trace));
  out.text(keys::kSystem, provider.gen_ai);
  out.text(keys::kProviderName, provider.gen_ai);
  out.text(keys::kRequestModel,
           attempt.model.empty() ? context.trace.model_requested : attempt.model);
  out.integer(keys::kSpanAttemptIndex, static_cast<std::int64_t>(slot.attempt_index));
  if (attempt.http_status != 0) out.integer(keys::kSpanStatusCode, attempt.http_status);
  out.text(keys::kSpanEndpoint, attempt.endpoint);
  write_level(context, slot, span, out);
}

void paint(const DialectContext& context, const SpanSlot& slot, Span& span) {
  span.attributes.reserve(slot.role == SpanRole::kAttempt ? 16
                                                          : 64 + context.trace.metadata.size());
  switch (slot.role) {
    case SpanRole::kRoot:
    case SpanRole::kGroup:
      return paint_level(context, slot, span);
    case SpanRole::kGeneration:
      return paint_generation(context, slot, span);
    case SpanRole::kAttempt:
      return paint_attempt(context, slot, span);
    case SpanRole::kExplicit:
      return paint_explicit(context, slot, span);
  }
}

}  // namespace

SpanSet write_generic(const Trace& trace, const DialectOptions& options, Arena& arena) {
  return build_tree({trace, options, arena}, &paint);
}

}  // namespace sidecast
