// Held records: staged for a destination that was since changed, disabled or removed. They belong
// to what it was, so nobody may get them; they are kept for give_up_after, so that
// undoing the change loses nothing, and then dropped(policy_changed). The time runs on over
// restarts. Threads: belongs to the delivery thread, but for entries() and what is added before it
// runs.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <set>
#include <vector>

#include "engine/base/clock.h"
#include "engine/batch/settle.h"
#include "engine/deliver/loss_log.h"
#include "engine/ledger/ledger.h"
#include "engine/stage/stage.h"

namespace sidecast {

struct HeldRecord {
  stage::EntryRef entry;
  DestinationIndex destination = 0;
  std::uint8_t bit = 0;  // the destination's in the entry's mask
};

class HeldRecords {
 public:
  HeldRecords(Ledger& ledger, Settler& settler, const std::chrono::seconds& give_up_after)
      : ledger_(ledger), settler_(settler), give_up_after_(give_up_after) {}

  // Drops at once what is over its time.
  void add(std::vector<HeldRecord> records, Timestamp now);
  // The change of a destination was undone: what was held for it is the caller's.
  [[nodiscard]] std::vector<HeldRecord> take(DestinationIndex destination);
  void tick(Timestamp now);
  // Drops for want of memory until about `bytes` of spans were let go; returns how many.
  std::uint64_t drop_oldest(std::uint64_t bytes, Shortage shortage);

  // Any thread. Entries that wait for nobody else; as of the last tick.
  [[nodiscard]] std::uint64_t entries() const noexcept {
    return entries_.load(std::memory_order_acquire);  // pairs with count()
  }

 private:
  void tell(std::size_t records, const std::set<DestinationIndex>& destinations) const;
  void drop(const std::vector<HeldRecord>& records, ledger::DropReason reason);
  void count() noexcept;

  Ledger& ledger_;
  Settler& settler_;
  const std::chrono::seconds& give_up_after_;
  std::vector<HeldRecord> records_;          // about oldest first, those of one entry side by side
  std::set<DestinationIndex> destinations_;  // that were said
  bool is_loss_told_ = false;                // for want of memory: one line
  std::atomic<std::uint64_t> entries_{0};
};

}  // namespace sidecast
