// One record of Amazon Data Firehose: the object of trace_json and a line break, in base64.
// Firehose concatenates records, so that the line breaks make JSON Lines of what it delivers.
#pragma once

#include "engine/base/bytes.h"
#include "engine/model/span.h"
#include "engine/model/trace.h"

namespace sidecast {

// Appends {"Data":"..."}. Every Text must be valid UTF-8.
void encode_firehose_record(const Trace& trace, const SpanSet& set, ByteBuffer& out);

}  // namespace sidecast
