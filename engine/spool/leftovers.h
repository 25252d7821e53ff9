// Leftovers: at the end of an engine, what is still in the stage goes to the spool, so that it
// outlives the machine. Uncompressed bytes lie in the stage, so records are packed anew; whoever
// waits for the same ones shares them.
// Threads: the spooler's own, and none other moves records any more.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/base/clock.h"
#include "engine/batch/plan.h"
#include "engine/ledger/ledger.h"
#include "engine/spool/spooler.h"
#include "engine/stage/segment.h"

namespace sidecast::spool {

// Clears the bits of a put in the stage, in one redo record with each part's state. False: it is
// too late for that.
using CommitPut = std::function<bool(const Spooler::Put&, const std::vector<Spooler::Part>&)>;

// Records, one for each destination, that went to the spool. Ends at the deadline, or when the disk
// takes no more: what is left stays in the stage.
[[nodiscard]] std::uint64_t spool_leftovers(std::span<stage::Segment* const> segments,
                                            Spooler& spooler, const Plan& plan,
                                            const Ledger& ledger, const CommitPut& commit,
                                            Instant deadline);

}  // namespace sidecast::spool
