#include "engine/ledger/ledger.h"

#include <algorithm>
#include <cerrno>
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

Error system_error(std::string_view what, const std::string& path) {
  return Error(fmt::format("{} {}: {}", what, path, std::generic_category().message(errno)));
}

template <typename Slot>
Slot* slots_at(LedgerHeader* header, std::size_t offset) {
  return reinterpret_cast<Slot*>(reinterpret_cast<char*>(header) + offset);
}

bool is_ours(const LedgerHeader& header) {
  return header.magic == ledger::kMagic && header.version == ledger::kVersion;
}

}  // namespace

Ledger::Ledger(void* base, bool writable, int fd)
    : header_(static_cast<LedgerHeader*>(base)), fd_(writable ? fd : -1) {
  // A free slot's first byte is zero, and slots are appended without gaps.
  while (destination_count_ < ledger::kDestinationsMax &&
         destination(static_cast<DestinationIndex>(destination_count_)).identity[0] != '\0') {
    ++destination_count_;
  }
  while (group_count_ < ledger::kGroupsMax &&
         group(static_cast<GroupIndex>(group_count_)).hash[0] != '\0') {
    ++group_count_;
  }
}

Ledger::~Ledger() {
  munmap(header_, ledger::kFileBytes);
  if (fd_ >= 0) close(fd_);
}

Result<std::unique_ptr<Ledger>> Ledger::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return fail(system_error("open", path));
  if (ftruncate(fd, static_cast<off_t>(ledger::kFileBytes)) != 0 ||
      posix_fallocate(fd, 0, static_cast<off_t>(ledger::kGroupsAt)) != 0) {
    Error error = system_error("make room for", path);
    close(fd);
    return fail(std::move(error));
  }
  void* const base = mmap(nullptr, ledger::kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) {
    Error error = system_error("map", path);
    close(fd);
    return fail(std::move(error));
  }
  auto* const header = static_cast<LedgerHeader*>(base);
  if (header->magic != 0 && !is_ours(*header)) {
    munmap(base, ledger::kFileBytes);
    close(fd);
    const std::string aside = path + ".foreign";
    log_warning("{} is not a ledger of this version; moved to {}, counting begins anew", path,
                aside);
    if (std::rename(path.c_str(), aside.c_str()) != 0)
      return fail(system_error("move aside", path));
    return open(path);
  }
  if (header->magic == 0)
    header->epoch = std::random_device{}() + (std::uint64_t{std::random_device{}()} << 32U);
  header->version = ledger::kVersion;
  header->magic = ledger::kMagic;
  return std::unique_ptr<Ledger>(new Ledger(base, true, fd));
}

Result<std::unique_ptr<const Ledger>> Ledger::open_read_only(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return fail(system_error("open", path));
  struct stat info {};
  if (fstat(fd, &info) != 0 || info.st_size != static_cast<off_t>(ledger::kFileBytes)) {
    close(fd);
    return fail(fmt::format("{} is not a ledger: its size is wrong", path));
  }
  void* const base = mmap(nullptr, ledger::kFileBytes, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (base == MAP_FAILED) return fail(system_error("map", path));
  if (!is_ours(*static_cast<const LedgerHeader*>(base))) {
    munmap(base, ledger::kFileBytes);
    return fail(fmt::format("{} is not a ledger of this version", path));
  }
  return std::unique_ptr<const Ledger>(new Ledger(base, false, -1));
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
  if (failed != 0)
    return fail(
        fmt::format("no room for a ledger slot: {}",
                    std::strerror(failed)));  // NOLINT(concurrency-mt-unsafe): starting thread only
  return {};
}

Result<DestinationIndex> Ledger::find_or_add_destination(std::string_view identity,
                                                         std::string_view name,
                                                         std::string_view type) {
  SIDECAST_ASSERT(identity.size() == sizeof(DestinationSlot::identity));
  for (std::size_t i = 0; i < destination_count_; ++i) {
    const auto index = static_cast<DestinationIndex>(i);
    const auto& known = destination(index).identity;
    if (std::string_view(known.data(), known.size()) == identity) return index;
  }
  if (destination_count_ == ledger::kDestinationsMax) {
    return fail(
        fmt::format("the ledger holds {} destinations and has no room for another; "
                    "stop the engine and remove the ledger file to begin anew",
                    ledger::kDestinationsMax));
  }
  const auto index = static_cast<DestinationIndex>(destination_count_);
  const std::size_t offset = ledger::kSlotsAt + index * sizeof(DestinationSlot);
  if (Status room = allocate(offset, sizeof(DestinationSlot)); !room) return fail(room.error());
  DestinationSlot& slot = destination(index);
  store_text(slot.name, name);
  store_text(slot.type, type);
  std::copy(identity.begin(), identity.end(), slot.identity.begin());  // last: makes it used
  ++destination_count_;
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
  for (std::size_t i = 0; i < group_count_; ++i) {
    const auto index = static_cast<GroupIndex>(i);
    GroupSlot& slot = group(index);
    if (std::string_view(slot.hash.data(), slot.hash.size()) != hash) continue;
    if (place(slot)) return index;
  }
  if (group_count_ == ledger::kGroupsMax) {
    return fail(
        fmt::format("the ledger holds {} groups of destinations and has no room for another",
                    ledger::kGroupsMax));
  }
  const auto index = static_cast<GroupIndex>(group_count_);
  const std::size_t offset = ledger::kGroupsAt + index * sizeof(GroupSlot);
  if (Status room = allocate(offset, sizeof(GroupSlot)); !room) return fail(room.error());
  SIDECAST_ASSERT(place(group(index)));
  std::copy(hash.begin(), hash.end(), group(index).hash.begin());
  ++group_count_;
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
