// Errors in all their shapes: OpenAI's, Anthropic's, Google's, AWS's, Cohere's, a router's, in a
// body or in the middle of a stream that began with 200.
#pragma once

#include "engine/normalise/reading.h"

namespace sidecast {

// The error of an answer or of one event of a stream, if it has one. `is_failure` tells that the
// status says so, and that a bare message is one as well.
void read_error(JsonValue body, bool is_failure, Reading& reading);

// Of a stream that did not say that it is over: whether a finish reason says so.
void settle_end_of_stream(Trace& trace) noexcept;

// Last: from what the gateway and the body said, whether the call failed, and a type for it.
void settle_outcome(Trace& trace, Arena& arena);

}  // namespace sidecast
