// A streamed Responses answer: its last event holds all of it. Of a cut stream the finished items
// count as they came, the unfinished ones with the text that came until then.
#pragma once

#include "engine/normalise/api.h"

namespace sidecast {

[[nodiscard]] bool assemble_openai_responses(StreamReader& stream, Reading& reading,
                                             JsonWriter& out);

}  // namespace sidecast
