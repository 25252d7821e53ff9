// The ledger: opens the file of ledger/layout.h, finds, appends and frees slots, and names counters
// by their place in the file, which is how a redo record stores them.
//
// Threads: slots are found and appended by the housekeeping thread only; each counter has one
// writer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
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

  // The slot of that identity; when it is new a free one, else one more.
  [[nodiscard]] Result<DestinationIndex> find_or_add_destination(std::string_view identity,
                                                                 std::string_view name,
                                                                 std::string_view type);
  // A slot of that group in which every one of `members` (at most 64) has a bit; bits_out[i] is the
  // bit of members[i].
  [[nodiscard]] Result<GroupIndex> find_or_add_group(std::string_view hash,
                                                     const std::vector<DestinationIndex>& members,
                                                     std::vector<std::uint8_t>& bits_out);

  // A destination that is gone and whose counts are zero (retire.h); a group that no entry names.
  void free_destination(DestinationIndex index);
  void free_group(GroupIndex index);
  // Without the free ones.
  [[nodiscard]] std::size_t destinations_used() const noexcept {
    return destination_count_ - free_destinations_.size();
  }
  [[nodiscard]] std::size_t groups_used() const noexcept {
    return group_count_ - free_groups_.size();
  }

  [[nodiscard]] std::uint64_t offset_of(const ledger::Counter& counter) const noexcept;
  // Null when the offset is not one a counter can have.
  [[nodiscard]] ledger::Counter* counter_at(std::uint64_t offset) noexcept;

 private:
  // `fd` is -1 for a copy.
  Ledger(void* base, int fd);
  [[nodiscard]] static Result<std::unique_ptr<Ledger>> map(int fd, const std::string& path);
  [[nodiscard]] Status allocate(std::size_t offset, std::size_t size);
  void index_slots();
  [[nodiscard]] Result<DestinationIndex> new_destination();
  [[nodiscard]] Result<GroupIndex> new_group();

  ledger::LedgerHeader* header_;
  std::size_t destination_count_ = 0;
  std::size_t group_count_ = 0;
  // What the slots are for; views of the slots.
  std::unordered_map<std::string_view, DestinationIndex> by_identity_;
  std::unordered_multimap<std::string_view, GroupIndex> by_hash_;
  std::vector<DestinationIndex> free_destinations_;
  std::vector<GroupIndex> free_groups_;
  int fd_;
};

// Of the ledger in that file, without opening it; 0 when it cannot be read.
[[nodiscard]] std::int64_t last_heartbeat_ns(const std::string& path);

}  // namespace sidecast
