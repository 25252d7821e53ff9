#include "engine/intake/ring_keeper.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "engine/base/log.h"
#include "engine/base/set_aside.h"

namespace sidecast {
namespace {

// One system call per ring and check.
constexpr std::chrono::seconds kDeathCheckInterval{1};

}  // namespace

RingKeeper::RingKeeper(shm::RingDirectory& directory, Ledger& ledger, stage::RedoLog& redo,
                       std::vector<std::unique_ptr<Worker>>& workers, std::string aside)
    : directory_(directory),
      ledger_(ledger),
      redo_(redo),
      workers_(workers),
      aside_(std::move(aside)) {}

void RingKeeper::add(std::shared_ptr<shm::Ring> ring) {
  const shm::RingInfo& info = ring->info();
  log_info("ring {} of {} (pid {}) found: {} lanes, {} bytes", info.file_name, info.process,
           info.pid, info.lanes, info.capacity_bytes);
  auto handle = std::make_shared<RingHandle>(std::move(ring));
  // Lane by lane: one busy gateway process still keeps every worker busy.
  for (std::uint32_t lane = 0; lane < handle->ring->info().lanes; ++lane) {
    workers_[next_worker_++ % workers_.size()]->add_lane(handle, lane);
  }
  rings_.push_back(std::move(handle));
}

void RingKeeper::adopt(std::vector<std::shared_ptr<shm::Ring>> rings) {
  for (auto& ring : rings) add(std::move(ring));
}

void RingKeeper::sweep(Instant now) {
  for (auto& ring : directory_.discover()) add(std::move(ring));
  report_quarantined();
  if (now >= next_death_check_) {
    next_death_check_ = now + kDeathCheckInterval;
    for (const RingHandlePtr& handle : rings_) {
      if (handle->retired.load(std::memory_order_relaxed)) continue;  // only this thread sets it
      if (!handle->ring->try_retire()) continue;
      // release: pairs with the acquire in Worker::drain_lane().
      handle->retired.store(true, std::memory_order_release);
    }
  }
  remove_drained();
}

void RingKeeper::remove_drained() {
  for (const RingHandlePtr& handle : rings_) {
    // acquire: pairs with the workers' count-down; their last releases are then visible.
    if (handle->lanes_open.load(std::memory_order_acquire) != 0) continue;
    if (handle->hostile.load(std::memory_order_relaxed)) {
      set_aside(*handle);
      continue;
    }
    const shm::RingCounters counts = handle->ring->counters();
    ledger::RetiredBlock& retired = ledger_.header().retired;
    const auto note = [&](ledger::Counter& counter, std::uint64_t count) {
      if (count == 0) return;
      // relaxed: this thread is the only writer.
      redo_.set_counter(ledger_, counter, counter.load(std::memory_order_relaxed) + count);
    };
    note(retired.written, counts.written);
    note(retired.shed, counts.shed);
    note(retired.dropped_full, counts.dropped_full);
    note(retired.dropped_busy, counts.dropped_busy);
    note(retired.dropped_too_large, counts.dropped_too_large);
    redo_.remove_ring(*handle->ring);
    redo_.commit();
    log_info("ring {} of {} (pid {}) is drained and removed: its owner has gone",
             handle->ring->info().file_name, handle->ring->info().process,
             handle->ring->info().pid);
  }
  std::erase_if(rings_, [](const RingHandlePtr& handle) {
    return handle->lanes_open.load(std::memory_order_acquire) == 0;
  });
}

void RingKeeper::set_aside(const RingHandle& handle) {
  const shm::RingInfo& info = handle.ring->info();
  directory_.quarantine(*handle.ring, "its positions or a record's frame cannot be true");
  quarantined_.insert(info.file_name);  // said here
  std::error_code error;
  std::filesystem::create_directories(aside_, error);
  const int failed = error ? error.value() : handle.ring->keep_in(aside_);
  bound_set_aside(aside_, {});
  const std::string fate = failed == 0
                               ? "moved to " + aside_
                               : fmt::format("removed, since it cannot be kept in {} ({})", aside_,
                                             std::generic_category().message(failed));
  // What was read of it stays read; what it says it wrote beyond that is not believed.
  std::uint64_t read = 0;
  for (std::uint32_t lane = 0; lane < info.lanes; ++lane)
    read += handle.ring->released(lane).sequence;
  ledger::Counter& written = ledger_.header().retired.written;
  redo_.set_counter(ledger_, written, written.load(std::memory_order_relaxed) + read);
  redo_.discard_ring(*handle.ring);
  redo_.commit();
  log_error("ring {} of {} (pid {}) holds what cannot be true; {}, the others go on",
            info.file_name, info.process, info.pid, fate);
}

void RingKeeper::report_quarantined() {
  // One by one while they are few; a flood of them in a line for each doubling.
  constexpr std::size_t kOneByOneMax = 20;
  const auto& found = directory_.quarantined();
  for (const shm::QuarantinedRing& one : found) {
    if (!quarantined_.insert(one.file_name).second) continue;
    if (++quarantined_count_ > kOneByOneMax) continue;
    log_warning("ring {} is set aside: {}; the others go on", one.file_name, one.reason);
    quarantined_said_at_ = kOneByOneMax + 1;
  }
  if (quarantined_count_ > kOneByOneMax && quarantined_count_ >= quarantined_said_at_) {
    log_warning("{} files in {} are set aside so far, the last one {}: {}; the others go on",
                quarantined_count_, directory_.path(), found.back().file_name, found.back().reason);
    quarantined_said_at_ = 2 * quarantined_count_;
  }
  // What is gone need not be remembered; its name may be anybody's next.
  constexpr std::size_t kRememberedMax = 4096;
  if (quarantined_.size() <= kRememberedMax) return;
  quarantined_.clear();
  for (const shm::QuarantinedRing& one : found) quarantined_.insert(one.file_name);
}

bool RingKeeper::all_drained() const noexcept {
  return std::all_of(rings_.begin(), rings_.end(), [](const RingHandlePtr& handle) {
    return handle->ring->counters().used_bytes == 0;
  });
}

}  // namespace sidecast
