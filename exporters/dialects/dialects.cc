#include "exporters/dialects/dialects.h"

#include <algorithm>

#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr DialectEntry kDialects[] = {
    {.name = "generic", .write = &write_generic},
    {.name = "openinference", .write = &write_openinference},
    {.name = "langfuse", .write = &write_langfuse},
    {.name = "langsmith", .write = &write_langsmith},
    {.name = "braintrust", .write = &write_braintrust},
    {.name = "opik", .write = &write_opik},
    {.name = "weave", .write = &write_weave},
    {.name = "sentry", .write = &write_sentry},
    {.name = "mlflow", .write = &write_mlflow},
    {.name = "datadog", .write = &write_datadog},
};

}  // namespace

std::span<const DialectEntry> dialects() noexcept {
  return kDialects;
}

const DialectEntry* find_dialect(std::string_view name) noexcept {
  const auto* const found = std::find_if(std::begin(kDialects), std::end(kDialects),
                                         [name](const auto& entry) { return entry.name == name; });
  return found == std::end(kDialects) ? nullptr : found;
}

}  // namespace sidecast
