// The deliverer: one outlet per destination, on the HTTP loop's thread. Hands each sealed batch to
// the outlets it is for, lets old batches expire, and frees memory by dropping what is held for
// nobody, then the oldest batches of whoever holds most. Its periodic work grows with the
// destinations that have something to do, not with all there are.
// Threads: belongs to the delivery thread, but for the marked functions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "engine/batch/plan.h"
#include "engine/deliver/held.h"
#include "engine/deliver/outlet.h"
#include "engine/deliver/pinned.h"
#include "engine/deliver/spool_gate.h"

namespace sidecast {

class Deliverer {
 public:
  Deliverer(PlanPtr plan, HttpLoop& loop, Ledger& ledger, stage::RedoLog& redo, stage::Stage& stage,
            Outlet::Refreeze refreeze, fates::FateLog fates = {});

  // Keeps records for destinations that are not in the plan. Before the loop runs.
  void hold(std::vector<HeldRecord> records) { held_.add(std::move(records), wall_now()); }
  // What does not fit or waits for long goes there. Before the loop runs.
  void use_spool(spool::Spooler& spooler, std::chrono::milliseconds after);
  // Null without a spool.
  [[nodiscard]] SpoolGate* spool() noexcept { return gate_.get(); }
  // Delivery thread, once, before anything is submitted: starts the clock of expiry.
  void start();
  // Something may be spooled for whoever had nothing to do.
  void look_for_spooled();
  void submit(const SealedBatchPtr& sealed);
  // Goes on with the next plan, before any worker does. Who stays in it is not disturbed; what was
  // held for one that is back is delivered.
  void follow(PlanPtr plan);
  // Makes up to so many destinations that are gone and settled ready to be freed (ledger/retire.h),
  // once all workers go by the plan that this one goes by.
  [[nodiscard]] std::vector<DestinationIndex> retire(std::size_t count_max);
  struct Missing {
    std::uint64_t stage_bytes = 0;
    std::uint64_t body_bytes = 0;
    Shortage shortage = Shortage::kMemoryLimit;  // of the stage
  };
  // Frees memory at the cost of who does not deliver, the fullest first, until nothing is missing:
  // their oldest batches go to the spool, or, when there is none or it takes nothing, are dropped;
  // but none that others pin. When it is urgent, so do, after them, those that deliver but
  // hold up others that get as much and take it far faster. If all are slow alike, nobody loses
  // anything: the rings fill, and gateways shed bodies, which costs less than whole records.
  void relieve(const std::function<Missing()>& missing, bool urgent);

  // Once the loop has ended: the log's last words on losses.
  void finish_log();

  // Any thread. Records settled since the start.
  [[nodiscard]] std::uint64_t settled() const noexcept { return settler_.settled(); }
  // Any thread. Staged entries that nobody may take: they need not be waited for.
  [[nodiscard]] std::uint64_t held() const noexcept { return held_.entries(); }

 private:
  void tick();
  void open(const PlannedDestination& destination);
  void forget_leave(DestinationIndex slot);
  void hold(const SealedBatch& sealed, const PlannedMember& member);
  void release(const std::vector<HeldRecord>& records);
  // Who loses its oldest batch next; null: nobody.
  [[nodiscard]] bool holds_others_up(const Outlet& outlet, Instant now) const;
  [[nodiscard]] Outlet* victim(const Missing& missing, Pinned& pinned, Instant now,
                               bool urgent) const;
  [[nodiscard]] Pinned pinned(Instant now) const;
  // Spools or drops the oldest batch; returns the bytes, 0 when there is nothing to be had now.
  [[nodiscard]] std::uint64_t relieve(Outlet& outlet, Shortage shortage, Instant now, bool urgent);

  PlanPtr plan_;
  HttpLoop& loop_;
  Ledger& ledger_;
  stage::RedoLog& redo_;
  std::chrono::seconds give_up_after_;
  Settler settler_;
  HeldRecords held_;
  Outlet::Refreeze refreeze_;
  fates::FateLog fates_;
  // Empty: no spool.
  std::function<void(const PlannedDestination&, bool is_probe)> read_back_;
  std::vector<std::unique_ptr<Outlet>> outlets_;  // by slot of the ledger; null = there is none
  std::set<DestinationIndex> busy_;               // whose outlet is not quiet
  std::unique_ptr<SpoolGate> gate_;               // null: no spool
  Instant relieve_again_{};
};

}  // namespace sidecast
