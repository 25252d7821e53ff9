#include <algorithm>

#include "exporters/encode/otlp_json.h"
#include "exporters/encode/otlp_protobuf.h"
#include "exporters/encode/trace_json.h"
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
    {.name = "otlp_json",
     .content_type = "application/json",
     .write = &encode_otlp_json,
     .prefix = R"({"resourceSpans":[)",
     .separator = ",",
     .suffix = "]}"},
    // Alone it is one JSON document; several are JSON Lines.
    {.name = "trace_json",
     .content_type = "application/json",
     .write = &encode_trace_json,
     .prefix = "",
     .separator = "\n",
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
