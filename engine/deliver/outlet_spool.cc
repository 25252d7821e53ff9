// An outlet's dealings with the spool: which of its batches can wait on disk, and when it takes
// some back.
#include <algorithm>
#include <utility>

#include "engine/deliver/outlet.h"
#include "engine/spool/spooler.h"

namespace sidecast {
namespace {

using ledger::DestinationState;

// Batches out of the spool that one destination may have in memory: enough that none is waited
// for; of one that fails, the next probe.
constexpr std::size_t kLookAhead = 4;
// Of so many turns one is for what is new, while there is older work from the spool.
constexpr std::size_t kTurns = 4;
constexpr std::chrono::milliseconds kAskPause{200};
// After something went back since others wanted the room: it shall not go to and fro.
constexpr std::chrono::seconds kGivenBackPause{2};

}  // namespace

SealedBatchPtr Outlet::take_turn() {
  const bool is_turn_of_new = ++turns_ % kTurns == 0;
  auto& queue = restored_.empty() || (is_turn_of_new && !waiting_.empty()) ? waiting_ : restored_;
  if (queue.empty()) return nullptr;
  SealedBatchPtr next = std::move(queue.front());
  queue.pop_front();
  return next;
}

bool Outlet::has_spooled() const noexcept {
  if (!context_.read_back) return false;
  const ledger::DestinationSlot& counts = context_.ledger.destination(destination_.slot);
  // relaxed: a hint; the spool knows.
  return counts.spooled_in.load(std::memory_order_relaxed) !=
         counts.spooled_out.load(std::memory_order_relaxed);
}

void Outlet::ask_for_spooled() {
  if (has_left_ || !has_spooled()) return;
  const Instant now = monotonic_now();
  if (now < ask_again_) return;
  const bool is_ok = state_ == DestinationState::kOk;
  if (!is_ok && !(idle() && breaker_.may_send(now))) return;
  const std::size_t wanted = is_ok ? kLookAhead : 1;
  // An engine that ends answers at once, and says when to ask again.
  while (restored_.size() + asked_ < wanted && now >= ask_again_) {
    ++asked_;
    context_.read_back(destination_, !is_ok);
  }
}

void Outlet::submit_restored(SealedBatchPtr sealed) {
  if (has_left_) {
    hold(*sealed, 0, sealed->entries.size());
    return;
  }
  if (sealed->group != destination_.group) note_place(*sealed->group);
  if (idle() && state_ == DestinationState::kOk) delivered_at_ = monotonic_now();
  queued_bytes_ += sealed->batch->uncompressed_bytes;
  restored_.push_back(std::move(sealed));
  pump();
}

void Outlet::read_back_answered(bool found) {
  // An answer may be to an outlet before this one.
  asked_ -= std::min<std::size_t>(asked_, 1);
  if (!found) ask_again_ = monotonic_now() + kAskPause;
}

std::optional<RecordRange> Outlet::take_for_spool(bool delivers) {
  std::optional<RecordRange> taken;
  const auto take_front = [&](std::deque<SealedBatchPtr>& queue) {
    taken = RecordRange{queue.front(), 0, queue.front()->entries.size()};
    queue.pop_front();
  };
  // Pieces of a search are soon decided.
  const auto ready =
      std::find_if(ready_.begin(), ready_.end(), [](const Send& send) { return !send.is_piece; });
  if (!delivers && ready != ready_.end()) {
    taken = range_of(*ready);
    ready_.erase(ready);
  } else if (!delivers && !restored_.empty()) {
    take_front(restored_);
  } else if (!waiting_.empty()) {
    take_front(waiting_);
  }
  if (taken) retire(taken->sealed, taken->count);
  return taken;
}

std::optional<RecordRange> Outlet::take_for_spool(const SealedBatch* sealed) {
  std::optional<RecordRange> taken;
  for (auto* const queue : {&waiting_, &restored_}) {
    const auto found = std::find_if(queue->begin(), queue->end(),
                                    [&](const auto& one) { return one.get() == sealed; });
    if (found == queue->end()) continue;
    taken = RecordRange{*found, 0, sealed->entries.size()};
    queue->erase(found);
    break;
  }
  const auto ready = std::find_if(ready_.begin(), ready_.end(), [&](const Send& send) {
    return !send.is_piece && send.sealed.get() == sealed &&
           send.request.record_count == sealed->entries.size();
  });
  if (!taken && ready != ready_.end()) {
    taken = range_of(*ready);
    ready_.erase(ready);
  }
  if (taken) retire(taken->sealed, taken->count);
  return taken;
}

std::optional<RecordRange> Outlet::take_read_back() {
  const auto is_one = [](const SealedBatchPtr& sealed) {
    return spool::is_read_back(sealed->entries.front().segment->key());
  };
  std::optional<RecordRange> taken;
  const auto ready = std::find_if(ready_.begin(), ready_.end(), [&](const Send& send) {
    return !send.is_piece && is_one(send.sealed);
  });
  if (ready != ready_.end()) {
    taken = range_of(*ready);
    ready_.erase(ready);
  }
  for (auto* const queue : {&restored_, &waiting_}) {
    if (taken) break;
    // The newest first: what is left is in its order.
    const auto found = std::find_if(queue->rbegin(), queue->rend(), is_one);
    if (found == queue->rend()) continue;
    taken = RecordRange{*found, 0, (*found)->entries.size()};
    queue->erase(std::next(found).base());
  }
  if (taken) ask_again_ = monotonic_now() + kGivenBackPause;
  if (taken) retire(taken->sealed, taken->count);
  return taken;
}

const SealedBatch* Outlet::waiting_since(
    Instant before, const std::function<bool(const SealedBatch&)>& is_such) const {
  for (const SealedBatchPtr& sealed : waiting_) {
    if (sealed->sealed_at >= before) break;
    if (is_such(*sealed)) return sealed.get();
  }
  return nullptr;
}

// Its requests were made before a reload that may have come meanwhile, so they are made anew.
void Outlet::put_back(const RecordRange& range) {
  if (has_left_) {
    hold(*range.sealed, range.first, range.count);
  } else if (range.count == range.sealed->entries.size()) {
    queued_bytes_ += range.sealed->batch->uncompressed_bytes;
    // At its place: several come back in the order in which they went.
    const auto at = std::upper_bound(waiting_.begin(), waiting_.end(), range.sealed,
                                     [](const SealedBatchPtr& a, const SealedBatchPtr& b) {
                                       return a->sealed_at < b->sealed_at;
                                     });
    waiting_.insert(at, range.sealed);
  } else {
    refreeze(range.sealed, {range.first, range.count});
  }
}

}  // namespace sidecast
