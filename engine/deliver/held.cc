#include "engine/deliver/held.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "engine/base/log.h"

namespace sidecast {
namespace {

// "one, two, three and 4 more".
std::string names_of(const std::set<DestinationIndex>& destinations, const Ledger& ledger) {
  constexpr std::size_t kNamesMax = 3;
  std::string names;
  std::size_t count = 0;
  for (const DestinationIndex destination : destinations) {
    if (count++ == kNamesMax) break;
    if (!names.empty()) names += ", ";
    names += ledger.destination(destination).name.data();
  }
  if (destinations.size() > kNamesMax) {
    names += fmt::format(" and {} more", destinations.size() - kNamesMax);
  }
  return names;
}

// Segments are numbered in the order they were begun.
auto place_of(const HeldRecord& record) {
  const stage::SegmentKey key = record.entry.segment->key();
  return std::tuple(key.sequence, key.worker, record.entry.entry);
}

}  // namespace

void HeldRecords::add(std::vector<HeldRecord> records, Timestamp now) {
  if (records.empty()) return;
  std::set<DestinationIndex> destinations;
  for (const HeldRecord& record : records) {
    if (destinations_.insert(record.destination).second) destinations.insert(record.destination);
  }
  for (const DestinationIndex destination : destinations) {
    // relaxed: no other thread writes it. A clock that was set back does not hold anything for
    // ever.
    auto& since = ledger_.destination(destination).held_since_ns;
    const std::int64_t known = since.load(std::memory_order_relaxed);
    if (known == 0 || known > unix_ns(now)) since.store(unix_ns(now), std::memory_order_relaxed);
  }
  if (!destinations.empty()) tell(records.size(), destinations);
  const auto is_before = [](const HeldRecord& a, const HeldRecord& b) {
    return place_of(a) < place_of(b);
  };
  std::sort(records.begin(), records.end(), is_before);
  const auto middle = static_cast<std::ptrdiff_t>(records_.size());
  records_.insert(records_.end(), records.begin(), records.end());
  std::inplace_merge(records_.begin(), records_.begin() + middle, records_.end(), is_before);
  tick(now);
}

void HeldRecords::tell(std::size_t records, const std::set<DestinationIndex>& destinations) const {
  log_warning(
      "{} staged records are for destinations that were changed, disabled or removed ({}): held "
      "until {} s after the change was first seen, then dropped(policy_changed); undo it before "
      "that to have them delivered",
      records, names_of(destinations, ledger_), give_up_after_.count());
}

std::vector<HeldRecord> HeldRecords::take(DestinationIndex destination) {
  if (destinations_.erase(destination) == 0) return {};
  // relaxed: see add().
  ledger_.destination(destination).held_since_ns.store(0, std::memory_order_relaxed);
  const auto taken = std::stable_partition(
      records_.begin(), records_.end(),
      [destination](const HeldRecord& record) { return record.destination != destination; });
  std::vector<HeldRecord> records(taken, records_.end());
  records_.erase(taken, records_.end());
  count();
  return records;
}

void HeldRecords::tick(Timestamp now) {
  if (records_.empty()) return;
  const auto is_kept = [&](const HeldRecord& record) {
    const auto& since = ledger_.destination(record.destination).held_since_ns;
    // relaxed: this thread's own, or written before it began.
    return now - timestamp_from_ns(since.load(std::memory_order_relaxed)) <= give_up_after_;
  };
  const auto due = std::stable_partition(records_.begin(), records_.end(), is_kept);
  if (due != records_.end()) {
    const std::vector<HeldRecord> over(due, records_.end());
    records_.erase(due, records_.end());
    count();  // first: what is still unsettled must not look held
    drop(over, ledger::DropReason::kPolicyChanged);
    log_warning("{} held records are dropped(policy_changed): nobody undid the change in time",
                over.size());
  }
  count();
}

std::uint64_t HeldRecords::drop_oldest(std::uint64_t bytes, Shortage shortage) {
  std::uint64_t freed = 0;
  auto end = records_.begin();
  for (; end != records_.end() && freed < bytes; ++end) freed += end->entry.entry->encoded_bytes;
  if (end == records_.begin()) return 0;
  const std::vector<HeldRecord> oldest(records_.begin(), end);
  records_.erase(records_.begin(), end);
  count();
  if (!is_loss_told_) {
    log_warning(
        "{}: records held for destinations that were changed, disabled or removed are dropped, "
        "oldest first; {}",
        shortage_text(shortage), shortage_remedy(shortage));
    is_loss_told_ = true;
  }
  drop(oldest, ledger::DropReason::kBudget);
  return freed;
}

void HeldRecords::drop(const std::vector<HeldRecord>& records, ledger::DropReason reason) {
  std::map<std::pair<DestinationIndex, std::uint8_t>, std::vector<stage::EntryRef>> parts;
  for (const HeldRecord& record : records) {
    parts[{record.destination, record.bit}].push_back(record.entry);
  }
  for (auto& [key, entries] : parts) {
    auto sealed = std::make_shared<SealedBatch>();
    sealed->entries = std::move(entries);
    settler_.dropped({.sealed = sealed, .first = 0, .count = sealed->entries.size()}, key.first,
                     key.second, reason);
  }
}

void HeldRecords::count() noexcept {
  std::uint64_t entries = 0;
  for (auto record = records_.begin(); record != records_.end();) {
    const stage::Entry* const entry = record->entry.entry;
    std::uint64_t held = 0;
    for (; record != records_.end() && record->entry.entry == entry; ++record) {
      held |= std::uint64_t{1} << record->bit;
    }
    // relaxed: only this thread clears bits.
    if ((entry->pending.load(std::memory_order_relaxed) & ~held) == 0) ++entries;
  }
  // release: after the bits that were cleared before.
  entries_.store(entries, std::memory_order_release);
}

}  // namespace sidecast
