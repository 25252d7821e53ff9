// A streamed chat completion (or legacy completion), chunk by chunk, becomes the completion it
// would have been: choices by their index, tool calls by theirs, text and reasoning appended.
#pragma once

#include "engine/normalise/api.h"

namespace sidecast {

[[nodiscard]] bool assemble_openai_chat(StreamReader& stream, Reading& reading, JsonWriter& out);

}  // namespace sidecast
