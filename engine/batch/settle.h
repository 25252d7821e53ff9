// Settle: decide records' ends at one destination. The counters that say so, the records' pending
// bits and (once the last bit is clear) the room of their segment move together.
// Threads: belongs to the delivery thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/batch/sealed_batch.h"
#include "engine/fates/fate_log.h"
#include "engine/ledger/ledger.h"
#include "engine/spool/state.h"
#include "engine/stage/redo.h"
#include "exporters/exporter.h"

namespace sidecast {

// Records [first, first + count) of a sealed batch at one of its destinations.
struct RecordRange {
  SealedBatchPtr sealed;
  std::size_t first = 0;
  std::size_t count = 0;
};

// Where records stand in the log of fates: from `first` on in that batch; 0 = in none.
struct FatePlace {
  std::uint64_t batch = 0;
  std::size_t first = 0;
};

class Settler {
 public:
  Settler(Ledger& ledger, stage::RedoLog& redo, stage::Stage& stage, fates::FateLog fates = {})
      : ledger_(ledger), redo_(redo), stage_(stage), fates_(fates) {}

  void delivered(const RecordRange& range, DestinationIndex destination, std::uint8_t bit);
  // 200 with rejected spans: which they were is not known, so min(spans, records) records count.
  void partly_delivered(const RecordRange& range, DestinationIndex destination, std::uint8_t bit,
                        std::uint64_t rejected_spans);
  void rejected(const RecordRange& range, DestinationIndex destination, std::uint8_t bit,
                RejectReason reason);
  void dropped(const RecordRange& range, DestinationIndex destination, std::uint8_t bit,
               ledger::DropReason reason);

  // Where the spool holds records, and the bits with which the frame then waits for them.
  struct SpoolPlace {
    spool::SegmentState& state;
    std::uint32_t ordinal = 0;
    std::uint64_t frame_bits = 0;
  };
  // Moves records into the spool, where that frame holds them: their `bits` are cleared, the frame
  // waits for `destinations`, the bits' from the lowest on, and they count as spooled. At most
  // spool::kFrameRecordsMax records.
  void spooled(std::span<const stage::EntryRef> entries, std::uint64_t bits,
               std::span<const DestinationIndex> destinations, const SpoolPlace& spool,
               FatePlace place = {});
  // They are the stage's again. Nothing is counted here, it is only told.
  void read_back(const RecordRange& range, DestinationIndex destination) {
    tell(range, destination, fates::Fate::kReadBack, 0);
  }

  // Records settled since the start: shows that there is progress. Any thread.
  [[nodiscard]] std::uint64_t settled() const noexcept {
    return settled_.load(std::memory_order_relaxed);
  }

 private:
  void settle(const RecordRange& range, std::uint8_t bit, ledger::Counter& counter);
  // Before the entries are settled: afterwards they may be gone.
  void tell(const RecordRange& range, DestinationIndex destination, fates::Fate fate,
            std::uint8_t reason);

  Ledger& ledger_;
  stage::RedoLog& redo_;
  stage::Stage& stage_;
  fates::FateLog fates_;
  std::atomic<std::uint64_t> settled_{0};
};

}  // namespace sidecast
