// Received spans as JSON Lines, one span a line, for people, scripts and tests:
//
//   {"traceId","spanId","parentSpanId","name","kind","startTimeUnixNano","endTimeUnixNano",
//    "status":{},"attributes":{name:value},"events":[],"resource":{name:value},"scope":{},
//    "request":{"path","contentType","contentEncoding","headers":{}}}
//
// Ids are lower-case hex, times and kind are numbers. Attribute values are plain JSON: whole
// doubles keep their ".0", NaN and the infinities become strings, bytes become base64, the empty
// value null. "flags", "traceState", "links", "droppedAttributesCount", "droppedEventsCount",
// "droppedLinksCount" and "schemaUrl" stand in between when they are set.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "tools/receiver/otlp_decode.h"

namespace sidecast::receiver {

// What every line says about the request its span came in.
struct RequestNote {
  std::string path;
  std::string content_type;
  std::string content_encoding;                              // empty = none
  std::vector<std::pair<std::string, std::string>> headers;  // lower-case names, in order, unique
};

[[nodiscard]] std::uint64_t count_spans(const otlp::ExportTraceServiceRequest& request);

// Appends the lines of the first `span_limit` spans, each ended by a newline.
void append_span_lines(const otlp::ExportTraceServiceRequest& request, const RequestNote& note,
                       std::uint64_t span_limit, ByteBuffer& out);

}  // namespace sidecast::receiver
