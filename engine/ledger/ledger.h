// The ledger: opens the file of ledger/layout.h, finds or appends slots, and names counters by
// their place in the file, which is how a redo record stores them.
//
// Threads: slots are appended by the starting thread only; afterwards each counter has one writer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/ledger/layout.h"

namespace sidecast {

using DestinationIndex = std::uint32_t;  // of a DestinationSlot
using GroupIndex = std::uint32_t;        // of a GroupSlot

class Ledger {
 public:
  // Opens or makes the file. A file of another version or a damaged one is moved aside and a new
  // one begun.
  [[nodiscard]] static Result<std::unique_ptr<Ledger>> open(const std::string& path);
  // For `sidecast stats`: a copy, since a mapping of a file that somebody cuts short could end its
  // reader; the file must exist.
  [[nodiscard]] static Result<std::unique_ptr<const Ledger>> open_read_only(
      const std::string& path);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  [[nodiscard]] ledger::LedgerHeader& header() noexcept { return *header_; }
  [[nodiscard]] const ledger::LedgerHeader& header() const noexcept { return *header_; }
  [[nodiscard]] ledger::DestinationSlot& destination(DestinationIndex index) noexcept;
  [[nodiscard]] const ledger::DestinationSlot& destination(DestinationIndex index) const noexcept;
  [[nodiscard]] ledger::GroupSlot& group(GroupIndex index) noexcept;
  [[nodiscard]] const ledger::GroupSlot& group(GroupIndex index) const noexcept;
  [[nodiscard]] std::size_t destination_count() const noexcept { return destination_count_; }
  [[nodiscard]] std::size_t group_count() const noexcept { return group_count_; }

  // The slot of that identity, appended when it is new.
  [[nodiscard]] Result<DestinationIndex> find_or_add_destination(std::string_view identity,
                                                                 std::string_view name,
                                                                 std::string_view type);
  // A slot of that group in which every one of `members` (at most 64) has a bit; bits_out[i] is the
  // bit of members[i].
  [[nodiscard]] Result<GroupIndex> find_or_add_group(std::string_view hash,
                                                     const std::vector<DestinationIndex>& members,
                                                     std::vector<std::uint8_t>& bits_out);

  [[nodiscard]] std::uint64_t offset_of(const ledger::Counter& counter) const noexcept;
  // Null when the offset is not one a counter can have.
  [[nodiscard]] ledger::Counter* counter_at(std::uint64_t offset) noexcept;

 private:
  // `fd` is -1 for a copy.
  Ledger(void* base, int fd);
  [[nodiscard]] static Result<std::unique_ptr<Ledger>> map(int fd, const std::string& path);
  [[nodiscard]] Status allocate(std::size_t offset, std::size_t size);

  ledger::LedgerHeader* header_;
  std::size_t destination_count_ = 0;
  std::size_t group_count_ = 0;
  int fd_;
};

}  // namespace sidecast
