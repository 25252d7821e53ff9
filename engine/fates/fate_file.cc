#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <new>
#include <random>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/fates/fate_log.h"

namespace sidecast::fates {
namespace {

Error system_error(std::string_view what, const std::string& path, int error) {
  return Error(fmt::format("{} {}: {}", what, path, std::generic_category().message(error)));
}

struct Shape {
  std::uint64_t bytes_asked;
  std::uint32_t sections;
  std::uint64_t section_bytes;
  std::uint64_t ledger_epoch;
  [[nodiscard]] std::uint64_t file_bytes() const noexcept {
    return kSectionsAt + sections * section_bytes;
  }
};

// A file that an earlier engine left and this one can go on with, or null.
FatesHeader* map_earlier(const std::string& path, const Shape& shape, std::uint64_t& bytes) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return nullptr;
  struct stat info {};
  FatesHeader found{};
  const bool is_read = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
                       pread(fd, &found, sizeof found, 0) == sizeof found;
  const std::uint64_t size = is_read ? static_cast<std::uint64_t>(info.st_size) : 0;
  const bool fits = is_read && found.magic == kMagic && found.version == kVersion &&
                    found.sections == shape.sections && found.bytes_asked == shape.bytes_asked &&
                    found.ledger_epoch == shape.ledger_epoch &&
                    found.section_bytes >= kSectionBytesMin &&
                    found.section_bytes % kAlignment == 0 && size <= kFileBytesMax &&
                    size == kSectionsAt + found.sections * found.section_bytes &&
                    // Every page must be there, or a write is a SIGBUS on a full file system.
                    posix_fallocate(fd, 0, info.st_size) == 0;
  void* const base =
      fits ? mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  close(fd);
  if (base == MAP_FAILED) return nullptr;
  bytes = size;
  return static_cast<FatesHeader*>(base);
}

// Rings and stage need the room more: no more than a sixteenth of what is left.
void fit_into_room(const std::string& path, Shape& shape) {
  struct statvfs room {};
  const std::string directory = path.substr(0, path.rfind('/'));
  if (statvfs(directory.c_str(), &room) != 0) return;
  const std::uint64_t share = std::uint64_t{room.f_bavail} * room.f_frsize / 16 / shape.sections;
  shape.section_bytes = std::clamp(share / kSectionsAt * kSectionsAt, kSectionBytesMin,
                                   std::max(kSectionBytesMin, shape.section_bytes));
}

Result<FatesHeader*> make(const std::string& path, const Shape& shape) {
  const std::string draft = path + ".new";
  const int fd = ::open(draft.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail(system_error("make", draft, errno));
  const auto failed = [&](std::string_view what, int error) {
    close(fd);
    unlink(draft.c_str());
    return fail(system_error(what, path, error));
  };
  const std::uint64_t size = shape.file_bytes();
  if (const int error = posix_fallocate(fd, 0, static_cast<off_t>(size)); error != 0) {
    return failed("make room for", error);
  }
  void* const base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) return failed("map", errno);
  std::random_device random;
  auto* const header = new (base) FatesHeader{.magic = kMagic,
                                              .version = kVersion,
                                              .sections = shape.sections,
                                              .section_bytes = shape.section_bytes,
                                              .ledger_epoch = shape.ledger_epoch,
                                              .seed = std::uint64_t{random()} << 32U | random(),
                                              .bytes_asked = shape.bytes_asked,
                                              .states = {}};
  if (std::rename(draft.c_str(), path.c_str()) != 0) {
    const int error = errno;
    munmap(base, size);
    return failed("name", error);
  }
  close(fd);
  return header;
}

}  // namespace

Result<std::unique_ptr<FateFile>> FateFile::open(const std::string& path, std::uint64_t bytes,
                                                 std::uint32_t sections,
                                                 std::uint64_t ledger_epoch) {
  SIDECAST_ASSERT(sections >= 1 && sections <= kSectionsMax);
  const std::uint64_t share = (bytes - std::min<std::uint64_t>(bytes, kSectionsAt)) / sections;
  Shape shape{.bytes_asked = bytes,
              .sections = sections,
              .section_bytes = std::max(kSectionBytesMin, share / kSectionsAt * kSectionsAt),
              .ledger_epoch = ledger_epoch};
  std::uint64_t mapped = shape.file_bytes();
  FatesHeader* header = map_earlier(path, shape, mapped);
  if (header == nullptr) {
    fit_into_room(path, shape);
    auto made = make(path, shape);
    if (!made) return fail(std::move(made.error()));
    header = *made;
    mapped = shape.file_bytes();
  }
  return std::unique_ptr<FateFile>(new FateFile(header, mapped));
}

FateFile::~FateFile() {
  munmap(header_, mapped_bytes_);
}

FateLog FateFile::log(std::uint32_t section) noexcept {
  SIDECAST_ASSERT(section < header_->sections);
  char* const base = reinterpret_cast<char*>(header_) + kSectionsAt;
  return {base + section * header_->section_bytes, header_->states[section], *header_, section};
}

}  // namespace sidecast::fates
