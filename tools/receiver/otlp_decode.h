// OTLP trace requests into protobuf's generated classes, from either encoding, and the rules the
// protocol adds to them. Independent of the engine's encoders: nothing of exporters/ is used here.
#pragma once

#include <string>
#include <string_view>

#include "otlp_trace.pb.h"
#include "tools/receiver/refusal.h"

namespace sidecast::receiver {

namespace otlp = opentelemetry::proto::trace::v1;

enum class Encoding { kProtobuf, kJson };

// 400 for bytes that are not such a message, strings that are not UTF-8, and what
// check_export_request() finds.
[[nodiscard]] Accepted<otlp::ExportTraceServiceRequest> decode_export_request(
    Encoding encoding, std::string_view body);

// The first violation, as one sentence naming the place; empty = none. Checked: lengths of ids and
// that they are not all zero, an end before the start, keys that are empty or repeated.
[[nodiscard]] std::string check_export_request(const otlp::ExportTraceServiceRequest& request);

// The whole JSON mapping: protobuf's, with OTLP's exceptions (hex ids, integer enums,
// lowerCamelCase names only). Unknown members are ignored. Does not call check_export_request().
[[nodiscard]] Accepted<otlp::ExportTraceServiceRequest> parse_export_json(std::string_view text);

}  // namespace sidecast::receiver
