// The spooler's way back: the oldest batch that a destination wants becomes staged records again,
// if there is room for it, and its place on disk is free when they are settled.
#include <algorithm>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/test_point.h"
#include "engine/spool/spooler.h"

namespace sidecast::spool {
namespace {

// So long a wish waits for room in the stage before the destination is told to ask again.
constexpr std::chrono::seconds kRoomPatience{1};
// Parts of the stage for what is read back: for destinations that deliver, and, so that one that
// is slow keeps none of the others waiting, for the only batch of one of these; and for probes.
constexpr std::uint64_t kStageShare = 4;
constexpr std::uint64_t kOnlyBatchShare = 2;
constexpr std::uint64_t kProbeShare = 8;
constexpr std::chrono::milliseconds kReclaimPause{100};

}  // namespace

// Each in its turn: one for which there is no room keeps no other waiting.
void Spooler::serve_wishes(Instant now) {
  bool lacks_room = false;
  for (auto next = wishes_.begin(); next != wishes_.end();) {
    const Outcome outcome = restage_oldest(*next);
    if (outcome == Outcome::kNoRoom) {
      lacks_room = true;
      if (now - next->since < kRoomPatience) {
        ++next;
        continue;
      }
    }
    if (outcome != Outcome::kRestaged) writer_for(next->wish).forgo();  // the next one's turn
    context_.post([answered = std::move(next->answered), found = outcome == Outcome::kRestaged] {
      answered(found);
    });
    next = wishes_.erase(next);
  }
  if (!lacks_room) return;
  context_.relieve();
  if (now < reclaim_again_) return;
  reclaim_again_ = now + kReclaimPause;
  context_.reclaim();
}

// In the share of the stage that is for such, and in the stage.
bool Spooler::make_room(const Wish& wish, std::uint64_t bytes) {
  stage::StageWriter& writer = writer_for(wish);
  if (!writer.segments().empty() && !writer.has_room(bytes)) {
    const std::uint64_t share = wish.is_probe                          ? kProbeShare
                                : in_stage_.contains(wish.destination) ? kStageShare
                                                                       : kOnlyBatchShare;
    std::uint64_t held = writer.bytes() + bytes;
    if (!wish.is_probe) {
      for (const auto& [segment, adopted_bytes] : adopted_) held -= adopted_bytes;
    }
    if (held > context_.budget.stage_bytes / share) return false;
  }
  return writer.reserve(bytes);
}

Spooler::Outcome Spooler::restage_oldest(Waiting& waiting) {
  if (!is_open()) return Outcome::kNothing;
  while (const auto ref = spool_.oldest(waiting.wish.destination)) {
    if (waiting.ref == ref && !make_room(waiting.wish, waiting.bytes)) return Outcome::kNoRoom;
    if (spool_.is_out_of_reach(*ref)) return Outcome::kNothing;
    const auto whole = spool_.read(*ref);
    if (!whole) {
      drop_damaged(*ref, whole.error().message());
      continue;
    }
    const auto frame = spool_.parse(*ref, *whole);
    if (!frame) {
      drop_damaged(*ref, frame.error().message());
      continue;
    }
    return restage(waiting, *ref, *frame);
  }
  return Outcome::kNothing;
}

void Spooler::drop_damaged(FrameRef ref, const std::string& why) {
  const std::uint64_t lost = spool_.drop(ref, spool_.state_of(ref).pending(ref.ordinal),
                                         ledger::DropReason::kDamaged, *context_.redo);
  log_error(
      "{} spooled records cannot be read and are dropped(damaged): {}; see 'sidecast spool check'",
      lost, why);
}

Spooler::Outcome Spooler::restage(Waiting& waiting, FrameRef ref, const Frame& frame) {
  const Wish& wish = waiting.wish;
  std::string plain;
  const auto records = cut_body(frame, plain);
  if (!records) {
    drop_damaged(ref, records.error().message());
    return Outcome::kNothing;
  }
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < records->size(); ++i) {
    bytes += stage::Segment::entry_bytes(frame.records[i].fields, (*records)[i]);
  }
  if (bytes > context_.budget.record_spans_bytes) {
    const std::uint64_t lost = spool_.drop(ref, spool_.bit_of(ref, wish.destination),
                                           ledger::DropReason::kBudget, *context_.redo);
    log_warning(
        "{} spooled records need {} bytes at once, more than memory_limit leaves: dropped(budget); "
        "raise memory_limit",
        lost, bytes);
    return Outcome::kNothing;
  }
  if (!make_room(wish, bytes)) {
    waiting.ref = ref;
    waiting.bytes = bytes;
    return Outcome::kNoRoom;
  }
  stage::StageWriter& writer = writer_for(wish);

