#include "engine/ledger/ledger.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <random>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/log.h"

namespace sidecast {
namespace {

using ledger::DestinationSlot;
using ledger::GroupSlot;
using ledger::LedgerHeader;

template <std::size_t Size>
void store_text(std::array<char, Size>& to, std::string_view text) {
  to.fill('\0');
  std::copy_n(text.data(), std::min(text.size(), Size - 1), to.data());
}

Error system_error(std::string_view what, const std::string& path, int error) {
  return Error(fmt::format("{} {}: {}", what, path, std::generic_category().message(error)));
}

std::string_view identity_of(const DestinationSlot& slot) {
  return {slot.identity.data(), slot.identity.size()};
}
std::string_view hash_of(const GroupSlot& slot) {
  return {slot.hash.data(), slot.hash.size()};
}

bool is_free(const DestinationSlot& slot) {
  return slot.identity.front() == '\0';
}

template <typename Slot>
Slot* slots_at(LedgerHeader* header, std::size_t offset) {
  return reinterpret_cast<Slot*>(reinterpret_cast<char*>(header) + offset);
}

struct Extent {
  std::size_t offset;
  std::size_t size;
};

// What is in use of a file with this header.
std::array<Extent, 3> extents_of(const LedgerHeader& header) {
  // acquire: pairs with the stores that follow a slot's filling in.
  const std::size_t groups = header.group_count.load(std::memory_order_acquire);
  const std::size_t destinations = header.destination_count.load(std::memory_order_acquire);
  return {Extent{0, ledger::kGroupsAt}, Extent{ledger::kGroupsAt, groups * sizeof(GroupSlot)},
          Extent{ledger::kSlotsAt, destinations * sizeof(DestinationSlot)}};
}

// Empty, or why the file is none that we can go on with.
std::string_view flaw_of(int fd, const LedgerHeader& header) {
  struct stat info {};
  if (header.magic != ledger::kMagic || header.version != ledger::kVersion) {
    return "is not a ledger of this version";
  }
  if (fstat(fd, &info) != 0 || info.st_size != static_cast<off_t>(ledger::kFileBytes) ||
      header.group_count > ledger::kGroupsMax ||
      header.destination_count > ledger::kDestinationsMax) {
    return "is a damaged ledger: its size is wrong";
  }
  return {};
}

// Reads to the file's end; what lies behind stays as it is.
bool read_extent(int fd, void* to, Extent extent) {
  for (std::size_t done = 0; done < extent.size;) {
    const ssize_t count = pread(fd, static_cast<char*>(to) + done, extent.size - done,
                                static_cast<off_t>(extent.offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

// A new ledger, whole before it has its name. A descriptor.
Result<int> make_file(const std::string& path) {
  const std::string draft = path + ".new";
  const int fd = ::open(draft.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return fail(system_error("make", draft, errno));
  const auto failed = [&](std::string_view what, int error) {
    close(fd);
    unlink(draft.c_str());
    return fail(system_error(what, path, error));
  };
  LedgerHeader header{};
  header.magic = ledger::kMagic;
  header.version = ledger::kVersion;
  header.epoch = std::random_device{}() + (std::uint64_t{std::random_device{}()} << 32U);
  if (ftruncate(fd, static_cast<off_t>(ledger::kFileBytes)) != 0) return failed("size", errno);
  if (const int error = posix_fallocate(fd, 0, static_cast<off_t>(ledger::kGroupsAt)); error != 0) {
    return failed("make room for", error);
  }
  if (pwrite(fd, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) {
    return failed("write", errno);
  }
  if (std::rename(draft.c_str(), path.c_str()) != 0) return failed("name", errno);
  return fd;
}

}  // namespace

Ledger::Ledger(void* base, int fd) : header_(static_cast<LedgerHeader*>(base)), fd_(fd) {
  destination_count_ = header_->destination_count.load(std::memory_order_relaxed);
  group_count_ = header_->group_count.load(std::memory_order_relaxed);
}

Ledger::~Ledger() {
  munmap(header_, ledger::kFileBytes);
  if (fd_ >= 0) close(fd_);
}

Result<std::unique_ptr<Ledger>> Ledger::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno != ENOENT) return fail(system_error("open", path, errno));
  if (fd >= 0) {
    LedgerHeader found{};
    if (!read_extent(fd, &found, {0, sizeof found})) {
      Error error = system_error("read", path, errno);
      close(fd);
      return fail(std::move(error));
    }
    const std::string_view flaw = flaw_of(fd, found);
    if (flaw.empty()) return map(fd, path);
    close(fd);
    const std::string aside = path + ".foreign";
    log_warning("{} {}; moved to {}, counting begins anew", path, flaw, aside);
    if (std::rename(path.c_str(), aside.c_str()) != 0) {
      return fail(system_error("move aside", path, errno));
    }
  }
  auto made = make_file(path);
  if (!made) return fail(std::move(made.error()));
  return map(*made, path);
}

Result<std::unique_ptr<Ledger>> Ledger::map(int fd, const std::string& path) {
  void* const base = mmap(nullptr, ledger::kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) {
    Error error = system_error("map", path, errno);
    close(fd);
    return fail(std::move(error));
  }
  std::unique_ptr<Ledger> ledger(new Ledger(base, fd));
  LedgerHeader header{};
  static_cast<void>(read_extent(fd, &header, {0, sizeof header}));
  // Whoever copied the file may have left holes.
  for (const Extent extent : extents_of(header)) {
    if (extent.size == 0) continue;
    if (Status room = ledger->allocate(extent.offset, extent.size); !room) {
      return fail(std::move(room.error()));
    }
  }
  ledger->index_slots();
  return ledger;
}

void Ledger::index_slots() {
  for (std::size_t i = 0; i < destination_count_; ++i) {
    const auto index = static_cast<DestinationIndex>(i);
    if (is_free(destination(index))) {
      free_destinations_.push_back(index);
    } else {
      by_identity_.emplace(identity_of(destination(index)), index);
    }
  }
  for (std::size_t i = 0; i < group_count_; ++i) {
    const auto index = static_cast<GroupIndex>(i);
    if (group(index).member_count == 0) {
      free_groups_.push_back(index);
    } else {
      by_hash_.emplace(hash_of(group(index)), index);
    }
  }
}

void Ledger::free_destination(DestinationIndex index) {
  DestinationSlot& slot = destination(index);
  by_identity_.erase(identity_of(slot));
  slot.identity.fill('\0');
  slot.name.fill('\0');
  slot.type.fill('\0');
  slot.last_error.fill('\0');
  free_destinations_.push_back(index);
}

void Ledger::free_group(GroupIndex index) {
  GroupSlot& slot = group(index);
  const auto [first, last] = by_hash_.equal_range(hash_of(slot));
  const auto found =
      std::find_if(first, last, [index](const auto& known) { return known.second == index; });
  SIDECAST_ASSERT(found != last);
  by_hash_.erase(found);
  slot.member_count = 0;
  slot.members.fill(0);
  free_groups_.push_back(index);
}

Result<std::unique_ptr<const Ledger>> Ledger::open_read_only(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return fail(system_error("open", path, errno));
  // Address space only: pages come with what is read into them.
  void* const base = mmap(nullptr, ledger::kFileBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    Error error = system_error("make room to read", path, errno);
    close(fd);
    return fail(std::move(error));
  }
  LedgerHeader found{};
  std::string_view flaw = "cannot be read";
  if (read_extent(fd, &found, {0, sizeof found})) flaw = flaw_of(fd, found);
  if (flaw.empty()) {
    for (const Extent extent : extents_of(found)) {
      if (!read_extent(fd, static_cast<char*>(base) + extent.offset, extent)) {
        flaw = "cannot be read";
      }
    }
  }
  // Its own counts, which may have grown since, would name slots that were not read.
  auto* const header = static_cast<LedgerHeader*>(base);
  header->group_count.store(found.group_count, std::memory_order_relaxed);
  header->destination_count.store(found.destination_count, std::memory_order_relaxed);
  close(fd);
  std::unique_ptr<const Ledger> ledger(new Ledger(base, -1));
  if (!flaw.empty()) return fail(fmt::format("{} {}", path, flaw));
  return ledger;
}

std::int64_t last_heartbeat_ns(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return 0;
  LedgerHeader header{};
  const bool is_read = read_extent(fd, &header, {0, sizeof header});
  close(fd);
  return is_read ? header.heartbeat_ns.load(std::memory_order_relaxed) : 0;
}

DestinationSlot& Ledger::destination(DestinationIndex index) noexcept {
  return slots_at<DestinationSlot>(header_, ledger::kSlotsAt)[index];
}
const DestinationSlot& Ledger::destination(DestinationIndex index) const noexcept {
  return slots_at<DestinationSlot>(header_, ledger::kSlotsAt)[index];
}
GroupSlot& Ledger::group(GroupIndex index) noexcept {
  return slots_at<GroupSlot>(header_, ledger::kGroupsAt)[index];
}
const GroupSlot& Ledger::group(GroupIndex index) const noexcept {
  return slots_at<GroupSlot>(header_, ledger::kGroupsAt)[index];
}

Status Ledger::allocate(std::size_t offset, std::size_t size) {
  // Really allocated, so that a full file system is an error here and not a SIGBUS later.
  const int failed = posix_fallocate(fd_, static_cast<off_t>(offset), static_cast<off_t>(size));
  if (failed != 0) return fail(system_error("make room in", "the ledger", failed));
  return {};
}

Result<DestinationIndex> Ledger::find_or_add_destination(std::string_view identity,
                                                         std::string_view name,
                                                         std::string_view type) {
  SIDECAST_ASSERT(identity.size() == sizeof(DestinationSlot::identity));
  if (const auto known = by_identity_.find(identity); known != by_identity_.end()) {
    return known->second;
  }
  const auto added = new_destination();
  if (!added) return fail(added.error());
  const DestinationIndex index = *added;
  DestinationSlot& slot = destination(index);
  store_text(slot.name, name);
  store_text(slot.type, type);
  std::copy(identity.begin(), identity.end(), slot.identity.begin());
  by_identity_.emplace(identity_of(slot), index);
  if (index < destination_count_) return index;
  ++destination_count_;
  // release: makes the slot used, after it was filled in.
  header_->destination_count.store(index + 1, std::memory_order_release);
  return index;
}

Result<DestinationIndex> Ledger::new_destination() {
  if (!free_destinations_.empty()) {
    const DestinationIndex index = free_destinations_.back();
    free_destinations_.pop_back();
    return index;
  }
  if (destination_count_ == ledger::kDestinationsMax) {
    return fail(fmt::format(
        "the ledger holds {} destinations, those that are gone but not settled among them, and has "
        "no room for another",
        ledger::kDestinationsMax));
  }
  const auto index = static_cast<DestinationIndex>(destination_count_);
  const std::size_t offset = ledger::kSlotsAt + index * sizeof(DestinationSlot);
  if (Status room = allocate(offset, sizeof(DestinationSlot)); !room) return fail(room.error());
  return index;
}

Result<GroupIndex> Ledger::new_group() {
  if (!free_groups_.empty()) {
    const GroupIndex index = free_groups_.back();
    free_groups_.pop_back();
    return index;
  }
  if (group_count_ == ledger::kGroupsMax) {
    return fail(
        fmt::format("the ledger holds {} groups of destinations and has no room for another",
                    ledger::kGroupsMax));
  }
  const auto index = static_cast<GroupIndex>(group_count_);
  const std::size_t offset = ledger::kGroupsAt + index * sizeof(GroupSlot);
  if (Status room = allocate(offset, sizeof(GroupSlot)); !room) return fail(room.error());
  return index;
}

Result<GroupIndex> Ledger::find_or_add_group(std::string_view hash,
                                             const std::vector<DestinationIndex>& members,
                                             std::vector<std::uint8_t>& bits_out) {
  SIDECAST_ASSERT(hash.size() == sizeof(GroupSlot::hash));
  SIDECAST_ASSERT(members.size() <= ledger::kGroupMembersMax);
  const auto place = [&](GroupSlot& slot) {
    // Bits of members that left stay theirs: entries staged for them may still be there.
    std::vector<std::uint8_t> bits;
    std::uint32_t count = slot.member_count;
    auto known = slot.members;
    for (const DestinationIndex member : members) {
      const auto* const found = std::find(known.begin(), known.begin() + count, member);
      const auto bit = static_cast<std::uint32_t>(found - known.begin());
      if (bit == ledger::kGroupMembersMax) return false;
      known[bit] = member;
      count = std::max(count, bit + 1);
      bits.push_back(static_cast<std::uint8_t>(bit));
    }
    slot.members = known;
    slot.member_count = count;
    bits_out = std::move(bits);
    return true;
  };
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto known = first; known != last; ++known) {
    if (place(group(known->second))) return known->second;
  }
  const auto added = new_group();
  if (!added) return fail(added.error());
  const GroupIndex index = *added;
  SIDECAST_ASSERT(place(group(index)));
  std::copy(hash.begin(), hash.end(), group(index).hash.begin());
  by_hash_.emplace(hash_of(group(index)), index);
  if (index < group_count_) return index;
  ++group_count_;
  header_->group_count.store(index + 1, std::memory_order_release);  // as above
  return index;
}

std::uint64_t Ledger::offset_of(const ledger::Counter& counter) const noexcept {
  return static_cast<std::uint64_t>(reinterpret_cast<const char*>(&counter) -
                                    reinterpret_cast<const char*>(header_));
}

ledger::Counter* Ledger::counter_at(std::uint64_t offset) noexcept {
  if (offset % alignof(ledger::Counter) != 0 ||
      offset > ledger::kFileBytes - sizeof(ledger::Counter)) {
    return nullptr;
  }
  return reinterpret_cast<ledger::Counter*>(reinterpret_cast<char*>(header_) + offset);
}

}  // namespace sidecast
