// One record as an event of Raindrop: what the user said last, what the model answered, and the
// numbers of the call as properties. Shapes: reference "destinations-native" §11.
#pragma once

#include "engine/base/bytes.h"
#include "engine/model/span.h"
#include "engine/model/trace.h"

namespace sidecast {

// Appends one object. Every Text must be valid UTF-8.
void encode_raindrop_event(const Trace& trace, const SpanSet& set, ByteBuffer& out);

}  // namespace sidecast
