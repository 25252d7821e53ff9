#include "engine/deliver/pinned.h"

#include <algorithm>

namespace sidecast {

bool Pinned::is_awaited(const stage::Entry& entry) const {
  // relaxed: only this thread clears bits.
  const std::uint64_t pending = entry.pending.load(std::memory_order_relaxed);
  if (pending == 0) return false;
  const auto bits = delivering_.find(entry.group);
  return bits != delivering_.end() && (pending & bits->second) != 0;
}

bool Pinned::is_pinned(stage::Segment& segment) {
  const auto [known, is_new] = known_.try_emplace(&segment, false);
  if (!is_new) return known->second;
  for (std::uint64_t offset = 0; offset < segment.head();) {
    const stage::Entry* const entry = segment.entry_at(offset);
    if (is_awaited(*entry)) {
      known->second = true;
      break;
    }
    offset += entry->size_bytes;
  }
  return known->second;
}

bool Pinned::body(const SealedBatch& batch) const {
  return std::any_of(batch.entries.begin(), batch.entries.end(),
                     [this](const stage::EntryRef& ref) { return is_awaited(*ref.entry); });
}

bool Pinned::segments(const SealedBatch& batch) {
  return std::all_of(batch.entries.begin(), batch.entries.end(),
                     [this](const stage::EntryRef& ref) { return is_pinned(*ref.segment); });
}

}  // namespace sidecast
