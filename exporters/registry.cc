#include "exporters/registry.h"

#include <algorithm>
#include <vector>

namespace sidecast {
namespace {

std::vector<const Destination*> collect() {
  std::vector<const Destination*> types = {
#define X(name) &destinations::name,
      SIDECAST_DESTINATIONS(X)
#undef X
  };
  for (const Destination& preset : destinations::otlp_presets()) types.push_back(&preset);
  std::sort(types.begin(), types.end(),
            [](const auto* left, const auto* right) { return left->name < right->name; });
  return types;
}

}  // namespace

std::span<const Destination* const> destination_types() noexcept {
  static const std::vector<const Destination*> types = collect();
  return types;
}

const Destination* find_destination_type(std::string_view name) noexcept {
  for (const Destination* type : destination_types()) {
    if (type->name == name) return type;
  }
  return nullptr;
}

}  // namespace sidecast
