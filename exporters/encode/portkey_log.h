// One record as a log of Portkey: the request and the response as they were, for its replay and its
// prices, and metadata. What has no body in JSON (plain text, shed records, privacy mode) is put
// into the shape of chat completions. Shape: reference "destinations-native" §14.2.
#pragma once

#include "engine/base/bytes.h"
#include "engine/model/span.h"
#include "engine/model/trace.h"

namespace sidecast {

// Appends {"request":{...},"response":{...},"metadata":{...}}. Every Text must be valid UTF-8.
void encode_portkey_log(const Trace& trace, const SpanSet& set, ByteBuffer& out);

}  // namespace sidecast
