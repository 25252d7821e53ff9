#include "engine/stage/segment.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <new>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "engine/base/assert.h"

namespace sidecast::stage {
namespace {

constexpr std::uint64_t kAlignment = 8;
constexpr std::size_t kTextBytesMax = std::numeric_limits<std::uint16_t>::max();

std::uint64_t aligned(std::uint64_t size) noexcept {
  return (size + kAlignment - 1) & ~(kAlignment - 1);
}

std::uint64_t text_bytes(const EntryFields& fields) noexcept {
  return fields.generation_id.size() + fields.api_key_name.size() + fields.account.size();
}

Error system_error(std::string_view what, const std::string& path, int error) {
  return Error(fmt::format(
      "{} {}: {}", what, path,
      std::strerror(error)));  // NOLINT(concurrency-mt-unsafe): glibc's is safe for known numbers
}

// Over the entry's constant fields and all that follows them, but not over `pending`.
std::uint64_t checksum_of(const Entry& entry) noexcept {
  const auto* const bytes = reinterpret_cast<const char*>(&entry);
  constexpr std::size_t kConstantAt = offsetof(Entry, group);
  const std::uint64_t seed =
      (static_cast<std::uint64_t>(entry.size_bytes) << 32U) | entry.encoded_bytes;
  return XXH3_64bits_withSeed(bytes + kConstantAt, entry.size_bytes - kConstantAt, seed);
}

}  // namespace

Segment::Segment(std::string path, SegmentHeader* header, std::uint64_t mapped_bytes)
    : path_(std::move(path)), header_(header), mapped_bytes_(mapped_bytes) {}

Segment::~Segment() {
  munmap(header_, mapped_bytes_);
}

Result<std::unique_ptr<Segment>> Segment::create(const std::string& path, SegmentKey key,
                                                 std::uint64_t epoch, std::uint64_t capacity) {
  // Under another name until it is whole: a start after a crash never sees half a segment.
  const std::string draft = path + ".new";
  const std::uint64_t size = kEntriesAt + capacity;
  const int fd = ::open(draft.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail(system_error("create", draft, errno));
  if (const int failed = posix_fallocate(fd, 0, static_cast<off_t>(size)); failed != 0) {
    close(fd);
    unlink(draft.c_str());
    return fail(system_error("make room for", draft, failed));
  }
  void* const mapped =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  const int failed = errno;
  close(fd);
  if (mapped == MAP_FAILED) {
    unlink(draft.c_str());
    return fail(system_error("map", draft, failed));
  }
  auto* const header = new (mapped) SegmentHeader{.magic = kSegmentMagic,
                                                  .version = kSegmentVersion,
                                                  .worker = key.worker,
                                                  .epoch = epoch,
                                                  .sequence = key.sequence,
                                                  .capacity = capacity,
                                                  .head = 0};
  std::unique_ptr<Segment> segment(new Segment(path, header, size));
  if (std::rename(draft.c_str(), path.c_str()) != 0) {
    Error error = system_error("rename to", path, errno);
    unlink(draft.c_str());
    return fail(std::move(error));
  }
  return segment;
}

Result<std::unique_ptr<Segment>> Segment::map(const std::string& path, bool writable) {
  const int fd = ::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return fail(system_error("open", path, errno));
  struct stat info {};
  if (fstat(fd, &info) != 0 || info.st_size <= static_cast<off_t>(kEntriesAt)) {
    close(fd);
    return fail(fmt::format("{} is no segment: it is too short", path));
  }
  const auto size = static_cast<std::uint64_t>(info.st_size);
  void* const mapped =
      mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  const int failed = errno;
  close(fd);
  if (mapped == MAP_FAILED) return fail(system_error("map", path, failed));
  std::unique_ptr<Segment> segment(new Segment(path, static_cast<SegmentHeader*>(mapped), size));
  const SegmentHeader& header = *segment->header_;
  if (header.magic != kSegmentMagic || header.version != kSegmentVersion) {
    return fail(fmt::format("{} is no segment of this version", path));
  }
  if (header.capacity != size - kEntriesAt || segment->head() > header.capacity) {
    return fail(fmt::format("{} is damaged: its header does not fit its size", path));
  }
  return segment;
}

Result<std::unique_ptr<Segment>> Segment::open(const std::string& path) {
  auto segment = map(path, true);
  if (!segment) return segment;
  if (Status checked = (*segment)->check_entries(); !checked) return fail(checked.error());
  return segment;
}

Result<std::unique_ptr<Segment>> Segment::open_read_only(const std::string& path) {
  return map(path, false);
}

Status Segment::check_entries() noexcept {
  for (std::uint64_t offset = 0; offset < head();) {
    const Entry* const entry = entry_at(offset);
    if (entry == nullptr || entry->checksum != checksum_of(*entry)) {
      return fail(fmt::format("{} is damaged at entry offset {}", path_, offset));
    }
    offset += entry->size_bytes;
  }
  return {};
}

std::uint64_t Segment::entry_bytes(const EntryFields& fields, Bytes encoded) noexcept {
  return aligned(sizeof(Entry) + text_bytes(fields) + encoded.size());
}

Entry* Segment::append(std::uint64_t offset, const EntryFields& fields, Bytes encoded) noexcept {
  const std::uint64_t size = entry_bytes(fields, encoded);
  SIDECAST_ASSERT(offset >= head());
  SIDECAST_ASSERT(offset + size <= header_->capacity);
  SIDECAST_ASSERT(fields.generation_id.size() <= kTextBytesMax);
  SIDECAST_ASSERT(fields.api_key_name.size() <= kTextBytesMax);
  SIDECAST_ASSERT(fields.account.size() <= kTextBytesMax);
  char* const at = base() + offset;
  auto* const entry = new (at) Entry{};
  entry->size_bytes = static_cast<std::uint32_t>(size);
  entry->encoded_bytes = static_cast<std::uint32_t>(encoded.size());
  // relaxed: committed, and so published, by the release store of head.
  entry->pending.store(fields.pending, std::memory_order_relaxed);
  entry->group = fields.group;
  entry->span_count = fields.span_count;
  entry->trace_id = fields.trace_id;
  entry->start_ns = fields.start_ns;
  entry->ring = fields.ring;
  entry->sequence = fields.sequence;
  entry->lane = fields.lane;
  entry->is_shrunk = fields.is_shrunk ? 1 : 0;
  entry->generation_id_bytes = static_cast<std::uint16_t>(fields.generation_id.size());
  entry->api_key_name_bytes = static_cast<std::uint16_t>(fields.api_key_name.size());
  entry->account_bytes = static_cast<std::uint16_t>(fields.account.size());
  char* to = at + sizeof(Entry);
  for (const Bytes part : {fields.generation_id, fields.api_key_name, fields.account, encoded}) {
    to = std::copy(part.begin(), part.end(), to);
  }
  std::fill(to, at + size, '\0');
  entry->checksum = checksum_of(*entry);
  return entry;
}

Entry* Segment::entry_at(std::uint64_t offset) noexcept {
  const std::uint64_t end = head();
  if (offset % kAlignment != 0 || offset > end || end - offset < sizeof(Entry)) return nullptr;
  auto* const entry = reinterpret_cast<Entry*>(base() + offset);
  const std::uint64_t payload = std::uint64_t{entry->generation_id_bytes} +
                                entry->api_key_name_bytes + entry->account_bytes +
                                entry->encoded_bytes;
  if (entry->size_bytes != aligned(sizeof(Entry) + payload)) return nullptr;
  if (entry->size_bytes > end - offset) return nullptr;
  return entry;
}

std::uint64_t Segment::offset_of(const Entry* entry) const noexcept {
  return static_cast<std::uint64_t>(reinterpret_cast<const char*>(entry) - base());
}

Status Segment::reuse(const std::string& new_path, SegmentKey key) {
  SIDECAST_ASSERT(open_entries.load(std::memory_order_acquire) == 0);
  // Empty first: if we die before the rename, a start finds an empty segment under its old name.
  commit(0);
  header_->worker = key.worker;
  header_->sequence = key.sequence;
  if (std::rename(path_.c_str(), new_path.c_str()) != 0) {
    return fail(system_error("rename", path_, errno));
  }
  path_ = new_path;
  return {};
}

void Segment::remove() noexcept {
  unlink(path_.c_str());
}

}  // namespace sidecast::stage