  std::vector<stage::EntryRef> entries;
  bool fits = true;
  OpenBatch open;
  for (std::size_t i = 0; i < records->size(); ++i) {
    stage::EntryFields fields = frame.records[i].fields;
    fields.pending = std::uint64_t{1} << wish.bit;
    fields.group = wish.group->slot;
    entries.push_back(writer.append(fields, (*records)[i]));
    fits = fits && freezer_.fits(open, *entries.back().entry, *wish.group);
    open.add(entries.back());
  }
  const std::uint64_t bit = spool_.bit_of(ref, wish.destination);
  writer.note_heads(*context_.redo);
  spool_.note_left(*context_.redo, ref, bit);
  context_.redo->commit();
  SIDECAST_TEST_POINT("spool.restaged");
  spool_.left(ref, bit);
  restaged_[entries.front().segment].push_back(
      {.ref = ref, .bit = bit, .destination = wish.destination, .entries = entries});
  ++in_stage_[wish.destination];

  const auto age = std::max(wall_now() - timestamp_from_ns(frame.head.sealed_ns), Nanoseconds(0));
  const Instant sealed_at = monotonic_now() - std::chrono::duration_cast<Instant::duration>(age);
  const std::uint64_t destinations = std::uint64_t{1} << wish.bit;
  const Group& group = wish.group->group;
  if (fits && group.format.whole_batch && frame.head.form == form_of(group, true)) {
    freezer_.submit_frozen(wish.group, std::move(entries), std::string(frame.body), destinations,
                           sealed_at);
  } else {
    freezer_.freeze(wish.group, entries, destinations, sealed_at);
  }
  return Outcome::kRestaged;
}

// By the frame: one that is never delivered keeps the segment, but not the others' end.
void Spooler::collect() {
  const auto is_settled = [this](Restaged& one) {
    // acquire: as of the segment's count.
    while (one.settled < one.entries.size() &&
           one.entries[one.settled].entry->pending.load(std::memory_order_acquire) == 0) {
      ++one.settled;
    }
    if (one.settled < one.entries.size()) return false;
    settled(one);
    return true;
  };
  for (auto& [segment, frames] : restaged_) std::erase_if(frames, is_settled);
  for (stage::StageWriter* const writer : {&writer_, &probes_}) {
    writer->collect(true, [this](const stage::Segment& segment) {
      if (adopted_.erase(&segment) > 0 && adopted_.empty()) spool_.settle_recovered();
      const auto found = restaged_.find(&segment);
      if (found == restaged_.end()) return;
      for (const Restaged& one : found->second) settled(one);
      restaged_.erase(found);
    });
  }
}

void Spooler::settled(const Restaged& one) {
  spool_.settled(one.ref, one.bit);
  if (--in_stage_[one.destination] == 0) in_stage_.erase(one.destination);
}

void Spooler::settle_restaged() {
  for (const auto& [segment, frames] : restaged_) {
    for (const Restaged& one : frames) settled(one);
  }
  restaged_.clear();
  spool_.settle_recovered();
}

void Spooler::finish() {
  if (!is_open()) return;
  if (Status synced = spool_.sync(); !synced) {
    log_error("what was written last to the spool {} may not outlive a power cut: {}",
              spool_.settings().directory, synced.error().message());
  }
}

}  // namespace sidecast::spool
