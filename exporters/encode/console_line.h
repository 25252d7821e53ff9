// One record as one line for a person at a terminal:
//
//   13:45:00.123 ok    openai/gpt-4o  1.84 s (0.41 s)  1200+85 tok  $0.0031  stop  gen-abc  "Why
//   is..." -> "Because..."
//
// It reads the Trace alone. What a terminal would act on, or would show in another order than it
// stands, becomes a blank.
#pragma once

#include "engine/base/bytes.h"
#include "engine/model/span.h"
#include "engine/model/trace.h"

namespace sidecast {

void encode_console_line(const Trace& trace, const SpanSet& set, ByteBuffer& out);
// Without question and answer.
void encode_console_line_without_content(const Trace& trace, const SpanSet& set, ByteBuffer& out);

}  // namespace sidecast
