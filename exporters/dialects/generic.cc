// The generic dialect: OpenTelemetry's GenAI names with OpenRouter's additions, content as JSON
// text in gen_ai.prompt and gen_ai.completion, the user's metadata under trace.metadata.*. Three
// things differ from what OpenRouter sends, on purpose: values have their real types
// (finish_reasons is a list), names of spans make spans, and nothing is sent twice
// (span.metadata.*, span.input).
#include "exporters/dialects/attribute_writer.h"
#include "exporters/dialects/dialects.h"
#include "exporters/dialects/facts.h"
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

void write_outcome(const DialectContext& context, const SpanSlot& slot, Span& span,
                   AttributeWriter& out) {
  const Failure failure = failure_of(context, slot);
  out.text(keys::kSpanLevel, failure.happened ? "ERROR" : "DEFAULT");
  if (failure.happened) {
    out.text(keys::kSpanStatusMessage, span.status_message);
    out.text(keys::kErrorType, failure.type);
    add_exception(context, slot, span);
  } else {
    span.status = StatusCode::kOk;
  }
}

void write_model(const DialectContext& context, const ProviderNames& provider,
                 AttributeWriter& out) {
  const Trace& trace = context.trace;
  out.text(keys::kOperationName, gen_ai_operation(trace));
  out.text(keys::kSystem, provider.gen_ai);
  out.text(keys::kProviderName, provider.gen_ai);
  out.text(keys::kRequestModel, trace.model_requested);
  out.text(keys::kResponseModel, trace.model_served);
  if (!trace.is_explicit_span) {
    out.text(keys::kResponseId,
             trace.response_id.empty() ? trace.identity.generation_id : trace.response_id);
  }
}

// Facts that only OpenAI has names for, and that must not appear under another provider's name.
void write_openai(const Trace& trace, AttributeWriter& out) {
  if (trace.operation == Operation::kChat) out.text(keys::kOpenAiApiType, "chat_completions");
  if (trace.operation == Operation::kResponses) out.text(keys::kOpenAiApiType, "responses");
  const Text tier = trace.parameters.service_tier;
  if (tier != "auto") out.text(keys::kOpenAiRequestServiceTier, tier);
  out.text(keys::kOpenAiResponseServiceTier, trace.service_tier);
  out.text(keys::kOpenAiSystemFingerprint, trace.system_fingerprint);
}

void write_parameters(const Trace& trace, AttributeWriter& out) {
  const Parameters& parameters = trace.parameters;
  out.integer(keys::kRequestMaxTokens, parameters.max_tokens);
  out.number(keys::kRequestTemperature, parameters.temperature);
  out.number(keys::kRequestTopP, parameters.top_p);
  out.number(keys::kRequestTopK, parameters.top_k);
  out.number(keys::kRequestFrequencyPenalty, parameters.frequency_penalty);
  out.number(keys::kRequestPresencePenalty, parameters.presence_penalty);
  out.integer(keys::kRequestSeed, parameters.seed);
  if (parameters.choice_count != 1) {
    out.integer(keys::kRequestChoiceCount, parameters.choice_count);
  }
  if (parameters.stream) out.boolean(keys::kRequestStream, true);
  out.text(keys::kOutputType, parameters.output_type);
  out.texts(keys::kRequestStopSequences, parameters.stop_sequences);
  out.integer(keys::kEmbeddingsDimensionCount, parameters.dimensions);
  if (!parameters.encoding_format.empty()) {
    out.texts(keys::kRequestEncodingFormats, {&parameters.encoding_format, 1});
  }
}

void write_usage(const Trace& trace, AttributeWriter& out) {
  const Usage& usage = trace.usage;
  out.integer(keys::kUsageInputTokens, usage.input);
  out.integer(keys::kUsageOutputTokens, usage.output);
  out.integer(keys::kUsageTotalTokens, total_tokens(usage));
  // Current names, then OpenRouter's: readers know one or the other.
  out.integer(keys::kUsageCacheRead, usage.cache_read);
  out.integer(keys::kUsageCacheCreation, usage.cache_write);
  out.integer(keys::kUsageReasoning, usage.reasoning);
  out.integer(keys::kUsageCached, usage.cache_read);
  out.integer(keys::kUsageCacheWrite, usage.cache_write);
  out.integer(keys::kUsageOutputReasoning, usage.reasoning);
  out.integer(keys::kUsageInputAudio, usage.input_audio);
  out.number(keys::kUsageInputCost, trace.cost.input);
  out.number(keys::kUsageOutputCost, trace.cost.output);
  out.number(keys::kUsageTotalCost, trace.cost.total);
}

void write_finish(const DialectContext& context, AttributeWriter& out) {
  const std::span<const Text> reasons = finish_reasons(context.trace, context.arena);
  if (!reasons.empty()) {
    out.text(keys::kResponseFinishReason, reasons.front());
    out.texts(keys::kResponseFinishReasons, reasons);
  }
  if (const auto first_token = time_to_first_token(context.trace)) {
    out.number(keys::kResponseTimeToFirstChunk,
               std::chrono::duration<double>(*first_token).count());
  }
}

void paint_generation(const DialectContext& context, const SpanSlot& slot, Span& span) {
  const Trace& trace = context.trace;
  Arena& arena = context.arena;
  AttributeWriter out(span.attributes, arena);
  const ProviderNames provider = provider_names(trace.provider, arena);
  if (span.name.empty()) {
    const Text operation = gen_ai_operation(trace);
    const Text model = model_of(trace);
    span.name = model.empty() ? operation : join({operation, " ", model}, arena);
  }
  span.kind = SpanKind::kClient;
  out.text(keys::kSpanType, "generation");
  write_common(context, out);
  write_model(context, provider, out);
  if (provider.gen_ai == "openai") write_openai(trace, out);
  write_parameters(trace, out);
  write_usage(trace, out);
  write_finish(context, out);
  write_outcome(context, slot, span, out);
  out.text(keys::kPrompt, input_json(trace, arena));
  out.text(keys::kCompletion, output_json(trace, arena));
  out.text(keys::kRetrievalDocumentsGenAi, ranking_json(trace, arena));
  out.text(keys::kToolDefinitions, tools_json(trace, arena));
  write_metadata(context, out);
  out.add_outside(keys::kTraceGatewayPrefix, gateway_facts(trace, arena));
  out.add_outside({}, trace.attributes);
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
  out.add_outside({}, trace.attributes);
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
  write_outcome(context, slot, span, out);
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
  write_outcome(context, slot, span, out);
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
