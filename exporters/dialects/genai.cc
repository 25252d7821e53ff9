#include "exporters/dialects/genai.h"

#include <algorithm>
#include <cmath>

#include "exporters/dialects/facts.h"
#include "exporters/dialects/keys.h"
#include "exporters/dialects/names.h"

namespace sidecast {
namespace {

// Facts that only OpenAI has names for, and that must not appear under another provider's name.
void write_openai(const Trace& trace, AttributeWriter& out) {
  if (trace.operation == Operation::kChat) out.text(keys::kOpenAiApiType, "chat_completions");
  if (trace.operation == Operation::kResponses) out.text(keys::kOpenAiApiType, "responses");
  const Text tier = trace.parameters.service_tier;
  if (tier != "auto") out.text(keys::kOpenAiRequestServiceTier, tier);
  out.text(keys::kOpenAiResponseServiceTier, trace.service_tier);
  out.text(keys::kOpenAiSystemFingerprint, trace.system_fingerprint);
}

}  // namespace

Text gen_ai_span_name(const Trace& trace, Arena& arena) {
  const Text operation = gen_ai_operation(trace);
  const Text model = model_of(trace);
  if (operation.empty() || model.empty()) return operation.empty() ? model : operation;
  return join({operation, " ", model}, arena);
}

Text default_span_name(const Trace& trace, Arena& arena) {
  return trace.is_explicit_span ? openinference_name(trace) : gen_ai_span_name(trace, arena);
}

void write_gen_ai_call(const DialectContext& context, AttributeWriter& out) {
  const Trace& trace = context.trace;
  const Text provider = provider_names(trace.provider, context.arena).gen_ai;
  out.text(keys::kOperationName, gen_ai_operation(trace));
  out.text(keys::kSystem, provider);
  out.text(keys::kProviderName, provider);
  out.text(keys::kRequestModel, trace.model_requested);
  out.text(keys::kResponseModel, trace.model_served);
  if (!trace.is_explicit_span) {
    out.text(keys::kResponseId,
             trace.response_id.empty() ? trace.identity.generation_id : trace.response_id);
  }
  if (provider == "openai") write_openai(trace, out);
}

void write_gen_ai_parameters(const DialectContext& context, AttributeWriter& out) {
  const Parameters& parameters = context.trace.parameters;
  out.integer(keys::kRequestMaxTokens, parameters.max_tokens);
  out.number(keys::kRequestTemperature, parameters.temperature);
  out.number(keys::kRequestTopP, parameters.top_p);
  if (parameters.top_k && context.options.gen_ai_names == GenAiNames::kDevelopment) {
    out.integer(keys::kRequestTopK, std::llround(std::clamp(*parameters.top_k, 0.0, 1e9)));
  } else {
    out.number(keys::kRequestTopK, parameters.top_k);
  }
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

void write_gen_ai_tokens(const DialectContext& context, AttributeWriter& out) {
  const Usage& usage = context.trace.usage;
  const bool is_released = context.options.gen_ai_names == GenAiNames::kReleased;
  out.integer(keys::kUsageInputTokens, usage.input);
  out.integer(keys::kUsageOutputTokens, usage.output);
  out.integer(keys::kUsageCacheRead, usage.cache_read);
  out.integer(is_released ? keys::kUsageCacheCreation : keys::kUsageCacheWriteTokens,
              usage.cache_write);
  out.integer(keys::kUsageReasoning, usage.reasoning);
}

void write_gen_ai_finish(const DialectContext& context, AttributeWriter& out) {
  out.texts(keys::kResponseFinishReasons, finish_reasons(context.trace, context.arena));
  if (const auto first_token = time_to_first_token(context.trace)) {
    out.number(keys::kResponseTimeToFirstChunk,
               std::chrono::duration<double>(*first_token).count());
  }
}

}  // namespace sidecast
