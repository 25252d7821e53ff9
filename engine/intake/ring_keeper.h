// The ring keeper: finds rings, spreads their lanes over the workers, sees dead owners, and removes
// a ring once every lane was drained to its end. A ring in which something cannot be true is moved
// aside, said once, and the others go on.
// Threads: belongs to the housekeeping thread.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/intake/ring_handle.h"
#include "engine/intake/worker.h"
#include "engine/ledger/ledger.h"
#include "engine/stage/redo.h"
#include "shm/reader.h"

namespace sidecast {

class RingKeeper {
 public:
  // `aside` is the directory hostile rings are moved to.
  RingKeeper(shm::RingDirectory& directory, Ledger& ledger, stage::RedoLog& redo,
             std::vector<std::unique_ptr<Worker>>& workers, std::string aside);

  // Rings that were found before there was a keeper.
  void adopt(std::vector<std::shared_ptr<shm::Ring>> rings);
  // Finds new rings; called often. Looks for dead owners about once a second.
  void sweep(Instant now);
  // Removes rings that are drained to the end, or hostile.
  void remove_drained();
  // No lane of any ring holds anything unread.
  [[nodiscard]] bool all_drained() const noexcept;

 private:
  void add(std::shared_ptr<shm::Ring> ring);
  void set_aside(const RingHandle& handle);
  void report_quarantined();

  shm::RingDirectory& directory_;
  Ledger& ledger_;
  stage::RedoLog& redo_;
  std::vector<std::unique_ptr<Worker>>& workers_;
  std::string aside_;
  std::vector<RingHandlePtr> rings_;
  std::size_t next_worker_ = 0;
  Instant next_death_check_{};
  std::set<std::string> quarantined_;  // names that were counted
  std::size_t quarantined_count_ = 0;
  std::size_t quarantined_said_at_ = 0;  // the next count worth a line
};

}  // namespace sidecast
