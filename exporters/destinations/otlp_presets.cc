// The tables of plain OTLP backends as destination types. A new backend is a row of
// presets/llm.h or presets/tracing.h, and needs no line here.
#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include "exporters/destinations/presets/llm.h"
#include "exporters/destinations/presets/tracing.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr std::size_t kLlmCount = std::size(presets::kLlm);
constexpr std::size_t kPresetCount = kLlmCount + std::size(presets::kTracing);

constexpr const OtlpPreset& preset_at(std::size_t index) {
  return index < kLlmCount ? presets::kLlm[index] : presets::kTracing[index - kLlmCount];
}

// The preset's own options, then the shared ones.
template <std::size_t kIndex>
constexpr auto kOptionsOf = [] {
  constexpr std::size_t kOwn = preset_at(kIndex).options.size();
  std::array<Option, kOwn + kSharedOtlpOptions> all{};
  for (std::size_t i = 0; i < kOwn; ++i) all[i] = preset_at(kIndex).options[i];
  const auto shared = shared_otlp_options(preset_at(kIndex));
  for (std::size_t i = 0; i < shared.size(); ++i) all[kOwn + i] = shared[i];
  return all;
}();

template <std::size_t kIndex>
Result<std::unique_ptr<const Exporter>> make_preset(const OptionValues& options) {
  return OtlpExporter::make(preset_at(kIndex), options);
}

template <std::size_t... kIndex>
constexpr std::array<Destination, kPresetCount> destinations_of(std::index_sequence<kIndex...>) {
  return {{{.name = preset_at(kIndex).name,
            .summary = preset_at(kIndex).summary,
            .options = kOptionsOf<kIndex>,
            .make = &make_preset<kIndex>}...}};
}

constexpr auto kDestinations = destinations_of(std::make_index_sequence<kPresetCount>());

}  // namespace

std::span<const Destination> destinations::otlp_presets() noexcept {
  return kDestinations;
}

}  // namespace sidecast
