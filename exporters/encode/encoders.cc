#include <algorithm>

#include "exporters/encode/otlp_protobuf.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Encoder kEncoders[] = {
    {.name = "otlp_protobuf",
     .content_type = "application/x-protobuf",
     .write = &encode_otlp_protobuf,
     .prefix = "",
     .separator = "",
     .suffix = ""},
};

}  // namespace

std::span<const Encoder> encoders() noexcept {
  return kEncoders;
}

const Encoder* find_encoder(std::string_view name) noexcept {
  const auto* const found =
      std::find_if(std::begin(kEncoders), std::end(kEncoders),
                   [name](const auto& encoder) { return encoder.name == name; });
  return found == std::end(kEncoders) ? nullptr : found;
}

}  // namespace sidecast
