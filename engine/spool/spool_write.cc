// A spool's way in: frames are appended to the segment that is written to, at the limit the oldest
// make room for it, and what was committed waits, oldest first.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/spool/spool.h"

namespace sidecast::spool {
namespace {

// A few segments make the limit, so that dropping the oldest one costs little of what is kept.
constexpr std::uint64_t kSegmentsAtLimit = 16;
constexpr std::uint64_t kSegmentBytesMin = 1U << 20U;
constexpr std::uint64_t kSegmentBytesMax = 16U << 20U;
constexpr std::uint64_t kHeaderBytes = kFramesAt;

// That a file has its name, also after a power cut.
Status sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int failed = fd < 0 || fsync(fd) != 0 ? errno : 0;
  const bool cannot = fd >= 0 && (failed == EINVAL || failed == ENOTSUP);  // some file systems
  if (fd >= 0) close(fd);
  if (failed == 0 || cannot) return {};
  return fail(fmt::format("sync {}: {}", directory, std::generic_category().message(failed)));
}

}  // namespace

std::uint64_t Spool::frame_bytes_max() const noexcept {
  const std::uint64_t room = settings_.limit_bytes - std::min(settings_.limit_bytes, kHeaderBytes);
  return std::min(room, kPlainBytesMax);
}

std::uint32_t Spool::set_id(std::vector<DestinationIndex> destinations) {
  const auto [known, is_new] = set_ids_.try_emplace(
      std::move(destinations), static_cast<std::uint32_t>(destination_sets_.size()));
  if (is_new) destination_sets_.push_back(known->first);
  return known->second;
}

void Spool::seal_active() {
  if (active_ == 0) return;
  const std::uint64_t sequence = std::exchange(active_, 0);
  SegmentFile& file = *segments_.at(sequence).file;
  figures_.bytes -= file.file_bytes();
  // If it fails, the room comes back with the segment.
  static_cast<void>(file.cut(file.tail()));
  if (settings_.sync != Sync::kNever) {
    if (Status synced = file.sync(); !synced) sealed_sync_ = std::move(synced);
  }
  file.rest();
  figures_.bytes += file.file_bytes();
  retire_if_done(sequence);
}

Status Spool::make_active(std::uint64_t frame_bytes, AtLimit at_limit, stage::RedoLog& redo,
                          Timestamp now) {
  std::uint64_t unused_bytes = 0;  // that sealing the active one gives back
  if (active_ != 0) {
    const Held& held = segments_.at(active_);
    if (held.file->has_room(frame_bytes) && held.frames.size() < kFramesMax) return {};
    unused_bytes = held.file->file_bytes() - held.file->tail();
  }
  // Before anything makes room for it in vain.
  if (frame_bytes > frame_bytes_max()) {
    return fail(fmt::format("a batch of {} bytes is larger than spool.limit", frame_bytes));
  }
  const std::uint64_t usual =
      std::clamp(settings_.limit_bytes / kSegmentsAtLimit, kSegmentBytesMin, kSegmentBytesMax);
  std::uint64_t capacity = std::max(frame_bytes, std::min(usual, frame_bytes_max()));
  if (at_limit == AtLimit::kRefuse) {
    const std::uint64_t used_bytes = figures_.bytes - unused_bytes + kFramesAt;
    const std::uint64_t room = settings_.limit_bytes - std::min(settings_.limit_bytes, used_bytes);
    // Smaller ones may still find room in the active one.
    if (room < frame_bytes) {
      return fail(fmt::format("{} for a batch of {} bytes", kNoRoomAtLimit, frame_bytes));
    }
    capacity = std::min(capacity, room);
  }
  seal_active();
  while (figures_.bytes + kFramesAt + capacity > settings_.limit_bytes ||
         figures_.batches >= settings_.batches_max) {
    if (at_limit == AtLimit::kRefuse || !drop_oldest_segment(redo)) {
      return fail(fmt::format(
          "{} for a batch of {} bytes{}", kNoRoomAtLimit, frame_bytes,
          at_limit == AtLimit::kRefuse ? "" : ": what was read back is not settled yet"));
    }
  }
  auto file = SegmentFile::create(settings_.directory, next_sequence_, capacity, unix_ns(now));
  if (!file && capacity > frame_bytes) {  // the last room of a disk, too
    file = SegmentFile::create(settings_.directory, next_sequence_,
                               std::max(frame_bytes, kSegmentBytesMin), unix_ns(now));
  }
  if (!file) return fail(std::move(file.error()));
  if (settings_.sync != Sync::kNever) {
    if (Status named = sync_directory(settings_.directory); !named) {
      (*file)->remove();
      return fail(std::move(named.error()));
    }
  }
  const std::uint64_t id = (*file)->id();
  auto state = SegmentState::create(state_path(id),
                                    {.epoch = ledger_.header().epoch, .segment_id = id}, false);
  if (!state) {
    (*file)->remove();
    return fail(std::move(state.error()));
  }
  active_ = next_sequence_++;
  figures_.bytes += (*file)->file_bytes();
  Held& held = segments_[active_];
  held.sequence = active_;
  held.file = std::move(*file);
  held.state = state->get();
  states_.emplace(id, std::move(*state));
  return {};
}

