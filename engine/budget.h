// Budget: how memory_limit is divided. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace sidecast {

struct Budget {
  std::uint64_t stage_bytes = 0;         // segments, those kept for use again included
  std::uint64_t body_bytes = 0;          // frozen bodies on the heap
  std::uint64_t segment_bytes = 0;       // one file of the stage
  std::uint64_t batch_bytes = 0;         // uncompressed, whatever a destination could take
  std::uint64_t fates_bytes = 0;         // of the log of fates, unless the configuration says
  std::uint64_t record_spans_bytes = 0;  // of one record in all groups; larger ones are oversized
  std::size_t workers = 0;               // as many as were wanted, or as there is room for
};

[[nodiscard]] constexpr Budget make_budget(std::uint64_t memory_limit_bytes, std::size_t workers) {
  // The rest is for the engine itself.
  constexpr std::uint64_t kStagePercent = 60;
  constexpr std::uint64_t kBodyPercent = 30;
  // Small enough that a dead destination's last entry does not pin much, large enough that making
  // one is rare: 4 MiB holds some hundred records of 16 KiB.
  constexpr std::uint64_t kSegmentBytesMax = 4U << 20U;
  constexpr std::uint64_t kSegmentBytesMin = 1U << 20U;
  // Each worker writes to one segment while others wait to be settled.
  constexpr std::uint64_t kSegmentsPerWorker = 4;
  constexpr std::uint64_t kPageBytes = 4096;

  Budget budget;
  budget.stage_bytes = memory_limit_bytes / 100 * kStagePercent;
  budget.body_bytes = memory_limit_bytes / 100 * kBodyPercent;
  const std::uint64_t workers_max =
      std::max<std::uint64_t>(1, budget.stage_bytes / (kSegmentsPerWorker * kSegmentBytesMin));
  budget.workers = static_cast<std::size_t>(std::min<std::uint64_t>(workers, workers_max));
  const std::uint64_t share =
      budget.stage_bytes / (kSegmentsPerWorker * std::max<std::uint64_t>(1, budget.workers));
  budget.segment_bytes =
      std::clamp(share, kSegmentBytesMin, kSegmentBytesMax) / kPageBytes * kPageBytes;
  // A few requests of one destination that hangs must not take all there is, and a batch is the
  // least that can be dropped.
  budget.batch_bytes = budget.body_bytes / 4;
  constexpr std::uint64_t kFatesBytesMax = 16U << 20U;
  budget.fates_bytes = std::min(kFatesBytesMax, memory_limit_bytes / 32);
  budget.record_spans_bytes = budget.stage_bytes / 2;
  return budget;
}

}  // namespace sidecast
