// What a reload means for an outlet: it goes on under the next configuration, or it ends.
#include <algorithm>
#include <utility>

#include "engine/base/assert.h"
#include "engine/config/difference.h"
#include "engine/deliver/outlet.h"

namespace sidecast {

using ledger::DestinationState;

void Outlet::follow(PlannedDestination destination) {
  SIDECAST_ASSERT(destination.slot == destination_.slot);
  const DestinationConfigPtr before = std::exchange(destination_.config, destination.config);
  if (std::exchange(has_left_, false)) try_at_once();  // as a new one would
  if (idle()) {                                        // of what was staged earlier nothing is left
    places_.clear();
    note_place(*destination_.group);
  }
  slot().state.store(state_, std::memory_order_relaxed);
  losses_.set_give_up_after(context_.give_up_after);
  breaker_.set_window_max(destination_.config->connections_max);
  if (destination.group != destination_.group) {
    destination_.group = std::move(destination.group);
    note_place(*destination_.group);
    // relaxed: hints for the batcher. The group counts us as available and knows no limit of ours.
    if (state_ != DestinationState::kOk) {
      destination_.group->members_available.fetch_sub(1, std::memory_order_relaxed);
    }
    keep_limit();
  }
  if (before == destination_.config) return;
  if (have_equal_credentials(*before, *destination_.config)) return;
  authorise_anew();
  if (state_ == DestinationState::kPaused) try_at_once();
}

// Requests that wait were made with the headers of before. Their bytes are decided by the identity,
// so each is the same but for those.
void Outlet::authorise_anew() {
  std::vector<Request> requests;
  const SealedBatch* made_for = nullptr;
  for (Send& send : ready_) {
    if (send.sealed.get() != made_for) {
      made_for = send.sealed.get();
      auto again = destination_.config->exporter->encode(send.sealed->batch);
      requests = again ? std::move(*again) : std::vector<Request>();
    }
    const auto same = std::find_if(requests.begin(), requests.end(), [&](const Request& request) {
      return request.record_first == send.request.record_first &&
             request.record_count == send.request.record_count;
    });
    if (same != requests.end()) send.request = *same;
  }
}

void Outlet::try_at_once() {
  breaker_.begin_anew();
  pump_when_allowed();
}

void Outlet::leave() {
  has_left_ = true;
  if (timer_ != 0) context_.loop.cancel(std::exchange(timer_, 0));
  losses_.finish();
  const bool has_piece_at_hand =
      std::any_of(ready_.begin(), ready_.end(), [](const Send& send) { return send.is_piece; });
  for (const Send& send : ready_) {
    if (send.is_piece) continue;
    const RecordRange range = range_of(send);
    hold(*range.sealed, range.first, range.count);
  }
  for (auto* const queue : {&restored_, &waiting_}) {
    for (const SealedBatchPtr& sealed : *queue) hold(*sealed, 0, sealed->entries.size());
    queue->clear();
  }
  ready_.clear();
  queued_bytes_ = 0;
  // Else it is under way or in a worker's hand, and comes back.
  if (has_piece_at_hand) hold_search();
}

// Sent before it left.
void Outlet::judge_last(const Send& send, const Verdict& verdict) {
  const RecordRange range = range_of(send);
  const std::uint8_t bit = bit_in(range.sealed);
  if (verdict.kind == Verdict::Kind::kDelivered) {
    context_.settler.delivered(range, destination_.slot, bit);
  } else if (verdict.kind == Verdict::Kind::kPartial && !verdict.items.empty()) {
    for (const RecordRange& again : settle_named(range, verdict)) {
      hold(*again.sealed, again.first, again.count);
    }
  } else if (verdict.kind == Verdict::Kind::kPartial) {
    context_.settler.partly_delivered(range, destination_.slot, bit, verdict.rejected_spans);
  } else if (!send.is_piece) {
    hold(*range.sealed, range.first, range.count);
  }
  if (send.is_piece) hold_search();
}

// What of these records is still to be delivered.
void Outlet::hold(const SealedBatch& sealed, std::size_t first, std::size_t count) {
  const std::uint8_t bit = sealed.group->bit_of(destination_.slot);
  std::vector<HeldRecord> records;
  for (std::size_t i = first; i < first + count; ++i) {
    // relaxed: only this thread clears bits.
    const std::uint64_t pending = sealed.entries[i].entry->pending.load(std::memory_order_relaxed);
    if ((pending >> bit & 1U) == 0) continue;
    records.push_back({.entry = sealed.entries[i], .destination = destination_.slot, .bit = bit});
  }
  context_.held.add(std::move(records), wall_now());
}

void Outlet::hold_search() {
  hold(*search_->held, 0, search_->held->entries.size());
  search_.reset();
}

void Outlet::note_place(const PlannedGroup& group) {
  const Place place{.group = group.slot, .bit = group.bit_of(destination_.slot)};
  if (std::find(places_.begin(), places_.end(), place) == places_.end()) places_.push_back(place);
}

}  // namespace sidecast
