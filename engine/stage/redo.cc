#include "engine/stage/redo.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "engine/base/test_point.h"

namespace sidecast::stage {
namespace {

constexpr std::uint64_t kRedoMagic = 0x31444F4552434453ULL;

// What is no file is none of ours, and would stop every start.
void set_foreign_aside(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return;
  const std::string aside = path + ".foreign";
  if (std::rename(path.c_str(), aside.c_str()) == 0) {
    log_warning("{} is no file; moved to {}, the engine makes its own", path, aside);
  }
}

using UuidWords = std::array<std::uint64_t, 2>;
static_assert(sizeof(UuidWords) == sizeof(shm::RingUuid));

}  // namespace

struct RedoLog::File {
  std::uint64_t magic;
  std::atomic<std::uint64_t> sealed;  // 1 while the operations behind this header are to be applied
  std::uint64_t count;
  std::uint64_t checksum;  // of the operations
};

RedoLog::RedoLog(File* file, std::size_t operations_max)
    : file_(file), operations_max_(operations_max) {}

RedoLog::~RedoLog() {
  munmap(file_, sizeof(File) + operations_max_ * sizeof(Operation));
}

RedoLog::Operation* RedoLog::operations() const noexcept {
  static_assert(sizeof(File) % alignof(Operation) == 0);
  return reinterpret_cast<Operation*>(file_ + 1);
}

std::uint64_t RedoLog::checksum(std::size_t count) const noexcept {
  return XXH3_64bits_withSeed(operations(), count * sizeof(Operation), count);
}

Result<std::unique_ptr<RedoLog>> RedoLog::open(const std::string& path,
                                               std::size_t operations_max) {
  const auto error = [&](std::string_view what, int number) {
    return fail(
        fmt::format("{} {}: {}", what, path,
                    std::strerror(number)));  // NOLINT(concurrency-mt-unsafe): starting thread only
  };
  set_foreign_aside(path);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    return fail(fmt::format("open {}: {}; only the engine writes there: remove it and start again",
                            path, std::generic_category().message(errno)));
  }
  struct stat info {};
  if (fstat(fd, &info) != 0) {
    const int failed = errno;
    close(fd);
    return error("look at", failed);
  }
  // What a dead engine with more destinations left must stay readable.
  const auto found = static_cast<std::size_t>(info.st_size);
  if (found > sizeof(File)) {
    operations_max = std::max(operations_max, (found - sizeof(File)) / sizeof(Operation));
  }
  const std::size_t size = sizeof(File) + operations_max * sizeof(Operation);
  if (const int failed = posix_fallocate(fd, 0, static_cast<off_t>(size)); failed != 0) {
    close(fd);
    return error("make room for", failed);
  }
  void* const base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int failed = errno;
  close(fd);
  if (base == MAP_FAILED) return error("map", failed);
  auto* const file = static_cast<File*>(base);
  if (file->magic != kRedoMagic) {
    file->sealed.store(0, std::memory_order_relaxed);  // nobody else has it open
    file->magic = kRedoMagic;
  }
  return std::unique_ptr<RedoLog>(new RedoLog(file, operations_max));
}

bool RedoLog::recover(const RedoTargets& targets) {
  if (file_->sealed.load(std::memory_order_acquire) != 1) return false;
  // A sealed record is whole: the seal was the last store. The checksum guards against a file that
  // something else has damaged.
  if (file_->count <= operations_max_ && file_->checksum == checksum(file_->count)) {
    for (std::size_t i = 0; i < file_->count; ++i) {
      const Operation& operation = operations()[i];
      void* const target = find(operation, targets);
      if (target != nullptr) apply(operation, target);
    }
  }
  file_->sealed.store(0, std::memory_order_release);
  return true;
}

RedoLog::Operation& RedoLog::note(Kind kind, void* target) {
  SIDECAST_ASSERT(live_.size() < operations_max_);
  Operation& operation = operations()[live_.size()];
  live_.push_back(target);
  operation = Operation{.kind = kind, .small = 0, .values = {}};
  return operation;
}

void RedoLog::set_counter(Ledger& ledger, ledger::Counter& counter, std::uint64_t value) {
  note(Kind::kCounter, &counter).values = {ledger.offset_of(counter), value};
}

void RedoLog::set_head(Segment& segment, std::uint64_t head) {
  note(Kind::kHead, &segment).values = {segment.key().worker, segment.key().sequence, head};
}

void RedoLog::release(shm::Ring& ring, std::uint32_t lane, shm::LaneCursor cursor) {
  const auto uuid = std::bit_cast<UuidWords>(ring.info().uuid);
  Operation& operation = note(Kind::kRelease, &ring);
  operation.small = lane;
  operation.values = {uuid[0], uuid[1], cursor.position, cursor.sequence};
}

