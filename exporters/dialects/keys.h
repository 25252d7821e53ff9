// Every attribute name a dialect writes, once. Where they come from: OpenInference's specification,
// OpenTelemetry's GenAI conventions v1.41.1, and what OpenRouter sends (reference "conventions").
// A test checks each emitted name against those lists.
#pragma once

#include "engine/base/bytes.h"

namespace sidecast::keys {

// Both conventions, and plain OpenTelemetry.
inline constexpr Text kSidecastPrefix = "sidecast.";  // for names that are not a gateway's to give
inline constexpr Text kServiceName = "service.name";
inline constexpr Text kSessionId = "session.id";
inline constexpr Text kUserId = "user.id";
inline constexpr Text kErrorType = "error.type";
inline constexpr Text kException = "exception";  // an event's name
inline constexpr Text kExceptionType = "exception.type";
inline constexpr Text kExceptionMessage = "exception.message";

// OpenTelemetry GenAI.
inline constexpr Text kOperationName = "gen_ai.operation.name";
inline constexpr Text kProviderName = "gen_ai.provider.name";
inline constexpr Text kSystem = "gen_ai.system";  // deprecated, still the most widely read
inline constexpr Text kRequestModel = "gen_ai.request.model";
inline constexpr Text kRequestMaxTokens = "gen_ai.request.max_tokens";
inline constexpr Text kRequestTemperature = "gen_ai.request.temperature";
inline constexpr Text kRequestTopP = "gen_ai.request.top_p";
inline constexpr Text kRequestTopK = "gen_ai.request.top_k";
inline constexpr Text kRequestFrequencyPenalty = "gen_ai.request.frequency_penalty";
inline constexpr Text kRequestPresencePenalty = "gen_ai.request.presence_penalty";
inline constexpr Text kRequestStopSequences = "gen_ai.request.stop_sequences";
inline constexpr Text kRequestSeed = "gen_ai.request.seed";
inline constexpr Text kRequestChoiceCount = "gen_ai.request.choice.count";
inline constexpr Text kRequestStream = "gen_ai.request.stream";
inline constexpr Text kRequestEncodingFormats = "gen_ai.request.encoding_formats";
inline constexpr Text kEmbeddingsDimensionCount = "gen_ai.embeddings.dimension.count";
inline constexpr Text kOutputType = "gen_ai.output.type";
inline constexpr Text kResponseId = "gen_ai.response.id";
inline constexpr Text kResponseModel = "gen_ai.response.model";
inline constexpr Text kResponseFinishReasons = "gen_ai.response.finish_reasons";
inline constexpr Text kResponseTimeToFirstChunk = "gen_ai.response.time_to_first_chunk";  // seconds
inline constexpr Text kUsageInputTokens = "gen_ai.usage.input_tokens";
inline constexpr Text kUsageOutputTokens = "gen_ai.usage.output_tokens";
inline constexpr Text kUsageCacheRead = "gen_ai.usage.cache_read.input_tokens";
inline constexpr Text kUsageCacheCreation = "gen_ai.usage.cache_creation.input_tokens";
inline constexpr Text kUsageCacheWriteTokens = "gen_ai.usage.cache_write.input_tokens";  // later
inline constexpr Text kUsageReasoning = "gen_ai.usage.reasoning.output_tokens";
inline constexpr Text kConversationId = "gen_ai.conversation.id";
inline constexpr Text kInputMessages = "gen_ai.input.messages";
inline constexpr Text kOutputMessages = "gen_ai.output.messages";
inline constexpr Text kSystemInstructions = "gen_ai.system_instructions";
inline constexpr Text kToolDefinitions = "gen_ai.tool.definitions";
inline constexpr Text kToolNameGenAi = "gen_ai.tool.name";
inline constexpr Text kToolCallArguments = "gen_ai.tool.call.arguments";
inline constexpr Text kToolCallResult = "gen_ai.tool.call.result";
inline constexpr Text kAgentNameGenAi = "gen_ai.agent.name";
inline constexpr Text kWorkflowName = "gen_ai.workflow.name";
inline constexpr Text kRetrievalQueryText = "gen_ai.retrieval.query.text";
inline constexpr Text kRetrievalDocumentsGenAi = "gen_ai.retrieval.documents";
inline constexpr Text kOpenAiApiType = "openai.api.type";
inline constexpr Text kOpenAiRequestServiceTier = "openai.request.service_tier";
inline constexpr Text kOpenAiResponseServiceTier = "openai.response.service_tier";
inline constexpr Text kOpenAiSystemFingerprint = "openai.response.system_fingerprint";

// OpenRouter's additions.
inline constexpr Text kPrompt = "gen_ai.prompt";
inline constexpr Text kCompletion = "gen_ai.completion";
inline constexpr Text kResponseFinishReason = "gen_ai.response.finish_reason";
inline constexpr Text kUsageTotalTokens = "gen_ai.usage.total_tokens";
inline constexpr Text kUsageInputCost = "gen_ai.usage.input_cost";
inline constexpr Text kUsageOutputCost = "gen_ai.usage.output_cost";
inline constexpr Text kUsageTotalCost = "gen_ai.usage.total_cost";
inline constexpr Text kUsageCached = "gen_ai.usage.input_tokens.cached";
inline constexpr Text kUsageCacheWrite = "gen_ai.usage.input_tokens.cache_write";
inline constexpr Text kUsageInputAudio = "gen_ai.usage.input_tokens.audio";
inline constexpr Text kUsageOutputReasoning = "gen_ai.usage.output_tokens.reasoning";
inline constexpr Text kTraceName = "trace.name";
inline constexpr Text kTraceInput = "trace.input";
inline constexpr Text kTraceOutput = "trace.output";
inline constexpr Text kTraceTags = "trace.tags";
inline constexpr Text kTraceMetadataPrefix = "trace.metadata.";
inline constexpr Text kTraceGatewayPrefix = "trace.metadata.gateway.";
inline constexpr Text kSpanType = "span.type";
inline constexpr Text kSpanLevel = "span.level";
inline constexpr Text kSpanStatusMessage = "span.status_message";
inline constexpr Text kSpanInput = "span.input";
inline constexpr Text kSpanOutput = "span.output";
inline constexpr Text kSpanAttemptIndex = "span.metadata.attempt_index";
inline constexpr Text kSpanStatusCode = "span.metadata.status_code";
inline constexpr Text kSpanEndpoint = "span.metadata.endpoint_id";

// OpenInference. Names that end in a dot are completed with an index and a field.
inline constexpr Text kSpanKind = "openinference.span.kind";
inline constexpr Text kInputValue = "input.value";
inline constexpr Text kInputMimeType = "input.mime_type";
inline constexpr Text kOutputValue = "output.value";
inline constexpr Text kOutputMimeType = "output.mime_type";
inline constexpr Text kMetadata = "metadata";
inline constexpr Text kMetadataPrefix = "metadata.";  // flattened, as Arize filters on it
inline constexpr Text kMetadataGatewayPrefix = "metadata.gateway.";
inline constexpr Text kTags = "tag.tags";
inline constexpr Text kLlmSystem = "llm.system";
inline constexpr Text kLlmProvider = "llm.provider";
inline constexpr Text kLlmModelName = "llm.model_name";
inline constexpr Text kLlmRequestModelName = "llm.request.model_name";
inline constexpr Text kLlmResponseModelName = "llm.response.model_name";
inline constexpr Text kLlmInvocationParameters = "llm.invocation_parameters";
inline constexpr Text kLlmFinishReason = "llm.finish_reason";
inline constexpr Text kLlmInputMessages = "llm.input_messages.";
inline constexpr Text kLlmOutputMessages = "llm.output_messages.";
inline constexpr Text kLlmTools = "llm.tools.";
inline constexpr Text kLlmPrompts = "llm.prompts.";
inline constexpr Text kLlmChoices = "llm.choices.";
inline constexpr Text kTokensPrompt = "llm.token_count.prompt";
inline constexpr Text kTokensCompletion = "llm.token_count.completion";
inline constexpr Text kTokensTotal = "llm.token_count.total";
inline constexpr Text kTokensCacheRead = "llm.token_count.prompt_details.cache_read";
inline constexpr Text kTokensCacheWrite = "llm.token_count.prompt_details.cache_write";
inline constexpr Text kTokensPromptAudio = "llm.token_count.prompt_details.audio";
inline constexpr Text kTokensReasoning = "llm.token_count.completion_details.reasoning";
inline constexpr Text kTokensCompletionAudio = "llm.token_count.completion_details.audio";
inline constexpr Text kCostPrompt = "llm.cost.prompt";
inline constexpr Text kCostCompletion = "llm.cost.completion";
inline constexpr Text kCostTotal = "llm.cost.total";
inline constexpr Text kEmbeddingModelName = "embedding.model_name";
inline constexpr Text kEmbeddingInvocationParameters = "embedding.invocation_parameters";
inline constexpr Text kEmbeddings = "embedding.embeddings.";
inline constexpr Text kRerankerQuery = "reranker.query";
inline constexpr Text kRerankerModelName = "reranker.model_name";
inline constexpr Text kRerankerTopK = "reranker.top_k";
inline constexpr Text kRerankerInputDocuments = "reranker.input_documents.";
inline constexpr Text kRerankerOutputDocuments = "reranker.output_documents.";
inline constexpr Text kRetrievalDocuments = "retrieval.documents.";
inline constexpr Text kToolName = "tool.name";
inline constexpr Text kAgentName = "agent.name";
inline constexpr Text kFirstTokenEvent = "First Token Stream Event";  // an event's name

// What a single backend reads, beside the conventions: reference "destinations-otlp" §5 and §6.
namespace langfuse {
inline constexpr Text kNamespace = "langfuse.";
inline constexpr Text kTraceName = "langfuse.trace.name";
inline constexpr Text kTraceTags = "langfuse.trace.tags";
inline constexpr Text kTraceInput = "langfuse.trace.input";
inline constexpr Text kTraceOutput = "langfuse.trace.output";
inline constexpr Text kTraceMetadata = "langfuse.trace.metadata.";
inline constexpr Text kUserId = "langfuse.user.id";
inline constexpr Text kSessionId = "langfuse.session.id";
inline constexpr Text kEnvironment = "langfuse.environment";
inline constexpr Text kRelease = "langfuse.release";
inline constexpr Text kType = "langfuse.observation.type";
inline constexpr Text kLevel = "langfuse.observation.level";
inline constexpr Text kStatusMessage = "langfuse.observation.status_message";
inline constexpr Text kInput = "langfuse.observation.input";
inline constexpr Text kOutput = "langfuse.observation.output";
inline constexpr Text kModelName = "langfuse.observation.model.name";
inline constexpr Text kModelParameters = "langfuse.observation.model.parameters";
inline constexpr Text kUsageDetails = "langfuse.observation.usage_details";
inline constexpr Text kCostDetails = "langfuse.observation.cost_details";
inline constexpr Text kCompletionStart = "langfuse.observation.completion_start_time";
inline constexpr Text kMetadata = "langfuse.observation.metadata.";
inline constexpr Text kGateway = "langfuse.observation.metadata.gateway.";
}  // namespace langfuse

namespace langsmith {
inline constexpr Text kNamespace = "langsmith.";
inline constexpr Text kKind = "langsmith.span.kind";
inline constexpr Text kTags = "langsmith.span.tags";
inline constexpr Text kName = "langsmith.trace.name";
inline constexpr Text kUsage = "langsmith.usage_metadata";
inline constexpr Text kMetadata = "langsmith.metadata.";
inline constexpr Text kUserId = "langsmith.metadata.user_id";
inline constexpr Text kSessionId = "langsmith.metadata.session_id";
inline constexpr Text kThreadId = "langsmith.metadata.thread_id";
inline constexpr Text kGateway = "langsmith.metadata.gateway.";
}  // namespace langsmith

namespace braintrust {
inline constexpr Text kNamespace = "braintrust.";
inline constexpr Text kInput = "braintrust.input_json";
inline constexpr Text kOutput = "braintrust.output_json";
inline constexpr Text kMetadata = "braintrust.metadata";
inline constexpr Text kMetrics = "braintrust.metrics";
inline constexpr Text kTags = "braintrust.tags";
inline constexpr Text kSpanAttributes = "braintrust.span_attributes";
}  // namespace braintrust

namespace opik {
inline constexpr Text kNamespace = "opik.";
inline constexpr Text kTags = "opik.tags";
inline constexpr Text kMetadata = "opik.metadata.";
inline constexpr Text kUserId = "opik.metadata.user_id";
inline constexpr Text kTraceId = "opik.metadata.trace_id";
inline constexpr Text kSpanKind = "opik.metadata.span_kind";
inline constexpr Text kParameters = "opik.metadata.model_parameters";
inline constexpr Text kGateway = "opik.metadata.gateway.";
inline constexpr Text kCostInput = "gen_ai.cost.input";
inline constexpr Text kCostOutput = "gen_ai.cost.output";
inline constexpr Text kCostTotal = "gen_ai.cost.total";
}  // namespace opik

namespace weave {
inline constexpr Text kNamespace = "wandb.";
inline constexpr Text kSpanKind = "weave.span.kind";
inline constexpr Text kDisplayName = "wandb.display_name";
inline constexpr Text kThreadId = "wandb.thread_id";
inline constexpr Text kIsTurn = "wandb.is_turn";
inline constexpr Text kAttributes = "wandb.attributes.";
inline constexpr Text kUserId = "wandb.attributes.user_id";
inline constexpr Text kSessionId = "wandb.attributes.session_id";
inline constexpr Text kTags = "wandb.attributes.tags";
inline constexpr Text kGateway = "wandb.attributes.gateway.";
inline constexpr Text kPromptTokens = "gen_ai.usage.prompt_tokens";
inline constexpr Text kCompletionTokens = "gen_ai.usage.completion_tokens";
}  // namespace weave

namespace sentry {
inline constexpr Text kCostInput = "gen_ai.cost.input_tokens";  // USD, despite the name
inline constexpr Text kCostOutput = "gen_ai.cost.output_tokens";
inline constexpr Text kCostTotal = "gen_ai.cost.total_tokens";
inline constexpr Text kStreaming = "gen_ai.response.streaming";
}  // namespace sentry

namespace mlflow {
inline constexpr Text kNamespace = "mlflow.";
inline constexpr Text kInputs = "mlflow.spanInputs";
inline constexpr Text kOutputs = "mlflow.spanOutputs";
inline constexpr Text kSpanType = "mlflow.spanType";
inline constexpr Text kCost = "mlflow.llm.cost";
}  // namespace mlflow

}  // namespace sidecast::keys
