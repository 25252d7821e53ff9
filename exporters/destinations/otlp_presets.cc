// Every plain OTLP backend is one row of kPresets: where it listens, what it wants in headers and
// resource, and what it can read. Endpoints and limits: reference "destinations-otlp".
#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include "exporters/destinations/otlp.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Option kOtlpOptions[] = {
    {.name = "authorization",
     .fallback = "",
     .help = "Value of the Authorization header, with its scheme: Bearer ..., Basic ....",
     .secret = true},
};
constexpr OtlpField kOtlpHeaders[] = {{"authorization", "{authorization}"}};

constexpr Option kArizeOptions[] = {
    {.name = "api_key",
     .fallback = "",
     .help = "API key of the space.",
     .secret = true,
     .required = true},
    {.name = "space_key",
     .fallback = "",
     .help = "Space ID (older consoles: Space Key).",
     .secret = true,
     .required = true},
    {.name = "project",
     .fallback = "",
     .help = "Project name; made on first use.",
     .required = true},
};
// Arize's SDKs changed names; receivers know both, and each space's age decides which it needs.
constexpr OtlpField kArizeHeaders[] = {
    {"authorization", "{api_key}"},
    {"arize-space-id", "{space_key}"},
    {"api_key", "{api_key}"},
    {"space_id", "{space_key}"},
};
constexpr OtlpField kArizeResource[] = {
    {"openinference.project.name", "{project}"},
    {"model_id", "{project}"},
};

constexpr OtlpPreset kPresets[] = {
    {.name = "arize",
     .summary = "Arize AX (OpenInference over OTLP)",
     .endpoint = "https://otlp.arize.com",
     .endpoint_help = "Base URL of the region; EU: https://otlp.eu-west-1a.arize.com.",
     .options = kArizeOptions,
     .headers = kArizeHeaders,
     .resource = kArizeResource,
     .dialect = "openinference",
     .flat_metadata = "true",  // Arize filters on metadata.<key>
     .is_probed_with_span = true},
    {.name = "otlp",
     .summary = "OpenTelemetry Collector, or any backend that takes OTLP over HTTP",
     .endpoint = "",
     .endpoint_help = "Base or full URL, e.g. http://localhost:4318.",
     .options = kOtlpOptions,
     .headers = kOtlpHeaders,
     .resource = {}},
};
constexpr std::size_t kPresetCount = std::size(kPresets);

// The preset's own options, then the shared ones.
template <std::size_t kIndex>
constexpr auto kOptionsOf = [] {
  constexpr std::size_t kOwn = kPresets[kIndex].options.size();
  std::array<Option, kOwn + kSharedOtlpOptions> all{};
  for (std::size_t i = 0; i < kOwn; ++i) all[i] = kPresets[kIndex].options[i];
  const auto shared = shared_otlp_options(kPresets[kIndex]);
  for (std::size_t i = 0; i < shared.size(); ++i) all[kOwn + i] = shared[i];
  return all;
}();

template <std::size_t kIndex>
Result<std::unique_ptr<const Exporter>> make_preset(const OptionValues& options) {
  return OtlpExporter::make(kPresets[kIndex], options);
}

template <std::size_t... kIndex>
constexpr std::array<Destination, kPresetCount> destinations_of(std::index_sequence<kIndex...>) {
  return {{{.name = kPresets[kIndex].name,
            .summary = kPresets[kIndex].summary,
            .options = kOptionsOf<kIndex>,
            .make = &make_preset<kIndex>}...}};
}

constexpr auto kDestinations = destinations_of(std::make_index_sequence<kPresetCount>());

}  // namespace

std::span<const Destination> destinations::otlp_presets() noexcept {
  return kDestinations;
}

}  // namespace sidecast
