#include "engine/spool/segment_file.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

#include "engine/base/test_point.h"

namespace sidecast::spool {
namespace {

constexpr std::string_view kExtension = ".spool";
constexpr std::size_t kWindowBytes = 256U << 10U;
constexpr std::size_t kFlawsMax = 100;

Error system_error(std::string_view what, const std::string& path, int error) {
  return Error(fmt::format("{} {}: {}", what, path, std::generic_category().message(error)));
}

std::uint64_t checksum_of(const SegmentHeader& header) noexcept {
  return XXH3_64bits(&header, offsetof(SegmentHeader, checksum));
}

std::uint32_t checksum_of(const DoneEntry& entry, std::uint64_t segment_id) noexcept {
  return static_cast<std::uint32_t>(
      XXH3_64bits_withSeed(&entry, offsetof(DoneEntry, checksum), segment_id));
}

// All of it, or errno.
int write_fully(int fd, Bytes bytes, std::uint64_t offset) noexcept {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return ENOSPC;
    bytes.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return 0;
}

}  // namespace

Result<std::unique_ptr<SegmentFile>> SegmentFile::create(const std::string& directory,
                                                         std::uint64_t sequence,
                                                         std::uint64_t capacity,
                                                         std::int64_t created_ns) {
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.version = kSegmentVersion;
  std::random_device random;
  header.id = random() + (std::uint64_t{random()} << 32U);
  header.sequence = sequence;
  header.created_ns = created_ns;
  header.checksum = checksum_of(header);
  const std::string path =
      fmt::format("{}/{:016x}-{:016x}{}", directory, sequence, header.id, kExtension);
  // It gets its name when it has its header: no kill leaves a segment without one.
  const std::string draft = path + std::string(kDraftExtension);
  const int fd = ::open(draft.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail(system_error("create", path, errno));
  SIDECAST_TEST_POINT("spool.segment_made");
  const std::uint64_t size = kFramesAt + capacity;
  std::string_view what = "make room for";
  int failed = posix_fallocate(fd, 0, static_cast<off_t>(size));
  if (failed == 0) {
    what = "write";
    failed = write_fully(fd, {reinterpret_cast<const char*>(&header), sizeof header}, 0);
  }
  if (failed == 0) {
    what = "name";
    failed = std::rename(draft.c_str(), path.c_str()) == 0 ? 0 : errno;
  }
  if (failed != 0) {
    close(fd);
    unlink(draft.c_str());
    return fail(system_error(what, path, failed));
  }
  return std::unique_ptr<SegmentFile>(new SegmentFile(path, fd, header, size));
}

Result<std::unique_ptr<SegmentFile>> SegmentFile::open(const std::string& path, Access access,
                                                       Unusable* why) {
  Unusable unused{};
  Unusable& reason = why == nullptr ? unused : *why;
  reason = Unusable::kDamaged;
  // Not waiting: what has the name may be a pipe.
  const int fd = ::open(path.c_str(), (access == Access::kChange ? O_RDWR : O_RDONLY) | O_CLOEXEC |
                                          O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) {
    const bool is_no_file = errno == ELOOP || errno == EISDIR || errno == ENXIO;
    if (!is_no_file) reason = Unusable::kUnreachable;
    return fail(system_error("open", path, errno));
  }
  SegmentHeader header{};
  struct stat info {};
  const auto refuse = [&](std::string_view what) {
    close(fd);
    return fail(fmt::format("{} {}", path, what));
  };
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return refuse("is no spool segment: it is no file");
  }
  const ssize_t got = pread(fd, &header, sizeof header, 0);
  if (got < 0) {
    reason = Unusable::kUnreachable;
    return refuse(fmt::format("cannot be read: {}", std::generic_category().message(errno)));
  }
  if (got != static_cast<ssize_t>(sizeof header)) {
    return refuse("is no spool segment: it is too short");
  }
  // The last character of the magic counts formats.
  constexpr std::uint64_t kFamily = (std::uint64_t{1} << 56U) - 1;
  if ((header.magic & kFamily) != (kSegmentMagic & kFamily)) return refuse("is no spool segment");
  if (header.magic != kSegmentMagic || header.version != kSegmentVersion) {
    reason = Unusable::kOtherVersion;
    return refuse(fmt::format("is a spool segment of version {}; this is {}", header.version,
                              kSegmentVersion));
  }
  if (header.checksum != checksum_of(header))
    return refuse("is damaged: its header's checksum is wrong");
  return std::unique_ptr<SegmentFile>(
      new SegmentFile(path, fd, header, static_cast<std::uint64_t>(info.st_size)));
}

SegmentFile::~SegmentFile() {
  rest();
}

void SegmentFile::rest() noexcept {
  for (int* const fd : {&fd_, &done_fd_}) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
}

SegmentFile::Waking SegmentFile::wake() {
  if (fd_ >= 0) return Waking::kAwake;
  constexpr int kFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  fd_ = ::open(path_.c_str(), O_RDWR | kFlags);
  // On a disk that takes nothing any more, what is there can still be read back.
  if (fd_ < 0 && errno == EROFS) fd_ = ::open(path_.c_str(), O_RDONLY | kFlags);
  if (fd_ >= 0) return Waking::kAwake;
  return errno == ENOENT || errno == ELOOP ? Waking::kGone : Waking::kNotNow;
}

std::string SegmentFile::done_path() const {
  return path_.substr(0, path_.size() - kExtension.size()) + ".done";
}

Status SegmentFile::append(const NewFrame& frame, std::uint32_t ordinal) {
  const std::uint64_t size = frame_bytes(frame);
  const std::string front =
      write_frame(frame, {.segment_id = header_.id, .offset = tail_, .ordinal = ordinal});
  int failed = write_fully(fd_, front, tail_);
  SIDECAST_TEST_POINT("spool.half_written");
  if (failed == 0) failed = write_fully(fd_, frame.body, tail_ + front.size());
  if (failed != 0) {
    // So that a later look at the file finds nothing begun.
    const std::string nothing(sizeof(FrameHeader), '\0');
    static_cast<void>(write_fully(fd_, nothing, tail_));
    return fail(system_error("write", path_, failed));
  }
  tail_ += size;
  return {};
}

Status SegmentFile::cut(std::uint64_t end) {
  if (end >= size_) return {};
  if (ftruncate(fd_, static_cast<off_t>(end)) != 0) {
    return fail(system_error("cut", path_, errno));
  }
  size_ = end;
  tail_ = std::min(tail_, end);
  return {};
}

Status SegmentFile::sync() {
  if (fdatasync(fd_) != 0) return fail(system_error("sync", path_, errno));
  return {};
}

Result<std::string> SegmentFile::read(std::uint64_t offset, std::uint64_t size) const {
  if (offset > size_ || size > size_ - offset) {
    return fail(fmt::format("{} ends before offset {}", path_, offset + size));
  }
  std::string bytes(size, '\0');
  for (std::size_t done = 0; done < size;) {
    const ssize_t got =
        pread(fd_, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      unread_ = system_error("read", path_, errno);
      return fail(*unread_);
    }
    if (got == 0) return fail(fmt::format("{} ends before offset {}", path_, offset + size));
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

// ---- Looking for frames -------------------------------------------------------------------------

Result<SegmentFile::Found> SegmentFile::frame_at(std::uint64_t offset) const {
  auto head = read(offset, sizeof(FrameHeader));
  if (!head) return fail(std::move(head.error()));
  const auto bytes = head_bytes(*head);
  if (!bytes) return fail("no batch begins here");
  head = read(offset, *bytes);
  if (!head) return fail(std::move(head.error()));
  auto parsed = parse_head(*head, header_.id, offset);
  if (!parsed) return fail(std::move(parsed.error()));
  if (parsed->size_bytes > size_ - offset) return fail("a batch is cut short by the file's end");
  return Found{.head = *std::move(parsed), .offset = offset};
}

std::uint64_t SegmentFile::next_frame(std::uint64_t from) const {
  for (std::uint64_t at = from; at + sizeof(FrameHeader) <= size_; at += kWindowBytes) {
    const auto window = read(at, std::min<std::uint64_t>(kWindowBytes, size_ - at));
    if (!window) return size_;
    for (std::size_t i = 0; i + sizeof kFrameMagic <= window->size(); i += 8) {
      if (std::memcmp(window->data() + i, &kFrameMagic, sizeof kFrameMagic) != 0) continue;
      if (frame_at(at + i)) return at + i;
    }
  }
  return size_;
}

bool SegmentFile::is_zero_from(std::uint64_t offset) const {
  for (std::uint64_t at = offset; at < size_; at += kWindowBytes) {
    const auto window = read(at, std::min<std::uint64_t>(kWindowBytes, size_ - at));
    if (!window || window->find_first_not_of('\0') != std::string::npos) return false;
  }
  return true;
}

Result<SegmentFile::Scan> SegmentFile::scan() {
  Scan found;
  unread_.reset();
  std::uint64_t at = kFramesAt;
  while (at < size_) {
    auto frame = frame_at(at);
    if (frame) {
      const bool is_in_order =
          found.frames.empty() || frame->head.ordinal > found.frames.back().head.ordinal;
      const std::uint64_t next = at + frame->head.size_bytes;
      if (is_in_order) {
        found.frames.push_back(*std::move(frame));
        found.end = next;
      } else if (found.flaws.size() < kFlawsMax) {
        found.flaws.push_back(fmt::format("offset {}: a batch stands there out of order", at));
      }
      at = next;
      continue;
    }
    if (is_zero_from(at)) break;
    if (found.flaws.size() < kFlawsMax) {
      found.flaws.push_back(fmt::format("offset {}: {}", at, frame.error().message()));
    }
    at = next_frame(at + 8);
    found.is_torn = at >= size_;
  }
  // Not to be had just now: what stands there is not known to be damaged.
  if (unread_) return fail(*unread_);
  tail_ = found.end;
  return found;
}

// ---- The done-log -------------------------------------------------------------------------------

std::string SegmentFile::read_done_bytes() const {
  const int fd = ::open(done_path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return {};
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return {};
  }
  // Each destination of each frame is done once; what is longer was not written by us.
  constexpr std::size_t kBytesMax = kFramesMax * kFrameDestinationsMax * sizeof(DoneEntry);
  std::string bytes(kBytesMax, '\0');
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t got = ::read(fd, bytes.data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  close(fd);
  bytes.resize(size);
  return bytes;
}

std::unique_ptr<SegmentFile::Done> SegmentFile::read_done() const {
  auto done = std::make_unique<Done>();
  done->fill(0);
  const std::string bytes = read_done_bytes();
  for (std::size_t at = 0; at + sizeof(DoneEntry) <= bytes.size(); at += sizeof(DoneEntry)) {
    DoneEntry entry;
    std::memcpy(&entry, bytes.data() + at, sizeof entry);
    if (entry.ordinal >= kFramesMax || entry.checksum != checksum_of(entry, header_.id)) continue;
    (*done)[entry.ordinal] |= entry.destinations;
  }
  return done;
}

SegmentFile::DoneFlaws SegmentFile::check_done() const {
  DoneFlaws flaws;
  const std::string bytes = read_done_bytes();
  flaws.is_torn = bytes.size() % sizeof(DoneEntry) != 0;
  for (std::size_t at = 0; at + sizeof(DoneEntry) <= bytes.size(); at += sizeof(DoneEntry)) {
    DoneEntry entry;
    std::memcpy(&entry, bytes.data() + at, sizeof entry);
    if (entry.ordinal >= kFramesMax || entry.checksum != checksum_of(entry, header_.id)) {
      ++flaws.foreign;
    }
  }
  return flaws;
}

Status SegmentFile::note_done(std::uint32_t ordinal, std::uint64_t destinations) {
  const std::string path = done_path();
  if (done_fd_ < 0) {
    done_fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (done_fd_ < 0) return fail(system_error("open", path, errno));
  }
  struct stat info {};
  if (fstat(done_fd_, &info) != 0) return fail(system_error("look at", path, errno));
  if (!S_ISREG(info.st_mode)) return fail(path + " is no file");
  DoneEntry entry{.destinations = destinations, .ordinal = ordinal, .checksum = 0};
  entry.checksum = checksum_of(entry, header_.id);
  // A torn entry of an earlier engine is written over: entries stand at multiples of their size.
  const auto size = static_cast<std::uint64_t>(info.st_size);
  const int failed = write_fully(done_fd_, {reinterpret_cast<const char*>(&entry), sizeof entry},
                                 size - size % sizeof entry);
  if (failed != 0) return fail(system_error("write", path, failed));
  SIDECAST_TEST_POINT("spool.done_noted");
  return {};
}

void SegmentFile::remove() noexcept {
  unlink(path_.c_str());
  unlink(done_path().c_str());
}

void SegmentFile::set_aside() noexcept {
  for (const std::string& path : {path_, done_path()}) {
    if (std::rename(path.c_str(), (path + ".damaged").c_str()) != 0) unlink(path.c_str());
  }
}

std::optional<NamedSegment> named_segment(const std::string& path) {
  const std::string name = path.substr(path.find_last_of('/') + 1);
  constexpr std::size_t kDigits = 16;
  if (name.size() < 2 * kDigits + 1 || name[kDigits] != '-') return std::nullopt;
  NamedSegment named;
  const auto read = [&](std::size_t at, std::uint64_t& value) {
    const char* const end = name.data() + at + kDigits;
    const auto parsed = std::from_chars(name.data() + at, end, value, 16);
    return parsed.ec == std::errc() && parsed.ptr == end;
  };
  if (!read(0, named.sequence) || !read(kDigits + 1, named.id)) return std::nullopt;
  return named;
}

Result<std::vector<std::string>> files_of(const std::string& directory,
                                          std::string_view extension) {
  std::vector<std::string> paths;
  std::error_code error;
  std::filesystem::directory_iterator files(directory, error);
  const std::filesystem::directory_iterator end;
  for (; !error && files != end; files.increment(error)) {
    if (files->path().extension() == extension) paths.push_back(files->path().string());
  }
  if (error) return fail(fmt::format("read {}: {}", directory, error.message()));
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace sidecast::spool
