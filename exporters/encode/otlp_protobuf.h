// OTLP protobuf. One record becomes one complete, length-prefixed `resource_spans` entry; entries
// of any number of records, one after the other, are an ExportTraceServiceRequest.
#pragma once

#include "engine/base/bytes.h"
#include "engine/model/span.h"
#include "engine/model/trace.h"

namespace sidecast {

// Appends one entry. Every Text must be valid UTF-8.
void encode_otlp_protobuf(const Trace& trace, const SpanSet& set, ByteBuffer& out);

}  // namespace sidecast
