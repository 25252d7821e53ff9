#include "exporters/dialects/generation_metadata.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

namespace sidecast {
namespace {

constexpr std::array<std::pair<std::string_view, std::uint8_t>, 3> kGroups = {{
    {"cost", kGenerationCost},
    {"identity", kGenerationIdentity},
    {"request_context", kGenerationRequestContext},
}};

class Adder {
 public:
  explicit Adder(Trace& trace) : trace_(trace) {}

  void add(Text key, Scalar value) {
    const bool is_taken = std::any_of(trace_.metadata.begin(), trace_.metadata.end(),
                                      [key](const Metadatum& each) { return each.key == key; });
    if (!is_taken) trace_.metadata.push_back({key, value, false});
  }
  void text(Text key, Text value) {
    if (!value.empty()) add(key, value);
  }
  template <typename Number>
  void number(Text key, const std::optional<Number>& value) {
    if (value) add(key, *value);
  }
  // What an answer said under that name.
  void fact(Text key, Text name) {
    for (const Metadatum& each : trace_.facts) {
      if (each.key == name) return add(key, each.value);
    }
  }

 private:
  Trace& trace_;
};

}  // namespace

Result<std::uint8_t> parse_generation_metadata(std::string_view text) {
  std::uint8_t groups = 0;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view name = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (name.empty()) continue;
    const auto* const found = std::find_if(
        kGroups.begin(), kGroups.end(), [name](const auto& group) { return group.first == name; });
    if (found == kGroups.end()) {
      return fail(
          "generation_metadata knows cost, identity and request_context, separated by commas");
    }
    groups = static_cast<std::uint8_t>(groups | found->second);
  }
  return groups;
}

Trace with_generation_metadata(const Trace& trace, std::uint8_t groups, Arena& arena) {
  Trace shown(arena);
  shown = trace;  // assigned, so that its lists are the arena's
  if (trace.is_explicit_span) return shown;
  Adder adder(shown);
  if ((groups & kGenerationCost) != 0) {
    adder.number("openrouter_generation.usage", trace.cost.total);
    adder.fact("openrouter_generation.usage_upstream", "upstream_inference_cost");
  }
  if ((groups & kGenerationIdentity) != 0) {
    adder.text("openrouter_generation.external_user", trace.identity.user_id);
  }
  if ((groups & kGenerationRequestContext) != 0) {
    adder.number("openrouter_generation.tokens_prompt", trace.usage.input);
    adder.number("openrouter_generation.tokens_completion", trace.usage.output);
    adder.add("openrouter_generation.streamed", trace.parameters.stream);
    adder.fact("openrouter_generation.is_byok", "is_byok");
    adder.text("openrouter_generation.model",
               trace.model_requested.empty() ? trace.model_served : trace.model_requested);
  }
  return shown;
}

}  // namespace sidecast
