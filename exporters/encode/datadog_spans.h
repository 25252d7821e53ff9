// One record as spans of Datadog's LLM Observability API: the call as an `llm` span (or the kind of
// an explicit span), named levels above it as `workflow`, provider attempts below it as `task`.
// Shapes: reference "destinations-native" §7.2.
#pragma once

#include "engine/base/bytes.h"
#include "engine/model/span.h"
#include "engine/model/trace.h"

namespace sidecast {

// Appends {...},{...}: one object for each span of the set. Every Text must be valid UTF-8.
void encode_datadog_spans(const Trace& trace, const SpanSet& set, ByteBuffer& out);

}  // namespace sidecast
