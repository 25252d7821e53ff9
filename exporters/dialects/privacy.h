// Privacy mode: the one choke point before any dialect. What leaves here holds no content, whatever
// dialect, encoder or command comes after it.
//
// It is an allow-list: a redacted trace starts empty and is given what reference "conventions" §7
// keeps, so that a field somebody adds to Trace later is content until it is named here.
#pragma once

#include <string>
#include <vector>

#include "engine/model/trace.h"

namespace sidecast {

// Kept: ids, names, times, status, models, tokens, costs, scores, all of the user's `trace` object,
// user and session ids, scalar parameters by name, and the attributes named in `keep`. Error texts
// become their type. Views into `trace` and `arena`.
[[nodiscard]] Trace redact(const Trace& trace, const std::vector<std::string>& keep, Arena& arena);

}  // namespace sidecast
