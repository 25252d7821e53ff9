// What a call took and gave, each as one JSON value in the shape of chat completions: for readers
// that show a span's input and output side by side and render chat messages.
#pragma once

#include "engine/base/arena.h"
#include "engine/model/trace.h"

namespace sidecast {

// A list of chat messages; what input_json() makes of other calls; an explicit span's input as it
// is, plain text as a JSON string. Empty when there is no content.
[[nodiscard]] Text input_content(const Trace& trace, Arena& arena);

// The answer: one chat message, a list of them for several choices, or as above.
[[nodiscard]] Text output_content(const Trace& trace, Arena& arena);

// {"messages":[...]} of the answer, or what output_json() makes of other calls.
[[nodiscard]] Text output_messages_object(const Trace& trace, Arena& arena);

// {"choices":[{"index","message","finish_reason"}]} as a chat completion answers, or as
// output_content().
[[nodiscard]] Text output_choices(const Trace& trace, Arena& arena);

}  // namespace sidecast
