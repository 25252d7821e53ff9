#include "engine/spool/spool.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/set_aside.h"
#include "engine/spool/directory_lock.h"

namespace sidecast::spool {
namespace {

std::uint64_t value_of(const ledger::Counter& counter) {
  return counter.load(std::memory_order_relaxed);  // this thread is its only writer
}

}  // namespace

Spool::Spool(Settings settings, std::string state_directory, Ledger& ledger)
    : settings_(std::move(settings)),
      state_directory_(std::move(state_directory)),
      ledger_(ledger) {
  const auto paths = files_of(state_directory_, ".state");
  if (!paths) return;
  for (const std::string& path : *paths) {
    bool is_unreachable = false;
    auto state = SegmentState::open(path, is_unreachable);
    if (is_unreachable) {
      // A name that is none of ours is no number, and no segment's.
      unreachable_states_.insert(
          std::strtoull(std::filesystem::path(path).stem().c_str(), nullptr, 16));
    } else if (state && (*state)->epoch() == ledger_.header().epoch) {
      const std::uint64_t id = (*state)->segment_id();
      states_.emplace(id, std::move(*state));
    } else {
      unlink(path.c_str());  // agrees with no counter of ours
    }
  }
}

Spool::~Spool() {
  if (lock_ >= 0) close(lock_);
}

SegmentState* Spool::state_of(std::uint64_t segment_id) noexcept {
  const auto found = states_.find(segment_id);
  return found == states_.end() ? nullptr : found->second.get();
}

std::string Spool::state_path(std::uint64_t segment_id) const {
  return fmt::format("{}/{:016x}.state", state_directory_, segment_id);
}

Status Spool::open() {
  if (lock_ >= 0) return {};
  const auto fd = lock_directory(settings_.directory);
  if (!fd) return fail(fd.error());
  lock_ = *fd;
  return {};
}

// ---- Out of it ----------------------------------------------------------------------------------

const Spool::FrameInfo& Spool::info(FrameRef ref) const {
  return segments_.at(ref.sequence).frames[ref.ordinal];
}

std::uint64_t Spool::bit_of(FrameRef ref, DestinationIndex destination) const {
  const auto& slots = destination_sets_[info(ref).destinations];
  const auto found = std::find(slots.begin(), slots.end(), destination);
  SIDECAST_ASSERT(found != slots.end());
  return std::uint64_t{1} << (found - slots.begin());
}

std::optional<FrameRef> Spool::oldest(DestinationIndex destination) {
  const auto found = queues_.find(destination);
  if (found == queues_.end()) return std::nullopt;
  Queue& queue = found->second;
  // Those that left otherwise still stand in the queue.
  while (!queue.empty()) {
    const FrameRef ref = queue.front().ref;
    const auto held = segments_.find(ref.sequence);
    if (held != segments_.end() &&
        (held->second.state->pending(ref.ordinal) & bit_of(ref, destination)) != 0) {
      if (held->second.giving_back.contains(ref.ordinal)) return std::nullopt;  // soon
      return ref;
    }
    queue.pop_front();
  }
  queues_.erase(found);
  return std::nullopt;
}

bool Spool::is_out_of_reach(FrameRef ref) {
  return segments_.at(ref.sequence).file->wake() == SegmentFile::Waking::kNotNow;
}

Result<std::string> Spool::read(FrameRef ref) {
  const FrameInfo& frame = info(ref);
  SegmentFile& file = *segments_.at(ref.sequence).file;
  if (file.wake() != SegmentFile::Waking::kAwake) return fail(file.path() + " is gone");
  auto bytes = file.read(frame.offset, frame.size_bytes);
  if (ref.sequence != active_) file.rest();
  return bytes;
}

Result<Frame> Spool::parse(FrameRef ref, Bytes whole) const {
  const SegmentFile& file = *segments_.at(ref.sequence).file;
  auto frame = parse_frame(whole, file.id(), info(ref).offset);
  if (frame) return frame;
  return fail(
      std::move(frame.error()).with(fmt::format("{} offset {}", file.path(), info(ref).offset)));
}

void Spool::note_left(stage::RedoLog& redo, FrameRef ref, std::uint64_t bits) {
  const Held& held = segments_.at(ref.sequence);
  const FrameInfo& frame = held.frames[ref.ordinal];
  redo.set_spooled(*held.state, ref.ordinal, held.state->pending(ref.ordinal) & ~bits);
  const auto& slots = destination_sets_[frame.destinations];
  for (std::size_t bit = 0; bit < slots.size(); ++bit) {
    if ((bits >> bit & 1U) == 0) continue;
    ledger::Counter& out = ledger_.destination(slots[bit]).spooled_out;
    redo.set_counter(ledger_, out, value_of(out) + frame.records);
  }
}

void Spool::left(FrameRef ref, std::uint64_t bits) {
  Held& held = segments_.at(ref.sequence);
  const auto destinations = static_cast<std::uint64_t>(std::popcount(bits));
  held.unsettled += destinations;
  figures_.records -= destinations * held.frames[ref.ordinal].records;
  if (held.state->pending(ref.ordinal) == 0) --figures_.batches;
}

void Spool::settled(FrameRef ref, std::uint64_t bits) {
  Held& held = segments_.at(ref.sequence);
  held.unsettled -= static_cast<std::uint64_t>(std::popcount(bits));
  // A segment that is about to go needs no word of it. An error costs a batch that is sent again
  // after a power cut.
  const bool goes = is_done(held);
  if (!goes) static_cast<void>(held.file->note_done(ref.ordinal, bits));
  if (ref.sequence != active_) held.file->rest();
  retire_if_done(ref.sequence);
}

std::uint64_t Spool::drop(FrameRef ref, std::uint64_t bits, ledger::DropReason reason,
                          stage::RedoLog& redo) {
  const FrameInfo& frame = info(ref);
  const auto& slots = destination_sets_[frame.destinations];
  note_left(redo, ref, bits);
  for (std::size_t bit = 0; bit < slots.size(); ++bit) {
    if ((bits >> bit & 1U) == 0) continue;
    ledger::Counter& dropped =
        ledger_.destination(slots[bit]).spool_dropped[static_cast<std::size_t>(reason)];
    redo.set_counter(ledger_, dropped, value_of(dropped) + frame.records);
  }
  redo.commit();
  if (reason == ledger::DropReason::kDamaged) segments_.at(ref.sequence).is_damaged = true;
  const std::uint64_t records =
      std::uint64_t{frame.records} * static_cast<std::uint64_t>(std::popcount(bits));
  left(ref, bits);
  settled(ref, bits);
  return records;
}

bool Spool::is_done(const Held& held) const {
  if (!held.uncommitted.empty() || held.unsettled > 0 || held.sequence == active_) return false;
  for (std::uint32_t i = 0; i < held.state->frames(); ++i) {
    if (held.state->pending(i) != 0) return false;
  }
  return true;
}

void Spool::retire_if_done(std::uint64_t sequence) {
  const auto found = segments_.find(sequence);
  if (found == segments_.end() || !is_done(found->second)) return;
  Held& held = found->second;
  figures_.bytes -= held.file->file_bytes();
  // First the file: without it, its state is nothing; the other way round it would be adopted.
  if (held.is_damaged) {
    held.file->set_aside();
    bound_set_aside(settings_.directory, ".damaged");
  } else {
    held.file->remove();
  }
  held.state->remove();
  states_.erase(held.file->id());
  segments_.erase(found);
}

bool Spool::drop_oldest_segment(stage::RedoLog& redo) {
  for (auto& [sequence, held] : segments_) {
    if (sequence == active_) continue;
    const std::uint64_t oldest = sequence;
    const auto frames = static_cast<std::uint32_t>(held.frames.size());
    SegmentState& state = *held.state;
    bool waited = false;
    for (std::uint32_t i = 0; i < frames; ++i) {
      // The last drop may take the segment with it.
      if (segments_.find(oldest) == segments_.end()) break;
      if (held.uncommitted.contains(i) || held.giving_back.contains(i)) continue;
      const std::uint64_t pending = state.pending(i);
      if (pending == 0) continue;
      waited = true;
      dropped_for_room_ +=
          drop({.sequence = oldest, .ordinal = i}, pending, ledger::DropReason::kBudget, redo);
    }
    // It may wait for what was staged from it to be settled; the next one then.
    if (waited || segments_.find(oldest) == segments_.end()) return true;
  }
  return false;
}

// ---- From time to time --------------------------------------------------------------------------

Spool::Overdue Spool::drop_overdue(stage::RedoLog& redo, Timestamp now) {
  Overdue overdue;
  const std::int64_t age_max_ns = Nanoseconds(settings_.age_max).count();
  const std::int64_t oldest_ns = unix_ns(now) - age_max_ns;
  // A drop may take its segment with it, and a queue.
  std::vector<std::uint64_t> old_segments;
  for (const auto& [sequence, held] : segments_) {
    if (held.oldest_ns < oldest_ns) old_segments.push_back(sequence);
  }
  for (const std::uint64_t sequence : old_segments) {
    for (std::uint32_t i = 0;; ++i) {
      const auto held = segments_.find(sequence);
      if (held == segments_.end() || i >= held->second.frames.size()) break;
      const std::uint64_t pending = held->second.state->pending(i);
      if (pending == 0 || held->second.uncommitted.contains(i)) continue;
      if (held->second.giving_back.contains(i)) continue;
      if (held->second.frames[i].sealed_ns >= oldest_ns) continue;
      overdue.expired += drop({sequence, i}, pending, ledger::DropReason::kExpired, redo);
    }
  }
  std::vector<DestinationIndex> unwanted;
  for (const auto& [destination, queue] : queues_) {
    ledger::DestinationSlot& slot = ledger_.destination(destination);
    // Its slot may be another's by now, or is about to be.
    if (value_of(slot.spooled_in) == value_of(slot.spooled_out)) continue;
    const auto state = slot.state.load(std::memory_order_relaxed);
    if (state != ledger::DestinationState::kRemoved && state != ledger::DestinationState::kDisabled)
      continue;
    // relaxed: a time of day that whoever sees it first may write. See deliver/held.h.
    const std::int64_t since = slot.held_since_ns.load(std::memory_order_relaxed);
    if (since == 0 || since > unix_ns(now)) {
      slot.held_since_ns.store(unix_ns(now), std::memory_order_relaxed);
    } else if (unix_ns(now) - since > age_max_ns) {
      unwanted.push_back(destination);
    }
  }
  for (const DestinationIndex destination : unwanted) {
    while (const auto ref = oldest(destination)) {
      overdue.policy_changed +=
          drop(*ref, bit_of(*ref, destination), ledger::DropReason::kPolicyChanged, redo);
    }
  }
  return overdue;
}

Status Spool::sync() {
  if (Status sealed = std::exchange(sealed_sync_, Status()); !sealed) return sealed;
  if (settings_.sync == Sync::kNever || !std::exchange(is_dirty_, false)) return {};
  return active_ == 0 ? Status() : segments_.at(active_).file->sync();
}

void Spool::rest() {
  if (active_ == 0) return;
  const Held& held = segments_.at(active_);
  if (!held.uncommitted.empty() || held.unsettled > 0 || held.frames.empty()) return;
  for (std::uint32_t i = 0; i < held.state->frames(); ++i) {
    if (held.state->pending(i) != 0) return;
  }
  seal_active();
}

Spool::Figures Spool::figures() const noexcept {
  Figures figures = figures_;
  figures.segments = segments_.size();
  return figures;
}

std::uint64_t Spool::take_dropped_for_room() noexcept {
  return std::exchange(dropped_for_room_, 0);
}

}  // namespace sidecast::spool
