// The deliverer: one outlet per destination, on the HTTP loop's thread. Hands each sealed batch to
// the outlets it is for, lets old batches expire, and frees memory by dropping the oldest batches
// of whoever holds most. Threads: belongs to the delivery thread, but for settled().
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/batch/plan.h"
#include "engine/deliver/outlet.h"

namespace sidecast {

class Deliverer {
 public:
  Deliverer(const Plan& plan, HttpLoop& loop, Ledger& ledger, stage::RedoLog& redo,
            stage::Stage& stage, Outlet::Refreeze refreeze);

  // Delivery thread, once, before anything is submitted: starts the clock of expiry.
  void start();
  void submit(const SealedBatchPtr& sealed);
  // Drops the oldest batches of the fullest outlets until about `bytes` of spans were let go.
  void relieve(std::uint64_t bytes);

  // Once the loop has ended: the log's last words on losses.
  void finish_log();

  // Any thread. Records settled since the start.
  [[nodiscard]] std::uint64_t settled() const noexcept { return settler_.settled(); }

 private:
  void tick();

  HttpLoop& loop_;
  Settler settler_;
  Outlet::Refreeze refreeze_;
  std::vector<std::unique_ptr<Outlet>> outlets_;  // by destination; null = disabled
};

}  // namespace sidecast
