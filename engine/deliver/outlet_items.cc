// Outlet, where an answer speaks of each record: some are delivered, some refused for good, and
// only the rest is frozen and sent again.
#include <algorithm>
#include <utility>

#include "engine/base/assert.h"
#include "engine/deliver/outlet.h"

namespace sidecast {

std::vector<RecordRange> Outlet::settle_named(const RecordRange& range, const Verdict& verdict) {
  SIDECAST_ASSERT(verdict.items.size() == range.count);
  std::vector<RecordRange> again;
  std::size_t rejected = 0;
  for (std::size_t i = 0; i < range.count;) {
    const ItemFate fate = verdict.items[i];
    RecordRange run{range.sealed, range.first + i, 0};
    for (; i < range.count && verdict.items[i] == fate; ++i) ++run.count;
    if (fate == ItemFate::kDelivered) {
      context_.settler.delivered(run, destination_.slot, bit_in(run.sealed));
    } else if (fate == ItemFate::kRejected) {
      context_.settler.rejected(run, destination_.slot, bit_in(run.sealed), verdict.reason);
      rejected += run.count;
    } else if (fate == ItemFate::kTooLarge) {
      rejected += shrink_or_reject(run);
    } else {
      again.push_back(std::move(run));
    }
  }
  if (rejected > 0) losses_.rejected(rejected, verdict.explanation, monotonic_now());
  return again;
}

// Each of them by itself was too large.
std::size_t Outlet::shrink_or_reject(const RecordRange& range) {
  std::size_t rejected = 0;
  for (std::size_t i = 0; i < range.count; ++i) {
    const RecordRange one{range.sealed, range.first + i, 1};
    if (shorten_refused(one, RejectReason::kTooLarge)) continue;
    context_.settler.rejected(one, destination_.slot, bit_in(one.sealed), RejectReason::kTooLarge);
    ++rejected;
  }
  return rejected;
}

void Outlet::settle_items(const Send& send, Breaker::Round round, const Verdict& verdict) {
  const RecordRange range = range_of(send);
  std::vector<stage::EntryRef> again;
  for (const RecordRange& run : settle_named(range, verdict)) {
    const auto first = run.sealed->entries.begin() + static_cast<std::ptrdiff_t>(run.first);
    again.insert(again.end(), first, first + static_cast<std::ptrdiff_t>(run.count));
  }
  retire(range.sealed, range.count);
  if (send.is_piece) search_->bisect.accepted();
  const bool has_delivered = std::find(verdict.items.begin(), verdict.items.end(),
                                       ItemFate::kDelivered) != verdict.items.end();
  if (has_delivered) {
    has_accepted_ = true;
    if (send.request.messages != nullptr) limit_.accepted(accepted_bytes(send, verdict));
    is_search_hopeless_ = false;
    delivered_at_ = accepted_at_ = monotonic_now();
  }
  if (again.size() * 2 > range.count) {  // most are wanted again: it is overloaded
    failed(round, verdict);
  } else {
    answered(round, verdict);
  }
  if (again.empty()) return;
  // relaxed: a figure for stats, with this thread as its only writer.
  slot().retries.fetch_add(1, std::memory_order_relaxed);
  context_.refreeze(range.sealed->group, std::move(again), std::uint64_t{1} << bit_in(range.sealed),
                    range.sealed->sealed_at, {});
}

}  // namespace sidecast
