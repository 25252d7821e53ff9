#include "engine/spool/state.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <new>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/assert.h"

namespace sidecast::spool {
namespace {

constexpr std::uint64_t kStateMagic = 0x3153505344435344ULL;  // "DSCDSPS1"

Error system_error(std::string_view what, const std::string& path, int error) {
  return Error(fmt::format("{} {}: {}", what, path, std::generic_category().message(error)));
}

}  // namespace

struct SegmentState::File {
  std::uint64_t magic;
  std::uint64_t epoch;
  std::uint64_t segment_id;
  std::atomic<std::uint32_t> frames;
  std::atomic<std::uint32_t> adopting;
  std::array<std::uint64_t, 4> padding;
  std::array<std::atomic<std::uint64_t>, kFramesMax> pending;
};

Result<std::unique_ptr<SegmentState>> SegmentState::create(const std::string& path, Key key,
                                                           bool is_new) {
  static_assert(sizeof(File) == 8192);
  const std::string draft = path + ".new";
  const int fd = ::open(draft.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail(system_error("create", draft, errno));
  int failed = posix_fallocate(fd, 0, sizeof(File));
  void* base = MAP_FAILED;
  if (failed == 0) {
    base = mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    failed = base == MAP_FAILED ? errno : 0;
  }
  close(fd);
  if (failed != 0) {
    unlink(draft.c_str());
    return fail(system_error("make room for", draft, failed));
  }
  auto* const file = new (base) File{};
  file->magic = kStateMagic;
  file->epoch = key.epoch;
  file->segment_id = key.segment_id;
  file->adopting.store(is_new ? 1 : 0, std::memory_order_relaxed);  // not yet named
  std::unique_ptr<SegmentState> state(new SegmentState(path, file));
  if (std::rename(draft.c_str(), path.c_str()) != 0) {
    Error error = system_error("name", path, errno);
    unlink(draft.c_str());
    return fail(std::move(error));
  }
  return state;
}

Result<std::unique_ptr<SegmentState>> SegmentState::open(const std::string& path,
                                                         bool& is_unreachable) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  is_unreachable = fd < 0 && errno != ELOOP && errno != EISDIR;
  if (fd < 0) return fail(system_error("open", path, errno));
  struct stat info {};
  void* base = MAP_FAILED;
  if (fstat(fd, &info) == 0 && info.st_size == sizeof(File)) {
    base = mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    is_unreachable = base == MAP_FAILED;
  }
  close(fd);
  if (base == MAP_FAILED) return fail(path + " is no state of a spool segment");
  std::unique_ptr<SegmentState> state(new SegmentState(path, static_cast<File*>(base)));
  if (state->file_->magic != kStateMagic || state->frames() > kFramesMax) {
    return fail(path + " is no state of a spool segment");
  }
  return state;
}

SegmentState::~SegmentState() {
  munmap(file_, sizeof(File));
}

std::uint64_t SegmentState::epoch() const noexcept {
  return file_->epoch;
}
std::uint64_t SegmentState::segment_id() const noexcept {
  return file_->segment_id;
}
std::uint32_t SegmentState::frames() const noexcept {
  return file_->frames.load(std::memory_order_acquire);  // pairs with set()
}
std::uint64_t SegmentState::pending(std::uint32_t ordinal) const noexcept {
  SIDECAST_ASSERT(ordinal < kFramesMax);
  return file_->pending[ordinal].load(std::memory_order_relaxed);  // queues order who looks
}

void SegmentState::set(std::uint32_t ordinal, std::uint64_t pending) noexcept {
  if (ordinal >= kFramesMax) return;  // out of a damaged redo record
  file_->pending[ordinal].store(pending, std::memory_order_relaxed);
  // release: a frame that counts has its word.
  file_->frames.store(std::max(file_->frames.load(std::memory_order_relaxed), ordinal + 1),
                      std::memory_order_release);
}

bool SegmentState::is_adopting() const noexcept {
  return file_->adopting.load(std::memory_order_relaxed) != 0;
}
void SegmentState::end_adopting() noexcept {
  file_->adopting.store(0, std::memory_order_release);  // after what was counted in
}
void SegmentState::remove() noexcept {
  unlink(path_.c_str());
}

}  // namespace sidecast::spool
