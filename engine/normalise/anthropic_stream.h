// A streamed Anthropic message becomes the message it would have been: blocks by their index, text,
// thinking and signatures appended, tool input from its pieces of JSON, usage counted up.
#pragma once

#include "engine/normalise/api.h"

namespace sidecast {

[[nodiscard]] bool assemble_anthropic(StreamReader& stream, Reading& reading, JsonWriter& out);

}  // namespace sidecast
