// The deliverer: one outlet per destination, on the HTTP loop's thread. Hands each sealed batch to
// the outlets it is for, lets old batches expire, and frees memory by dropping what is held for
// nobody, then the oldest batches of whoever holds most.
// Threads: belongs to the delivery thread, but for the marked functions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "engine/batch/plan.h"
#include "engine/deliver/held.h"
#include "engine/deliver/outlet.h"
#include "engine/deliver/pinned.h"

namespace sidecast {

class Deliverer {
 public:
  Deliverer(const Plan& plan, HttpLoop& loop, Ledger& ledger, stage::RedoLog& redo,
            stage::Stage& stage, Outlet::Refreeze refreeze);

  // Keeps records for destinations that are not in the plan. Before the loop runs.
  void hold(std::vector<HeldRecord> records) { held_.add(std::move(records), wall_now()); }
  // Delivery thread, once, before anything is submitted: starts the clock of expiry.
  void start();
  void submit(const SealedBatchPtr& sealed);
  struct Missing {
    std::uint64_t stage_bytes = 0;
    std::uint64_t body_bytes = 0;
  };
  // Drops the oldest batches of the fullest destinations that do not deliver until nothing is
  // missing, but none that others pin. When it is urgent, so do, after them, those that deliver but
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
  // Who loses its oldest batch next; null: nobody.
  [[nodiscard]] bool holds_others_up(const Outlet& outlet, Instant now) const;
  [[nodiscard]] Outlet* victim(const Missing& missing, Pinned& pinned, Instant now,
                               bool urgent) const;
  [[nodiscard]] Pinned pinned(Instant now) const;

  const Plan& plan_;
  HttpLoop& loop_;
  Settler settler_;
  HeldRecords held_;
  Outlet::Refreeze refreeze_;
  std::vector<std::unique_ptr<Outlet>> outlets_;  // by destination; null = disabled
  Instant relieve_again_{};
};

}  // namespace sidecast
