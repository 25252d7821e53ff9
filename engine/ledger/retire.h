// Retire: the slots of destinations that are gone are used again, or tenants that come and go would
// fill the ledger for ever. Their counts move to one sum, in one redo record, so that every
// identity holds before, after and at any instant of death between.
//
// Only what is settled to the last record is retired: then no staged entry has a bit of it, and
// nothing of it is in the spool. The most recent stay as they are, for whoever looks what became of
// them.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "engine/ledger/ledger.h"

namespace sidecast::stage {
class RedoLog;
}

namespace sidecast {

// So many that are gone are left alone.
inline constexpr std::size_t kGoneKept = 1024;

// Moves the counts of up to `count_max` destinations for which `is_gone` is true, and returns their
// slots, to be freed. Called on the thread that owns `redo` and the settle counters, when no thread
// counts for them any more, and the spooler, which owns some of them, has no transaction under way.
[[nodiscard]] std::vector<DestinationIndex> retire_counts(
    Ledger& ledger, stage::RedoLog& redo, std::size_t count_max,
    const std::function<bool(DestinationIndex)>& is_gone);

// Groups that some staged entry still names with a pending bit: true at their slot. Empty when that
// cannot be known. Reads the segments of that directory.
[[nodiscard]] std::vector<bool> groups_staged(const Ledger& ledger, const std::string& directory);

}  // namespace sidecast
