// What can still be read in the torn rest of an answer: model, usage, finish reasons. For the first
// and last bytes that a shed record keeps, and for bodies that are no JSON. A tolerant scan for
// known members; nothing it sees becomes content.
#pragma once

#include "engine/normalise/reading.h"
#include "engine/normalise/usage.h"

namespace sidecast {

void scan_torn_answer(Text piece, ReportedUsage& reported, JsonParser& parser, JsonDocument& json,
                      Reading& reading);

}  // namespace sidecast