void RedoLog::clear_pending(Segment& segment, Entry& entry, std::uint8_t bit) {
  Operation& operation = note(Kind::kClearPending, &entry);
  operation.small = bit;
  operation.values = {segment.key().worker, segment.key().sequence, segment.offset_of(&entry)};
}

void RedoLog::clear_bits(Segment& segment, Entry& entry, std::uint64_t bits) {
  note(Kind::kClearBits, &entry).values = {segment.key().worker, segment.key().sequence,
                                           segment.offset_of(&entry), bits};
}

void RedoLog::set_spooled(spool::SegmentState& state, std::uint32_t ordinal,
                          std::uint64_t pending) {
  Operation& operation = note(Kind::kSpooled, &state);
  operation.small = ordinal;
  operation.values = {state.segment_id(), pending};
}

void RedoLog::remove_ring(shm::Ring& ring) {
  const auto uuid = std::bit_cast<UuidWords>(ring.info().uuid);
  note(Kind::kRemoveRing, &ring).values = {uuid[0], uuid[1]};
}

void RedoLog::discard_ring(shm::Ring& ring) {
  const auto uuid = std::bit_cast<UuidWords>(ring.info().uuid);
  note(Kind::kDiscardRing, &ring).values = {uuid[0], uuid[1]};
}

void RedoLog::commit() noexcept {
  if (live_.empty()) return;
  file_->count = live_.size();
  file_->checksum = checksum(live_.size());
  SIDECAST_TEST_POINT("redo.before_seal");
  file_->sealed.store(1, std::memory_order_release);
  SIDECAST_TEST_POINT("redo.sealed");
  for (std::size_t i = 0; i < live_.size(); ++i) {
    apply(operations()[i], live_[i]);
    SIDECAST_TEST_POINT("redo.applying");
  }
  SIDECAST_TEST_POINT("redo.applied");
  file_->sealed.store(0, std::memory_order_release);
  live_.clear();
}

void RedoLog::apply(const Operation& operation, void* target) noexcept {
  const auto& v = operation.values;
  switch (operation.kind) {
    case Kind::kCounter:
      // relaxed: counters are read one by one; nothing is published through them.
      static_cast<ledger::Counter*>(target)->store(v[1], std::memory_order_relaxed);
      break;
    case Kind::kHead:
      static_cast<Segment*>(target)->commit(v[2]);
      break;
    case Kind::kRelease:
      static_cast<shm::Ring*>(target)->release(operation.small,
                                               {.position = v[2], .sequence = v[3]});
      break;
    case Kind::kClearPending:
      // release: whoever then finds the segment free also finds the counters that say why.
      static_cast<Entry*>(target)->pending.fetch_and(~(std::uint64_t{1} << operation.small),
                                                     std::memory_order_release);
      break;
    case Kind::kClearBits:
      // release: as above.
      static_cast<Entry*>(target)->pending.fetch_and(~v[3], std::memory_order_release);
      break;
    case Kind::kSpooled:
      static_cast<spool::SegmentState*>(target)->set(operation.small, v[1]);
      break;
    case Kind::kRemoveRing:
      // Held already, but when this is done again: its owner is still dead.
      if (static_cast<shm::Ring*>(target)->try_retire()) static_cast<shm::Ring*>(target)->remove();
      break;
    case Kind::kDiscardRing:
      static_cast<shm::Ring*>(target)->discard();
      break;
  }
}

void* RedoLog::find(const Operation& operation, const RedoTargets& targets) {
  const auto& v = operation.values;
  const auto segment = [&] {
    return targets.segment({.worker = static_cast<std::uint32_t>(v[0]), .sequence = v[1]});
  };
  const auto ring = [&] {
    return targets.ring(std::bit_cast<shm::RingUuid>(UuidWords{v[0], v[1]}));
  };
  switch (operation.kind) {
    case Kind::kCounter:
      return targets.ledger->counter_at(v[0]);
    case Kind::kHead:
      return segment();
    case Kind::kRelease:
    case Kind::kRemoveRing:
    case Kind::kDiscardRing:
      return ring();
    case Kind::kClearPending: {
      Segment* const found = segment();
      return found == nullptr || operation.small >= ledger::kGroupMembersMax
                 ? nullptr
                 : found->entry_at(v[2]);
    }
    case Kind::kClearBits: {
      Segment* const found = segment();
      return found == nullptr ? nullptr : found->entry_at(v[2]);
    }
    case Kind::kSpooled:
      return targets.spool_segment ? targets.spool_segment(v[0]) : nullptr;
  }
  return nullptr;
}

}  // namespace sidecast::stage
