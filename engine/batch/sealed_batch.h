// A sealed batch: frozen bytes plus where its records lie in the stage and who must take them.
// Shared by the queues of a group's destinations; a retry sends the same bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/base/clock.h"
#include "engine/batch/plan.h"
#include "engine/model/batch.h"
#include "engine/stage/stage.h"

namespace sidecast {

// Of a batch of one record that was asked to be smaller than what was staged.
struct Shrinking {
  std::uint32_t attempt = 0;    // 0 = it was not asked
  std::uint64_t bytes_max = 0;  // what was asked for; it may have become no smaller
};

struct SealedBatch {
  SealedBatch() = default;
  SealedBatch(const SealedBatch&) = delete;
  SealedBatch& operator=(const SealedBatch&) = delete;
  ~SealedBatch() {
    // relaxed: a figure for the byte budget.
    if (body_bytes_total != nullptr) {
      body_bytes_total->fetch_sub(body_bytes, std::memory_order_relaxed);
    }
  }

  std::shared_ptr<const Batch> batch;
  std::vector<stage::EntryRef> entries;  // entries[i] is batch->records[i]
  PlannedGroupPtr group;
  std::uint64_t destinations = 0;  // bits of the members it is for
  Instant sealed_at;
  std::uint64_t body_bytes = 0;  // heap held by the frozen body, and by a record that was shrunk
  Shrinking shrinking;
  std::uint64_t number = 0;  // in the log of fates; 0 = it is in none
  std::atomic<std::uint64_t>* body_bytes_total = nullptr;
};
using SealedBatchPtr = std::shared_ptr<const SealedBatch>;

}  // namespace sidecast
