// The partial success of an OTLP answer: how many of the request's spans a server that said yes did
// not take, and why. Pure; every byte of an answer is hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sidecast {

struct PartialSuccess {
  std::int64_t rejected_spans = 0;
  std::string message;  // without rejected spans it is a warning
};

// Of an ExportTraceServiceResponse; nothing when it has none or cannot be read.
[[nodiscard]] std::optional<PartialSuccess> partial_success_of_protobuf(std::string_view body);
[[nodiscard]] std::optional<PartialSuccess> partial_success_of_json(std::string_view body);

}  // namespace sidecast