Result<FrameRef> Spool::write(const NewFrame& frame, std::vector<DestinationIndex> destinations,
                              AtLimit at_limit, stage::RedoLog& redo, Timestamp now) {
  SIDECAST_ASSERT(frame.destinations.size() == destinations.size());
  const std::uint64_t size = frame_bytes(frame);
  if (frame.records.size() > kFrameRecordsMax || size > kPlainBytesMax) {
    return fail("a batch is too large for the spool");
  }
  if (Status made = make_active(size, at_limit, redo, now); !made) {
    return fail(std::move(made.error()));
  }
  Held& held = segments_.at(active_);
  const FrameRef ref{.sequence = active_,
                     .ordinal = static_cast<std::uint32_t>(held.frames.size())};
  const std::uint64_t offset = held.file->tail();
  Status written = held.file->append(frame, ref.ordinal);
  if (written && settings_.sync == Sync::kAlways) written = held.file->sync();
  if (!written) {
    seal_active();
    return fail(std::move(written.error()));
  }
  is_dirty_ = true;
  held.frames.push_back({.offset = offset,
                         .size_bytes = static_cast<std::uint32_t>(size),
                         .records = static_cast<std::uint32_t>(frame.records.size()),
                         .destinations = set_id(std::move(destinations)),
                         .sealed_ns = frame.sealed_ns});
  held.uncommitted.insert(ref.ordinal);
  held.oldest_ns =
      held.oldest_ns == 0 ? frame.sealed_ns : std::min(held.oldest_ns, frame.sealed_ns);
  return ref;
}

SegmentState& Spool::state_of(FrameRef ref) {
  return *segments_.at(ref.sequence).state;
}

void Spool::enqueue(const Held& held, std::uint32_t ordinal, std::uint64_t bits) {
  const FrameInfo& frame = held.frames[ordinal];
  const auto& slots = destination_sets_[frame.destinations];
  const Waiting waiting{.sealed_ns = frame.sealed_ns,
                        .ref = {.sequence = held.sequence, .ordinal = ordinal}};
  const auto is_older = [](const Waiting& a, const Waiting& b) {
    return a.sealed_ns < b.sealed_ns;
  };
  for (std::size_t bit = 0; bit < slots.size(); ++bit) {
    if ((bits >> bit & 1U) == 0) continue;
    figures_.records += frame.records;
    Queue& queue = queues_[slots[bit]];
    const auto [first, last] = std::equal_range(queue.begin(), queue.end(), waiting, is_older);
    // One that was given back may still stand there.
    const bool stands =
        std::any_of(first, last, [&](const Waiting& one) { return one.ref == waiting.ref; });
    if (!stands) queue.insert(last, waiting);
  }
  const auto giving = held.giving_back.find(ordinal);
  const std::uint64_t on_their_way = giving == held.giving_back.end() ? 0 : giving->second;
  const std::uint64_t others =
      held.state->pending(ordinal) & all_bits(slots.size()) & ~bits & ~on_their_way;
  if (bits != 0 && others == 0) ++figures_.batches;  // else it waits already
}

void Spool::committed(FrameRef ref) {
  Held& held = segments_.at(ref.sequence);
  held.uncommitted.erase(ref.ordinal);
  enqueue(held, ref.ordinal, held.state->pending(ref.ordinal));
}

void Spool::abandoned(FrameRef ref) {
  Held& held = segments_.at(ref.sequence);
  held.uncommitted.erase(ref.ordinal);
  // A start without the state must not take it for one that waits.
  static_cast<void>(held.file->note_done(
      ref.ordinal, all_bits(destination_sets_[held.frames[ref.ordinal].destinations].size())));
  retire_if_done(ref.sequence);
}

void Spool::abandon_uncommitted() {
  std::vector<FrameRef> refs;
  for (const auto& [sequence, held] : segments_) {
    for (const std::uint32_t ordinal : held.uncommitted) refs.push_back({sequence, ordinal});
  }
  for (const FrameRef ref : refs) {
    // Word of the commit may still have been on its way.
    if (state_of(ref).pending(ref.ordinal) != 0) {
      committed(ref);
    } else {
      abandoned(ref);
    }
  }
}

void Spool::begin_giving_back(FrameRef ref, std::uint64_t bits) {
  segments_.at(ref.sequence).giving_back[ref.ordinal] |= bits;
}

void Spool::end_giving_back(FrameRef ref, std::uint64_t bits, bool is_committed) {
  Held& held = segments_.at(ref.sequence);
  const auto giving = held.giving_back.find(ref.ordinal);
  SIDECAST_ASSERT(giving != held.giving_back.end());
  giving->second &= ~bits;
  if (giving->second == 0) held.giving_back.erase(giving);
  if (!is_committed) return;
  held.unsettled -= static_cast<std::uint64_t>(std::popcount(bits));
  enqueue(held, ref.ordinal, bits);
}

}  // namespace sidecast::spool
