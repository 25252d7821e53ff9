// The request's parameters, which the APIs name nearly alike, and the members that are content.
#pragma once

#include "engine/normalise/reading.h"

namespace sidecast {

// Fills Trace::parameters from a request body and from the object in which an API nests its
// parameters (`generationConfig`, `inferenceConfig`, `options`), and model and identity where the
// record has none. What is content (messages, tools, prompts, documents, ...) stays out of
// Parameters::json, and so do log-probability settings.
void read_parameters(JsonValue body, Reading& reading);

}  // namespace sidecast
