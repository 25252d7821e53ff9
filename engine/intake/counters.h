// A worker's counters of one transaction: what to add, gathered while records pass and noted as
// absolute values when the transaction commits. A counter touched by a thousand records is one
// operation of the redo record.
// Threads: belongs to one worker, the only writer of these counters.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/ledger/ledger.h"
#include "engine/stage/redo.h"

namespace sidecast {

class PendingCounters {
 public:
  explicit PendingCounters(Ledger& ledger) : ledger_(ledger) {}

  void add(ledger::Counter& counter, std::uint64_t count) {
    if (count == 0) return;
    // Few counters change in one transaction, and mostly the last one again.
    for (auto it = added_.rbegin(); it != added_.rend(); ++it) {
      if (it->first == &counter) {
        it->second += count;
        return;
      }
    }
    added_.emplace_back(&counter, count);
  }

  void note(stage::RedoLog& redo) {
    for (const auto& [counter, count] : added_) {
      // relaxed: this thread is the only writer.
      redo.set_counter(ledger_, *counter, counter->load(std::memory_order_relaxed) + count);
    }
    added_.clear();
  }

 private:
  Ledger& ledger_;
  std::vector<std::pair<ledger::Counter*, std::uint64_t>> added_;
};

}  // namespace sidecast
