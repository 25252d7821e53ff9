// What the conventions call a provider, an operation and a model's author. Tables of names, nothing
// else: no behaviour depends on a provider.
#pragma once

#include "engine/base/arena.h"
#include "engine/model/trace.h"

namespace sidecast {

struct ProviderNames {
  Text gen_ai;         // gen_ai.provider.name
  Text openinference;  // llm.provider
};

// `provider` as a gateway or a body names it ("OpenAI", "aws_bedrock", "Google AI Studio"). A name
// nobody listed becomes a lower-case slug; an empty one stays empty.
[[nodiscard]] ProviderNames provider_names(Text provider, Arena& arena);

// llm.system, which an LLM span must have: who made the model, by its slug ("anthropic/claude-3"),
// else by the provider, else by the model's name, else whose API shape the call has.
[[nodiscard]] Text model_author(const Trace& trace, Arena& arena);

[[nodiscard]] Text gen_ai_operation(const Trace& trace) noexcept;  // empty: none fits
[[nodiscard]] Text openinference_kind(TraceKind kind) noexcept;
// The default span name, by the API that was called or by the kind of an explicit span.
[[nodiscard]] Text openinference_name(const Trace& trace) noexcept;

// stop, length, tool_calls, content_filter or error, whatever the provider calls it; a reason
// nobody listed stays as it is.
[[nodiscard]] Text normalised_finish_reason(Text reason) noexcept;

// The model that answered, else the one asked for.
[[nodiscard]] inline Text model_of(const Trace& trace) noexcept {
  return trace.model_served.empty() ? trace.model_requested : trace.model_served;
}

}  // namespace sidecast
