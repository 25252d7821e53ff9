// One record as events of PostHog's LLM analytics. posthog_event: the call alone, $ai_generation
// (or $ai_embedding, or $ai_span for an explicit span). posthog_tree: with the named levels above
// it, $ai_trace and $ai_span, and the provider attempts below it, $ai_span. Shapes: reference
// "destinations-native" §8.
//
// PostHog knows an event again by its day, name, distinct_id and uuid: all are functions of the
// record.
#pragma once

#include "engine/base/bytes.h"
#include "engine/model/span.h"
#include "engine/model/trace.h"

namespace sidecast {

// Append {...} or {...},{...}. Every Text must be valid UTF-8.
void encode_posthog_event(const Trace& trace, const SpanSet& set, ByteBuffer& out);
void encode_posthog_tree(const Trace& trace, const SpanSet& set, ByteBuffer& out);

}  // namespace sidecast
