// Pinned: whether dropping a batch would free anything now. Records that another destination is
// about to take keep their segment and their body whatever is dropped of them elsewhere, and come
// free without it. Threads: belongs to the delivery thread, for one moment.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "engine/batch/plan.h"
#include "engine/batch/sealed_batch.h"
#include "engine/stage/segment.h"

namespace sidecast {

class Pinned {
 public:
  // A destination that delivers waits for entries of that group with that bit.
  void add(GroupIndex group, std::uint8_t bit) { delivering_[group] |= std::uint64_t{1} << bit; }
  [[nodiscard]] bool body(const SealedBatch& batch) const;
  // Every segment of the batch.
  [[nodiscard]] bool segments(const SealedBatch& batch);

 private:
  [[nodiscard]] bool is_awaited(const stage::Entry& entry) const;
  [[nodiscard]] bool is_pinned(stage::Segment& segment);

  std::unordered_map<GroupIndex, std::uint64_t> delivering_;  // bits by group
  std::unordered_map<const stage::Segment*, bool> known_;
};

}  // namespace sidecast
