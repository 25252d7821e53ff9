#include "shm/reader.h"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

#include "shm/reader_impl.h"

namespace sidecast::shm {
namespace {

std::string lock_name_of(const std::string& ring_file_name) {
  return ring_file_name + kLockSuffix;
}

int open_lock(int directory, const std::string& name, int access_mode) noexcept {
  return openat(directory, name.c_str(), access_mode | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

// An open-file-description lock: ours belongs to this one descriptor, and it conflicts with the
// writer's POSIX lock even if that writer lives in our own process.
bool take_lock(int file) noexcept {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return fcntl(file, F_OFD_SETLK, &lock) == 0;
}

LanePosition to_position(LaneCursor cursor) noexcept {
  return {cursor.position, cursor.sequence};
}
LaneCursor to_cursor(LanePosition position) noexcept {
  return {position.position, position.sequence};
}

}  // namespace

std::unique_ptr<Ring::Impl> Ring::Impl::open(std::shared_ptr<DirectoryHandle> directory,
                                             const std::string& name, Access access,
                                             RingOpen& outcome, std::string& reason) {
  auto impl = std::make_unique<Impl>();
  impl->directory = std::move(directory);
  impl->access = access;
  CheckedHeader header;
  outcome = open_ring(impl->directory->get(), name, access == Access::kEngine, impl->mapping,
                      header, reason);
  if (outcome != RingOpen::kOpened) return nullptr;

  RingInfo& info = impl->ring_info;
  std::memcpy(info.uuid.data(), header.uuid, info.uuid.size());
  info.file_name = name;
  info.process = header.process;
  info.pid = header.pid;
  info.owner_uid = header.owner_uid;
  info.lanes = header.lane_count;
  info.created_ns = header.created_ns;
  auto* const controls = reinterpret_cast<LaneControl*>(impl->mapping.base() + kLaneControlOffset);
  const BusGuard guard(impl->mapping);
  for (std::uint32_t i = 0; i < header.lane_count; ++i) {
    const LaneExtent extent = header.lanes[i];
    info.capacity_bytes += extent.capacity;
    LaneReader& lane = impl->lanes.emplace_back(controls + i, impl->mapping.base() + extent.offset,
                                                extent.capacity);
    if (lane.recover()) continue;
    outcome = RingOpen::kHostile;
    reason = "lane " + std::to_string(i) + ": impossible positions";
    return nullptr;
  }
  if (impl->mapping.gone()) {
    outcome = RingOpen::kHostile;
    reason = "the file was truncated";
    return nullptr;
  }
  return impl;
}

Ring::Impl::~Impl() {
  if (lock < 0) return;
  // A POSIX lock falls when its process closes any descriptor of the file. If the writer may be in
  // this very process, as in tests and benchmarks, ours stays open to the process's end.
  if (!is_lock_held && ring_info.pid == getpid()) return;
  close(lock);
}

void Ring::Impl::set_switched_off(bool is_off) noexcept {
  if (access != Access::kEngine) return;
  const BusGuard guard(mapping);
  // relaxed: nothing is published with the switch; a writer may see it one record later.
  if (is_off) {
    header().control.fetch_or(kControlSwitchedOff, std::memory_order_relaxed);
  } else {
    header().control.fetch_and(~kControlSwitchedOff, std::memory_order_relaxed);
  }
}

Ring::Ring(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Ring::~Ring() = default;

const RingInfo& Ring::info() const noexcept {
  return impl_->ring_info;
}

bool Ring::is_gone() const noexcept {
  return impl_->mapping.gone();
}

RingCounters Ring::counters() const noexcept {
  RingCounters sum;
  const BusGuard guard(impl_->mapping);
  const auto* const controls =
      reinterpret_cast<const LaneControl*>(impl_->mapping.base() + kLaneControlOffset);
  for (std::size_t i = 0; i < impl_->lanes.size(); ++i) {
    const LaneReader::Counts counts = impl_->lanes[i].counts();
    sum.written += counts.totals.written;
    sum.shed += counts.totals.shed;
    sum.used_bytes += counts.used_bytes;
    sum.used_bytes_max += counts.used_bytes_max;
    // relaxed: statistics.
    sum.dropped_full += controls[i].dropped_full.load(std::memory_order_relaxed);
    sum.dropped_busy += controls[i].dropped_busy.load(std::memory_order_relaxed);
    sum.dropped_too_large += controls[i].dropped_too_large.load(std::memory_order_relaxed);
  }
  return sum;
}

LaneCursor Ring::released(std::uint32_t lane) const noexcept {
  return to_cursor(impl_->lanes[lane].released());
}

PeekStatus Ring::peek(std::uint32_t lane, LaneCursor& cursor, std::string& out) noexcept {
  if (impl_->mapping.gone()) return PeekStatus::kGone;
  LanePosition position = to_position(cursor);
  LaneRead read;
  {
    const BusGuard guard(impl_->mapping);
    read = impl_->lanes[lane].peek(position, out);
  }
  if (impl_->mapping.gone()) return PeekStatus::kGone;  // what was read are the guard's zeros
  switch (read) {
    case LaneRead::kRecord:
      cursor = to_cursor(position);
      return PeekStatus::kRecord;
    case LaneRead::kEmpty:
      return PeekStatus::kEmpty;
    case LaneRead::kHostile:
      break;
  }
  return PeekStatus::kHostile;
}

void Ring::release(std::uint32_t lane, LaneCursor cursor) noexcept {
  if (impl_->access != Access::kEngine) return;
  const BusGuard guard(impl_->mapping);
  impl_->lanes[lane].release(to_position(cursor));
  // relaxed: a writer that sees it early looks in vain once more.
  impl_->header().releases.fetch_add(1, std::memory_order_relaxed);
}

bool Ring::is_retired() const noexcept {
  const BusGuard guard(impl_->mapping);
  // relaxed: the engine's own word.
  return (impl_->header().control.load(std::memory_order_relaxed) & kControlRetired) != 0;
}

bool Ring::try_retire() noexcept {
  if (impl_->is_lock_held) return true;
  if (impl_->access != Access::kEngine) return false;
  if (impl_->lock < 0) {
    impl_->lock =
        open_lock(impl_->directory->get(), lock_name_of(impl_->ring_info.file_name), O_RDWR);
    // Without a lock file nobody can hold it; a living owner whose file was taken away sees the
    // retired word.
    if (impl_->lock < 0 && errno != ENOENT) return false;
  }
  if (impl_->lock >= 0 && !take_lock(impl_->lock)) {
    // Not kept, so that thousands of living rings cost no descriptors; but see ~Impl().
    if (impl_->ring_info.pid != getpid()) {
      close(impl_->lock);
      impl_->lock = -1;
    }
    return false;
  }
  impl_->is_lock_held = true;
  const BusGuard guard(impl_->mapping);
  // seq_cst: comes before our last look at the heads, as the writer's last look at this word comes
  // after its publish (Writer::write_source).
  impl_->header().control.fetch_or(kControlRetired, std::memory_order_seq_cst);
  return true;
}

OwnerState Ring::owner() const noexcept {
  if (impl_->is_lock_held) return OwnerState::kDead;
  if (impl_->ring_info.pid == getpid()) return OwnerState::kUnknown;  // see ~Impl()
  const int file =
      open_lock(impl_->directory->get(), lock_name_of(impl_->ring_info.file_name), O_RDONLY);
  if (file < 0) return errno == ENOENT ? OwnerState::kDead : OwnerState::kUnknown;
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  const bool is_known = fcntl(file, F_OFD_GETLK, &lock) == 0;
  close(file);
  if (!is_known) return OwnerState::kUnknown;
  return lock.l_type == F_UNLCK ? OwnerState::kDead : OwnerState::kAlive;
}

void Ring::remove() noexcept {
  if (!impl_->is_lock_held) return;
  // The ring first: a lock without a ring is swept up later, a ring without a lock is a dead one.
  const std::string& name = impl_->ring_info.file_name;
  unlinkat(impl_->directory->get(), name.c_str(), 0);
  unlinkat(impl_->directory->get(), ("." + name).c_str(), 0);  // died between link and unlink
  unlinkat(impl_->directory->get(), lock_name_of(name).c_str(), 0);
  impl_->is_removed = true;
}

int Ring::keep_in(const std::string& directory) noexcept {
  const std::string& name = impl_->ring_info.file_name;
  const std::string kept = directory + "/" + name;
  // A link, so that the ring stays where it is until its counts are safe.
  const int failed =
      linkat(impl_->directory->get(), name.c_str(), AT_FDCWD, kept.c_str(), 0) == 0 ? 0 : errno;
  return failed == EEXIST ? 0 : failed;  // by an engine that was killed then
}

void Ring::discard() noexcept {
  if (impl_->access != Access::kEngine) return;
  unlinkat(impl_->directory->get(), impl_->ring_info.file_name.c_str(), 0);
  impl_->is_removed = true;
}

bool Ring::is_removed() const noexcept {
  return impl_->is_removed;
}

void remove_unfinished(int directory, const std::string& lock_name) noexcept {
  // A writer that is just making its ring has a young lock file, held or about to be.
  constexpr std::time_t kYoungSeconds = 10;
  struct stat status = {};
  if (fstatat(directory, lock_name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
      !S_ISREG(status.st_mode) || std::time(nullptr) - status.st_mtime < kYoungSeconds) {
    return;
  }
  const int file = open_lock(directory, lock_name, O_RDWR);
  if (file < 0) return;
  const std::string ring = lock_name.substr(0, lock_name.size() - (sizeof kLockSuffix - 1));
  // Under the lock nobody can be about to link the ring.
  if (take_lock(file) && faccessat(directory, ring.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
      errno == ENOENT) {
    unlinkat(directory, ("." + ring).c_str(), 0);
    unlinkat(directory, lock_name.c_str(), 0);
  }
  close(file);
}

}  // namespace sidecast::shm
