// An explanation as people read it, and as one JSON object. Text from outside is made safe for a
// terminal.
#pragma once

#include <string>

#include "engine/fates/explain.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {

[[nodiscard]] std::string explanation_text(const fates::Explanation& explanation,
                                           const std::string& id, const Style& style);
[[nodiscard]] std::string explanation_json(const fates::Explanation& explanation,
                                           const std::string& id);

}  // namespace sidecast
