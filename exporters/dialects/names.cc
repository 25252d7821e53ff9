#include "exporters/dialects/names.h"

#include <algorithm>
#include <array>
#include <optional>

namespace sidecast {
namespace {

struct ProviderRow {
  Text spelling;  // lower case, letters and digits only
  ProviderNames names;
};

// Reference "conventions" §5.6. Sorted for nobody: 40 short comparisons cost less than a hash.
constexpr ProviderRow kProviders[] = {
    {"openai", {"openai", "openai"}},
    {"azure", {"azure.ai.openai", "azure"}},
    {"azureopenai", {"azure.ai.openai", "azure"}},
    {"azureaiopenai", {"azure.ai.openai", "azure"}},
    {"azureaiinference", {"azure.ai.inference", "azure"}},
    {"anthropic", {"anthropic", "anthropic"}},
    {"awsbedrock", {"aws.bedrock", "aws"}},
    {"amazonbedrock", {"aws.bedrock", "aws"}},
    {"bedrock", {"aws.bedrock", "aws"}},
    {"aws", {"aws.bedrock", "aws"}},
    {"googlevertex", {"gcp.vertex_ai", "google"}},
    {"googlevertexai", {"gcp.vertex_ai", "google"}},
    {"vertexai", {"gcp.vertex_ai", "google"}},
    {"vertex", {"gcp.vertex_ai", "google"}},
    {"gcpvertexai", {"gcp.vertex_ai", "google"}},
    {"googleaistudio", {"gcp.gemini", "google"}},
    {"googlegemini", {"gcp.gemini", "google"}},
    {"gemini", {"gcp.gemini", "google"}},
    {"gcpgemini", {"gcp.gemini", "google"}},
    {"google", {"gcp.gen_ai", "google"}},
    {"gcpgenai", {"gcp.gen_ai", "google"}},
    {"mistral", {"mistral_ai", "mistralai"}},
    {"mistralai", {"mistral_ai", "mistralai"}},
    {"xai", {"x_ai", "xai"}},
    {"deepseek", {"deepseek", "deepseek"}},
    {"groq", {"groq", "groq"}},
    {"perplexity", {"perplexity", "perplexity"}},
    {"cohere", {"cohere", "cohere"}},
    {"moonshot", {"moonshot_ai", "moonshot"}},
    {"moonshotai", {"moonshot_ai", "moonshot"}},
    {"ibmwatsonx", {"ibm.watsonx.ai", "ibm-watsonx"}},
    {"ibmwatsonxai", {"ibm.watsonx.ai", "ibm-watsonx"}},
    {"together", {"together", "together"}},
    {"togetherai", {"together", "together"}},
    {"fireworks", {"fireworks", "fireworks"}},
    {"fireworksai", {"fireworks", "fireworks"}},
    {"cerebras", {"cerebras", "cerebras"}},
    {"ollama", {"ollama", "ollama"}},
};

struct SystemRow {
  Text name;
  Text system;
};

// Authors as model slugs write them, in front of a slash (or of a dot, in Bedrock's model ids).
constexpr SystemRow kAuthors[] = {
    {"openai", "openai"},     {"anthropic", "anthropic"},
    {"google", "vertexai"},   {"mistralai", "mistralai"},
    {"mistral", "mistralai"}, {"x-ai", "xai"},
    {"xai", "xai"},           {"deepseek", "deepseek"},
    {"cohere", "cohere"},     {"meta-llama", "meta"},
    {"meta", "meta"},         {"amazon", "amazon"},
    {"ai21", "ai21"},
};

// How models without an author in their name begin.
constexpr SystemRow kModelNames[] = {
    {"gpt-", "openai"},         {"chatgpt-", "openai"},
    {"o1", "openai"},           {"o3", "openai"},
    {"o4", "openai"},           {"text-embedding-", "openai"},
    {"claude", "anthropic"},    {"gemini", "vertexai"},
    {"gemma", "vertexai"},      {"mistral", "mistralai"},
    {"ministral", "mistralai"}, {"codestral", "mistralai"},
    {"magistral", "mistralai"}, {"grok", "xai"},
    {"deepseek", "deepseek"},   {"command", "cohere"},
    {"llama", "meta"},          {"nova", "amazon"},
    {"jamba", "ai21"},
};

struct FinishRow {
  Text received;
  Text normalised;
};

// Reference "conventions" §5.4, with the upper-case reasons of Gemini and the words of Bedrock.
constexpr FinishRow kFinishReasons[] = {
    {"end_turn", "stop"},
    {"stop_sequence", "stop"},
    {"pause_turn", "stop"},
    {"completed", "stop"},
    {"STOP", "stop"},
    {"COMPLETE", "stop"},
    {"max_tokens", "length"},
    {"max_output_tokens", "length"},
    {"model_context_window_exceeded", "length"},
    {"MAX_TOKENS", "length"},
    {"function_call", "tool_calls"},
    {"tool_use", "tool_calls"},
    {"TOOL_CALL", "tool_calls"},
    {"refusal", "content_filter"},
    {"content_filtered", "content_filter"},
    {"guardrail_intervened", "content_filter"},
    {"SAFETY", "content_filter"},
    {"LENGTH", "length"},
    {"FINISH", "stop"},
    {"eos_token", "stop"},
    {"STOP_SEQUENCE", "stop"},
    {"REASON_STOP", "stop"},
    {"REASON_TOOL_CALLS", "tool_calls"},
    {"MODEL_ARMOR", "content_filter"},
    {"failed", "error"},
    {"ERROR", "error"},
};

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_word(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

const ProviderRow* find_provider(Text provider) noexcept {
  std::array<char, 32> spelling{};
  std::size_t size = 0;
  for (const char c : provider) {
    const char letter = lower(c);
    if (!is_word(letter)) continue;
    if (size == spelling.size()) return nullptr;  // longer than any listed name
    spelling[size++] = letter;
  }
  const Text wanted(spelling.data(), size);
  const auto* const row = std::find_if(std::begin(kProviders), std::end(kProviders),
                                       [wanted](const auto& r) { return r.spelling == wanted; });
  return row == std::end(kProviders) ? nullptr : row;
}

Text slug(Text name, Arena& arena) {
  char* const out = arena.allocate(name.size());
  std::transform(name.begin(), name.end(), out, [](char c) { return c == ' ' ? '-' : lower(c); });
  return {out, name.size()};
}

std::optional<Text> find_author(Text author) noexcept {
  for (const SystemRow& row : kAuthors) {
    if (row.name == author) return row.system;
  }
  return std::nullopt;
}

// "us.anthropic.claude-3-5-haiku" -> anthropic
std::optional<Text> find_dotted_author(Text model) noexcept {
  while (true) {
    const std::size_t dot = model.find('.');
    if (dot == Text::npos) return std::nullopt;
    if (const auto system = find_author(model.substr(0, dot))) return system;
    model.remove_prefix(dot + 1);
  }
}

std::optional<Text> find_by_model_name(Text model) noexcept {
  for (const SystemRow& row : kModelNames) {
    if (model.substr(0, row.name.size()) == row.name) return row.system;
  }
  return std::nullopt;
}

}  // namespace

Text normalised_finish_reason(Text reason) noexcept {
  for (const FinishRow& row : kFinishReasons) {
    if (row.received == reason) return row.normalised;
  }
  return reason;
}

ProviderNames provider_names(Text provider, Arena& arena) {
  if (provider.empty()) return {};
  if (const ProviderRow* row = find_provider(provider)) return row->names;
  const Text name = slug(provider, arena);
  return {name, name};
}

Text model_author(const Trace& trace, Arena& arena) {
  const Text model = model_of(trace);
  for (const Text candidate : {model, trace.model_requested}) {
    const std::size_t slash = candidate.find('/');
    if (slash == Text::npos || slash == 0) continue;
    const Text author = slug(candidate.substr(0, slash), arena);
    return find_author(author).value_or(author);
  }
  if (const auto system = find_dotted_author(model)) return *system;
  if (const auto system = find_by_model_name(model)) return *system;
  const ProviderNames provider = provider_names(trace.provider, arena);
  if (const auto system = find_author(provider.openinference)) return *system;
  return trace.operation == Operation::kMessages ? "anthropic" : "openai";
}

Text gen_ai_operation(const Trace& trace) noexcept {
  switch (trace.kind) {
    case TraceKind::kLlm:
      break;
    case TraceKind::kEmbedding:
      return "embeddings";
    case TraceKind::kReranker:
      return "rerank";
    case TraceKind::kRetriever:
      return "retrieval";
    case TraceKind::kTool:
      return "execute_tool";
    case TraceKind::kAgent:
      return "invoke_agent";
    case TraceKind::kChain:
      return "invoke_workflow";
    case TraceKind::kGuardrail:
    case TraceKind::kEvaluator:
    case TraceKind::kPrompt:
    case TraceKind::kUnknown:
      return {};
  }
  switch (trace.operation) {
    case Operation::kCompletions:
      return "text_completion";
    case Operation::kImage:
    case Operation::kAudio:
      return "generate_content";
    case Operation::kModeration:
      return "moderation";
    default:
      return "chat";
  }
}

Text openinference_kind(TraceKind kind) noexcept {
  switch (kind) {
    case TraceKind::kLlm:
      return "LLM";
    case TraceKind::kEmbedding:
      return "EMBEDDING";
    case TraceKind::kChain:
      return "CHAIN";
    case TraceKind::kRetriever:
      return "RETRIEVER";
    case TraceKind::kReranker:
      return "RERANKER";
    case TraceKind::kTool:
      return "TOOL";
    case TraceKind::kAgent:
      return "AGENT";
    case TraceKind::kGuardrail:
      return "GUARDRAIL";
    case TraceKind::kEvaluator:
      return "EVALUATOR";
    case TraceKind::kPrompt:
      return "PROMPT";
    case TraceKind::kUnknown:
      break;
  }
  return "UNKNOWN";
}

Text openinference_name(const Trace& trace) noexcept {
  if (trace.is_explicit_span) return openinference_kind(trace.kind);
  switch (trace.operation) {
    case Operation::kResponses:
      return "Response";
    case Operation::kMessages:
      return "Message";
    case Operation::kCompletions:
      return "Completion";
    case Operation::kRerank:
      return "Rerank";
    case Operation::kImage:
      return "ImageGeneration";
    case Operation::kAudio:
      return "Audio";
    case Operation::kModeration:
      return "Moderation";
    case Operation::kUnknown:
    case Operation::kChat:
    case Operation::kEmbeddings:
      break;
  }
  return "ChatCompletion";
}

}  // namespace sidecast
