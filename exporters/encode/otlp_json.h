// OTLP JSON: proto3's JSON mapping with OTLP's exceptions (hex ids, integers for enums, 64-bit
// numbers as texts). One record becomes one element of `resourceSpans`; the encoder's prefix,
// separator and suffix make a request of any number of them.
#pragma once

#include "engine/base/bytes.h"
#include "engine/model/span.h"
#include "engine/model/trace.h"

namespace sidecast {

// Appends one element. Every Text must be valid UTF-8.
void encode_otlp_json(const Trace& trace, const SpanSet& set, ByteBuffer& out);

}  // namespace sidecast
