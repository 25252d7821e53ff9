#include "shm/ring_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <new>

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shm/test_point.h"

namespace sidecast::shm {
namespace {

namespace bip = boost::interprocess;

// Boost maps what a type like this hands it. Its own file_mapping would open the path a second
// time; ours is the descriptor we made, locked and checked.
class DescriptorMapping {
 public:
  explicit DescriptorMapping(int file) : file_(file) {}
  [[nodiscard]] bip::mapping_handle_t get_mapping_handle() const { return {file_, false}; }

 private:
  int file_;
};

// Maps [offset, offset + size) of `file`, at `address` if that is not null. The region's destructor
// would unmap it; ours belong to a reservation or a GuardedMapping that unmaps all at once, so the
// owning object is deliberately left undestroyed. Null on failure, with errno.
char* map_region(int file, bool is_writable, std::uint64_t offset, std::uint64_t size,
                 char* address, int flags) noexcept {
  alignas(bip::mapped_region) std::byte storage[sizeof(bip::mapped_region)];
  try {
    const auto* const region = new (storage)
        bip::mapped_region(DescriptorMapping(file), is_writable ? bip::read_write : bip::read_only,
                           static_cast<bip::offset_t>(offset), size, address, flags);
    return static_cast<char*>(region->get_address());
  } catch (const bip::interprocess_exception& error) {
    errno = error.get_native_error();
    return nullptr;
  } catch (...) {
    errno = ENOMEM;
    return nullptr;
  }
}

std::uint64_t page_bytes() noexcept {
  return static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t round_up(std::uint64_t bytes, std::uint64_t page) noexcept {
  return (bytes + page - 1) / page * page;
}

void format_uuid(const unsigned char (&uuid)[16], char (&text)[kUuidTextBytes + 1]) noexcept {
  constexpr char kHex[] = "0123456789abcdef";
  char* out = text;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
    *out++ = kHex[uuid[i] >> 4];
    *out++ = kHex[uuid[i] & 15];
  }
  *out = '\0';
}

struct RingNames {
  char ring[64];
  char unfinished[72];
  char lock[72];
};

RingNames names_of(const unsigned char (&uuid)[16]) noexcept {
  char text[kUuidTextBytes + 1];
  format_uuid(uuid, text);
  RingNames names;
  std::snprintf(names.ring, sizeof names.ring, "%s%s", text, kRingSuffix);
  std::snprintf(names.unfinished, sizeof names.unfinished, ".%s", names.ring);
  std::snprintf(names.lock, sizeof names.lock, "%s%s%s", text, kRingSuffix, kLockSuffix);
  return names;
}

bool make_uuid(unsigned char (&uuid)[16]) noexcept {
  if (getrandom(uuid, sizeof uuid, GRND_NONBLOCK) != ssize_t{sizeof uuid}) return false;
  uuid[6] = static_cast<unsigned char>((uuid[6] & 0x0f) | 0x40);  // version 4: random
  uuid[8] = static_cast<unsigned char>((uuid[8] & 0x3f) | 0x80);
  return true;
}

// At most a quarter of what the file system has left, so that gateways that die in a loop with no
// engine to clean up can never fill it. 0 and a reason: below the minimum.
std::uint64_t affordable_bytes(int directory, std::uint64_t wished, Reason& reason) noexcept {
  struct statvfs space = {};
  std::uint64_t bytes = wished;
  if (fstatvfs(directory, &space) == 0 && space.f_blocks != 0) {  // 0 blocks: a tmpfs without limit
    const std::uint64_t free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
    bytes = std::min(bytes, free_bytes / 4);
    if (bytes < wished) {
      reason.set("smaller ring: only %llu KiB are free, a ring takes a quarter at most",
                 static_cast<unsigned long long>(free_bytes >> 10));
    }
  }
  // Past this limit the kernel would not answer an error but end the gateway with SIGXFSZ.
  rlimit file_limit = {};
  if (getrlimit(RLIMIT_FSIZE, &file_limit) == 0 && file_limit.rlim_cur != RLIM_INFINITY &&
      bytes > file_limit.rlim_cur) {
    bytes = file_limit.rlim_cur;
    reason.set("smaller ring: the process may write files of %llu KiB only",
               static_cast<unsigned long long>(bytes >> 10));
  }
  bytes = bytes / page_bytes() * page_bytes();
  if (bytes >= kRingBytesMin) return bytes;
  reason.set("no space: a ring needs %llu KiB and may take %llu KiB (a quarter of what is free)",
             static_cast<unsigned long long>(kRingBytesMin >> 10),
             static_cast<unsigned long long>(bytes >> 10));
  return 0;
}

// Allocates the file's pages for good, so that no write ever meets a full file system as SIGBUS.
// Returns what it got: another process may have taken the room that affordable_bytes() saw.
std::uint64_t allocate(int file, std::uint64_t bytes, Reason& reason) noexcept {
  while (bytes >= kRingBytesMin) {
    int error_number = 0;
    do {
      error_number = posix_fallocate(file, 0, static_cast<off_t>(bytes));
    } while (error_number == EINTR);
    if (error_number == 0) return bytes;
    if (error_number != ENOSPC) {
      reason.set("cannot allocate a ring: %s", Reason::error_name(error_number));
      return 0;
    }
    if (ftruncate(file, 0) != 0) break;
    bytes = bytes / 2 / page_bytes() * page_bytes();
    reason.set("smaller ring: the file system filled up meanwhile");
  }
  reason.set("no space left for a ring");
  return 0;
}

bool lock_file(int file) noexcept {
  // A POSIX record lock, not an open-file-description lock: it belongs to the process alone, and
  // the kernel drops it at death whatever forked children still hold the descriptor.
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return fcntl(file, F_SETLK, &lock) == 0;
}

// Created and locked, or -1 with a reason. Mode 0660 whatever the umask: the directory's
// set-group-id bit gives the file the engine's group, and nobody else may look.
int create_file(int directory, const char* name, Reason& reason) noexcept {
  int file = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
  if (file >= 0 && file <= STDERR_FILENO) {
    // A gateway that closed its standard streams would print into our file.
    const int higher = fcntl(file, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(file);
    file = higher;
  }
  if (file < 0) {
    reason.set("cannot create a file in the ring directory: %s", Reason::error_name(errno));
    return -1;
  }
  // Refused by few file systems; the engine then says that it may not open the ring.
  static_cast<void>(fchmod(file, 0660));
  return file;
}

}  // namespace

std::string ring_name(const unsigned char (&uuid)[16]) {
  return names_of(uuid).ring;
}

std::uint32_t plan_lanes(std::uint64_t ring_bytes, std::uint32_t lanes_wanted, std::uint64_t page,
                         LaneExtent* lanes) noexcept {
  std::uint32_t count = std::clamp(lanes_wanted, 1u, kLanesMax);
  const std::uint64_t start = round_up(control_bytes(count), page);
  const std::uint64_t data_bytes = (ring_bytes - start) / page * page;
  const std::uint64_t lane_bytes_min = std::max(kLaneBytesMin, page);
  if (count > 1) {
    const std::uint64_t most = data_bytes / 2 / lane_bytes_min + 1;
    count = static_cast<std::uint32_t>(std::min<std::uint64_t>(count, most));
  }
  std::uint64_t others = 0;
  if (count > 1) others = data_bytes / 2 / (count - 1) / page * page;
  lanes[0] = {start, data_bytes - others * (count - 1)};
  for (std::uint32_t i = 1; i < count; ++i) {
    lanes[i] = {lanes[i - 1].offset + lanes[i - 1].capacity, others};
  }
  return count;
}

int OwnedRing::open_directory(const char* path, Reason& reason) noexcept {
  // PATH: writers may not list the directory. NOFOLLOW: a link in the way is nobody's ring
  // directory.
  const int directory = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (directory < 0) {
    reason.set("ring directory %.80s: %s", path,
               errno == ENOTDIR ? "not a directory" : Reason::error_name(errno));
  }
  return directory;
}

bool OwnedRing::create(int directory, const RingWish& wish, Reason& reason) noexcept {
  *this = OwnedRing();
  const std::uint64_t wished = std::clamp(wish.ring_bytes, kRingBytesMin, kRingBytesMax);
  const std::uint64_t affordable = affordable_bytes(directory, wished, reason);
  if (affordable == 0) return false;

  unsigned char uuid[16];
  if (!make_uuid(uuid)) {
    reason.set("no random numbers for a ring's name");
    return false;
  }
  const RingNames names = names_of(uuid);

  lock_ = create_file(directory, names.lock, reason);
  if (lock_ < 0) return false;
  struct stat lock_status = {};
  SIDECAST_SHM_TEST_POINT("ring_file.before_lock");
  // No link left: an engine took the file for a dead writer's in the instant before the lock.
  if (!lock_file(lock_) || fstat(lock_, &lock_status) != 0 || lock_status.st_nlink == 0) {
    reason.set("cannot lock %.64s: %s", names.lock, Reason::error_name(errno));
    unlinkat(directory, names.lock, 0);
    ::close(lock_);
    lock_ = -1;
    return false;
  }
  lock_device_ = lock_status.st_dev;
  lock_inode_ = lock_status.st_ino;
  SIDECAST_SHM_TEST_POINT("ring_file.after_lock");

  const int file = create_file(directory, names.unfinished, reason);
  bool is_made = false;
  if (file >= 0) {
    ring_bytes_ = allocate(file, affordable, reason);
    LaneExtent lanes[kLanesMax] = {};
    if (ring_bytes_ != 0) {
      lane_count_ = plan_lanes(ring_bytes_, wish.lanes, page_bytes(), lanes);
      SIDECAST_SHM_TEST_POINT("ring_file.after_allocate");
      if (map(file, lanes)) {
        // The file reads as zeros, which is what every field that is not named here starts as.
        RingHeader& ring = header();
        ring.magic = kRingMagic;
        ring.layout_version = kLayoutVersion;
        ring.lane_count = lane_count_;
        ring.ring_bytes = ring_bytes_;
        timespec now = {};
        clock_gettime(CLOCK_REALTIME, &now);
        ring.created_ns = std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
        std::memcpy(ring.uuid, uuid, sizeof uuid);
        ring.pid = getpid();
        std::snprintf(ring.process, sizeof ring.process, "%s", wish.process);
        std::copy_n(lanes, kLanesMax, ring.lanes);
        std::copy_n(lanes, kLanesMax, lanes_);
        // relaxed: the link below makes the ring visible, not this store.
        ring.control.store(wish.switched_off ? kControlSwitchedOff : 0, std::memory_order_relaxed);
        SIDECAST_SHM_TEST_POINT("ring_file.before_link");
        is_made = linkat(directory, names.unfinished, directory, names.ring, 0) == 0;
        if (!is_made) reason.set("cannot name the ring: %s", Reason::error_name(errno));
        SIDECAST_SHM_TEST_POINT("ring_file.after_link");
      } else {
        reason.set("cannot map a ring: %s", Reason::error_name(errno));
      }
    }
    ::close(file);
    unlinkat(directory, names.unfinished, 0);
  }
  if (!is_made) {
    unlinkat(directory, names.lock, 0);
    close();
  }
  return is_made;
}

bool OwnedRing::map(int file, const LaneExtent* lanes) noexcept {
  control_region_bytes_ = lanes[0].offset;
  std::uint64_t mirrored = 0;
  for (std::uint32_t i = 0; i < lane_count_; ++i) mirrored += 2 * lanes[i].capacity;
  reserved_bytes_ = control_region_bytes_ + mirrored;
  void* const reservation =
      mmap(nullptr, reserved_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reservation == MAP_FAILED) return false;
  base_ = static_cast<char*>(reservation);
  // Populated: no write takes a page fault later.
  constexpr int kFlags = MAP_FIXED | MAP_POPULATE;
  if (map_region(file, true, 0, control_region_bytes_, base_, kFlags) == nullptr) return false;
  char* address = base_ + control_region_bytes_;
  for (std::uint32_t i = 0; i < lane_count_; ++i) {
    for (int copy = 0; copy < 2; ++copy) {
      if (map_region(file, true, lanes[i].offset, lanes[i].capacity, address, kFlags) == nullptr) {
        return false;
      }
      address += lanes[i].capacity;
    }
  }
  // A child must not write into its parent's ring. Refused: it could, so there is no ring.
  if (madvise(base_, reserved_bytes_, MADV_DONTFORK) != 0) return false;
  // Prompts do not belong into a gateway's core dumps; a kernel without this only makes them
  // larger.
  static_cast<void>(madvise(base_, reserved_bytes_, MADV_DONTDUMP));
  return true;
}

OwnedLane OwnedRing::lane(std::uint32_t index) const noexcept {
  std::uint64_t offset = control_region_bytes_;
  for (std::uint32_t i = 0; i < index; ++i) offset += 2 * lanes_[i].capacity;
  auto* const controls = reinterpret_cast<LaneControl*>(base_ + kLaneControlOffset);
  return {controls + index, base_ + offset, lanes_[index].capacity};
}

void OwnedRing::close() noexcept {
  if (base_ != nullptr) munmap(base_, reserved_bytes_);
  base_ = nullptr;
  close_lock();
}

void OwnedRing::detach() noexcept {
  // One step: a thread that looks at the controls sees either the old page or a zero page.
  void* const controls = mmap(base_, control_region_bytes_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (controls != MAP_FAILED) {
    munmap(base_ + control_region_bytes_, reserved_bytes_ - control_region_bytes_);
    reserved_bytes_ = control_region_bytes_;
  }
  close_lock();
}

void OwnedRing::forget_after_fork() noexcept {
  base_ = nullptr;  // MADV_DONTFORK: somebody else may have been mapped there since
  close_lock();
}

void OwnedRing::close_lock() noexcept {
  struct stat status = {};
  if (lock_ >= 0 && fstat(lock_, &status) == 0 && status.st_dev == lock_device_ &&
      status.st_ino == lock_inode_) {
    ::close(lock_);
  }
  lock_ = -1;
}

const char* check_header(const RingHeader& copy, std::uint64_t file_bytes,
                         CheckedHeader& checked) noexcept {
  if (copy.magic != kRingMagic) return "not a ring: wrong magic number";
  if (copy.layout_version != kLayoutVersion) {
    return copy.layout_version > kLayoutVersion
               ? "a ring of a later layout version: upgrade the engine to read it"
               : "a ring of an unknown layout version";
  }
  if (copy.lane_count == 0 || copy.lane_count > kLanesMax) return "impossible number of lanes";
  if (copy.ring_bytes != file_bytes) return "the header's size is not the file's";
  std::uint64_t end = control_bytes(copy.lane_count);
  for (std::uint32_t i = 0; i < copy.lane_count; ++i) {
    const LaneExtent lane = copy.lanes[i];
    if (lane.offset < end || lane.offset > file_bytes || lane.capacity > file_bytes - lane.offset) {
      return "a lane lies outside the file or inside another";
    }
    if (lane.offset % kRecordAlign != 0 || lane.capacity % kRecordAlign != 0 ||
        lane.capacity < 2 * kRecordBytesMin) {
      return "a lane is too small or not aligned";
    }
    end = lane.offset + lane.capacity;
    checked.lanes[i] = lane;
  }
  std::memcpy(checked.uuid, copy.uuid, sizeof checked.uuid);
  checked.pid = copy.pid;
  checked.created_ns = copy.created_ns;
  checked.lane_count = copy.lane_count;
  checked.ring_bytes = copy.ring_bytes;
  for (std::size_t i = 0; i + 1 < kProcessNameBytes && copy.process[i] != '\0'; ++i) {
    const char character = copy.process[i];
    checked.process[i] = character >= ' ' && character <= '~' ? character : '?';
  }
  return nullptr;
}

RingOpen open_ring(int directory, const std::string& name, bool is_writable,
                   GuardedMapping& mapping, CheckedHeader& header, std::string& reason) {
  // NONBLOCK: a named pipe in the way must not stop the engine.
  const int file = openat(directory, name.c_str(),
                          (is_writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) {
    reason = std::string("open: ") + Reason::error_name(errno);
    return errno == ELOOP || errno == ENXIO || errno == EISDIR ? RingOpen::kHostile
                                                               : RingOpen::kLater;
  }
  const auto finish = [&](RingOpen answer, const char* why) {
    close(file);
    reason = why;
    return answer;
  };
  struct stat status = {};
  if (fstat(file, &status) != 0) return finish(RingOpen::kLater, Reason::error_name(errno));
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  if (!S_ISREG(status.st_mode)) return finish(RingOpen::kHostile, "not a regular file");
  if (file_bytes < control_bytes(1) || file_bytes > kRingBytesMax) {
    return finish(RingOpen::kHostile, "not a ring: impossible size");
  }
  char* const base =
      map_region(file, is_writable, 0, file_bytes, nullptr, bip::default_map_options);
  if (base == nullptr) return finish(RingOpen::kLater, Reason::error_name(errno));
  mapping.adopt(base, file_bytes, is_writable);

  alignas(RingHeader) std::byte bytes[sizeof(RingHeader)];
  {
    const BusGuard guard(mapping);
    std::memcpy(bytes, base, sizeof bytes);
  }
  if (mapping.gone()) return finish(RingOpen::kHostile, "the file was truncated");
  const auto& copy = *reinterpret_cast<const RingHeader*>(bytes);
  if (const char* const wrong = check_header(copy, file_bytes, header)) {
    return finish(RingOpen::kHostile, wrong);
  }
  // One name per ring: a copy or a second link would be read twice.
  if (ring_name(header.uuid) != name) {
    return finish(RingOpen::kHostile, "the header names another ring than the file's name");
  }
  header.owner_uid = status.st_uid;
  return finish(RingOpen::kOpened, "");
}

}  // namespace sidecast::shm
