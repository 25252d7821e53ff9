// Recovery: what an engine finds of the one before it. Sealed redo records are applied; entries
// that somebody must still take become batches again, with the same bytes; those of destinations
// that were changed, disabled or removed are held (deliver/held.h).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "engine/batch/plan.h"
#include "engine/deliver/held.h"
#include "engine/intake/worker.h"
#include "engine/ledger/ledger.h"
#include "engine/stage/redo.h"
#include "engine/stage/stage.h"
#include "shm/reader.h"

namespace sidecast {

struct Recovery {
  // By worker.
  std::vector<Worker::Recovered> workers;
  std::vector<HeldRecord> held;
  // Of an earlier spooler, for the one that there is; without one, they are a worker's as well.
  std::vector<std::unique_ptr<stage::Segment>> read_back;
  std::uint64_t entries = 0;  // still to be delivered
};

// Notes which records were in hand when the last engine died; records that crashed two (or were
// there at many kills) are poison.
[[nodiscard]] std::vector<ledger::Suspect> find_poison(Ledger& ledger);

// Counts what was staged and is in no segment any more, because one is damaged or gone: nobody can
// settle it, so it is dropped(damaged).
// Then sets them aside. After the redo records, before sort_entries().
void drop_damaged(const std::vector<std::unique_ptr<stage::Segment>>& segments, Ledger& ledger,
                  stage::RedoLog& redo, stage::Stage& stage);

// Makes written = unread + read hold again where rings and ledger know different things: a ring
// that was read from is gone or hostile, or the ledger is younger than its rings.
void reconcile_rings(const std::vector<std::shared_ptr<shm::Ring>>& rings,
                     const std::vector<shm::QuarantinedRing>& quarantined, Ledger& ledger,
                     stage::RedoLog& redo);

// Sorts the entries of `segments` by who must take them: the destinations of the same identity, in
// whatever group they are now. Counts them as unsettled in `stage`.
[[nodiscard]] Recovery sort_entries(std::vector<std::unique_ptr<stage::Segment>> segments,
                                    const Plan& plan, const Ledger& ledger, stage::Stage& stage,
                                    std::size_t worker_count, bool has_spooler);

}  // namespace sidecast
