// A stats snapshot as text: JSON for programs, tables for people. Pure functions.
#pragma once

#include <string>

#include "engine/ledger/snapshot.h"

namespace sidecast {

class Style;

// One line, without a newline:
//   {"engine":{},"records":{},"rings":[{}],"destinations":[{}]}
[[nodiscard]] std::string stats_json(const StatsSnapshot& stats);

[[nodiscard]] std::string stats_tables(const StatsSnapshot& stats, const Style& style);

}  // namespace sidecast
