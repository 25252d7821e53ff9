// The gate between delivery and the spool: hands batches over, for all destinations that wait for
// them in vain, clears their bits when they are on disk, and brings them back when a destination
// takes something again. A destination may leave in a reload while something of it is on its way:
// so it is named by its slot, and what comes back for nobody is held.
// Threads: belongs to the delivery thread, but for the marked functions.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "engine/batch/plan.h"
#include "engine/batch/settle.h"
#include "engine/deliver/held.h"
#include "engine/deliver/outlet.h"
#include "engine/spool/spooler.h"

namespace sidecast {

class SpoolGate {
 public:
  struct Context {
    std::vector<std::unique_ptr<Outlet>>& outlets;  // by slot of the ledger; null = there is none
    std::set<DestinationIndex>& busy;               // whose outlet is not quiet
    HeldRecords& held;
    Settler& settler;
    spool::Spooler& spooler;
    std::chrono::milliseconds after;
  };
  explicit SpoolGate(const Context& context) : context_(context) {}

  [[nodiscard]] spool::Spooler::Taking takes() const noexcept { return context_.spooler.takes(); }
  // Uncompressed, handed over and not yet on disk: memory that will come free.
  [[nodiscard]] std::uint64_t bytes_on_their_way() const noexcept { return bytes_; }

  // It was written in vain once, and always would be.
  [[nodiscard]] bool is_too_large(const SealedBatch& sealed) const noexcept;

  // The oldest batch that destination can spare. False: it has none.
  bool hand_over(Outlet& outlet, Instant now);
  // What has waited for too long for destinations that do not take it.
  void hand_over_aged(Instant now);

  // What was read back for destinations that do not take it: others want the room.
  void take_read_back();

  // Asks for the oldest batch of that destination, to be staged for the group it has now.
  void read_back(const PlannedDestination& destination, bool is_probe);
  void restored(const SealedBatchPtr& sealed);
  // For which the spooler may still stage something: their slots must not be freed.
  [[nodiscard]] bool asks_for(DestinationIndex slot) const;
  [[nodiscard]] std::set<GroupIndex> groups_asked_for() const;
  // Any thread. The engine ends: nothing more is brought back.
  void stop_reading_back() noexcept { is_ending_.store(true, std::memory_order_relaxed); }

  // Also when no thread runs any more.
  void commit(const spool::Spooler::Put& put, const std::vector<spool::Spooler::Part>& parts);

 private:
  struct Handed;  // one put with all that go without it
  // Null: it has left.
  [[nodiscard]] Outlet* outlet_of(DestinationIndex slot) const noexcept;
  void hand_over(const RecordRange& first, Outlet& outlet, Instant now,
                 spool::Spool::AtLimit at_limit);
  // Nothing needs room in memory: when the spool is at its limit, it shall not be asked each time.
  [[nodiscard]] bool may_move() const noexcept;
  void written(const Handed& handed, spool::Spooler::Answer answer);
  void put_back(const RecordRange& range, const PlannedMember& member);
  void hold(const RecordRange& range, const PlannedMember& member);

  Context context_;
  std::uint64_t bytes_ = 0;
  // What only moves: puts on their way, and after a refusal when to ask again, one by one.
  std::size_t moving_ = 0;
  bool is_refused_ = false;
  Instant move_again_{};
  std::vector<std::weak_ptr<const SealedBatch>> too_large_;
  std::map<std::pair<DestinationIndex, GroupIndex>, std::size_t> asked_;  // how often
  std::atomic<bool> is_ending_{false};
};

}  // namespace sidecast
