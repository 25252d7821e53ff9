#include "engine/batch/settle.h"

#include <algorithm>
#include <span>

#include "engine/base/assert.h"

namespace sidecast {
namespace {

std::uint64_t value_of(const ledger::Counter& counter) {
  return counter.load(std::memory_order_relaxed);  // this thread is its only writer
}

// Records whose content was shortened, by the worker that staged them or since.
std::uint64_t shrunk_in(const RecordRange& range) {
  if (range.sealed->batch != nullptr && range.sealed->batch->shrunk != nullptr) return 1;
  const auto begin = range.sealed->entries.begin() + static_cast<std::ptrdiff_t>(range.first);
  return static_cast<std::uint64_t>(
      std::count_if(begin, begin + static_cast<std::ptrdiff_t>(range.count),
                    [](const stage::EntryRef& ref) { return ref.entry->is_shrunk != 0; }));
}

RecordRange part_of(const RecordRange& range, std::size_t first, std::size_t count) {
  return {.sealed = range.sealed, .first = range.first + first, .count = count};
}

}  // namespace

void Settler::settle(const RecordRange& range, std::uint8_t bit, ledger::Counter& counter) {
  const auto& entries = range.sealed->entries;
  SIDECAST_ASSERT(range.first + range.count <= entries.size());
  // Far below what a redo record holds, and one commit's stores stay in the cache.
  constexpr std::size_t kRecordsPerCommit = 4096;
  for (std::size_t done = 0; done < range.count;) {
    const std::size_t count = std::min(kRecordsPerCommit, range.count - done);
    const std::size_t first = range.first + done;
    for (std::size_t i = first; i < first + count; ++i) {
      redo_.clear_pending(*entries[i].segment, *entries[i].entry, bit);
    }
    redo_.set_counter(ledger_, counter, value_of(counter) + count);
    redo_.commit();
    for (std::size_t i = first; i < first + count; ++i) {
      // relaxed: only this thread clears bits.
      if (entries[i].entry->pending.load(std::memory_order_relaxed) != 0) continue;
      stage_.settled(*entries[i].segment);
    }
    done += count;
  }
  settled_.fetch_add(range.count, std::memory_order_relaxed);
}

void Settler::tell(const RecordRange& range, DestinationIndex destination, fates::Fate fate,
                   std::uint8_t reason) {
  if (!fates_.is_open()) return;
  fates::PartNote part{.batch = range.sealed->number,
                       .first = range.first,
                       .count = range.count,
                       .destination = destination};
  if (part.batch == 0) {  // they were in none
    const std::span<const stage::EntryRef> entries(range.sealed->entries);
    part.first = 0;
    part.batch = fates_.batch(entries[range.first].entry->group, 0, 0,
                              entries.subspan(range.first, range.count));
  }
  fates_.settled(part, fate, reason);
}

void Settler::delivered(const RecordRange& range, DestinationIndex destination, std::uint8_t bit) {
  auto& slot = ledger_.destination(destination);
  if (const std::uint64_t shrunk = shrunk_in(range); shrunk > 0) {
    redo_.set_counter(ledger_, slot.shrunk, value_of(slot.shrunk) + shrunk);
  }
  tell(range, destination, fates::Fate::kDelivered, 0);
  settle(range, bit, slot.delivered);
}

void Settler::partly_delivered(const RecordRange& range, DestinationIndex destination,
                               std::uint8_t bit, std::uint64_t rejected_spans) {
  auto& slot = ledger_.destination(destination);
  const auto refused =
      static_cast<std::size_t>(std::min<std::uint64_t>(rejected_spans, range.count));
  redo_.set_counter(ledger_, slot.rejected_spans, value_of(slot.rejected_spans) + rejected_spans);
  if (refused > 0) {
    rejected(part_of(range, 0, refused), destination, bit, RejectReason::kPartial);
  }
  if (refused < range.count) {
    delivered(part_of(range, refused, range.count - refused), destination, bit);
  }
}

void Settler::rejected(const RecordRange& range, DestinationIndex destination, std::uint8_t bit,
                       RejectReason reason) {
  tell(range, destination, fates::Fate::kRejected, static_cast<std::uint8_t>(reason));
  settle(range, bit, ledger_.destination(destination).rejected[static_cast<std::size_t>(reason)]);
}

void Settler::spooled(std::span<const stage::EntryRef> entries, std::uint64_t bits,
                      std::span<const DestinationIndex> destinations, const SpoolPlace& spool,
                      FatePlace place) {
  if (fates_.is_open()) {
    // Before they are settled: afterwards they may be gone.
    if (place.batch == 0) {
      place = {.batch = fates_.batch(entries.front().entry->group, 0, 0, entries), .first = 0};
    }
    for (const DestinationIndex destination : destinations) {
      fates_.settled({.batch = place.batch,
                      .first = place.first,
                      .count = entries.size(),
                      .destination = destination},
                     fates::Fate::kSpooled, 0);
    }
  }
  for (const stage::EntryRef& ref : entries) redo_.clear_bits(*ref.segment, *ref.entry, bits);
  for (const DestinationIndex destination : destinations) {
    ledger::Counter& counter = ledger_.destination(destination).spooled_in;
    redo_.set_counter(ledger_, counter, value_of(counter) + entries.size());
  }
  redo_.set_spooled(spool.state, spool.ordinal,
                    spool.state.pending(spool.ordinal) | spool.frame_bits);
  redo_.commit();
  for (const stage::EntryRef& ref : entries) {
    // relaxed: only this thread clears bits.
    if (ref.entry->pending.load(std::memory_order_relaxed) == 0) stage_.settled(*ref.segment);
  }
  settled_.fetch_add(entries.size(), std::memory_order_relaxed);
}

void Settler::dropped(const RecordRange& range, DestinationIndex destination, std::uint8_t bit,
                      ledger::DropReason reason) {
  tell(range, destination, fates::Fate::kDropped, static_cast<std::uint8_t>(reason));
  settle(range, bit, ledger_.destination(destination).dropped[static_cast<std::size_t>(reason)]);
}

}  // namespace sidecast
