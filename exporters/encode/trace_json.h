// One record as one JSON object in the shape of OpenRouter's S3 files: the trace with its input and
// output, and one observation for the generation and for each attempt. It reads the Trace alone;
// the dialect has no say in it.
#pragma once

#include "engine/base/bytes.h"
#include "engine/model/span.h"
#include "engine/model/trace.h"

namespace sidecast {

// Appends one object on one line. Every Text must be valid UTF-8.
void encode_trace_json(const Trace& trace, const SpanSet& set, ByteBuffer& out);

}  // namespace sidecast
