#include "engine/ledger/retire.h"

#include <filesystem>
#include <system_error>

#include "engine/stage/redo.h"
#include "engine/stage/segment.h"

namespace sidecast {
namespace {

using ledger::Counter;
using ledger::DestinationSlot;

// relaxed everywhere: whoever counted last is ordered before us by the caller.
std::uint64_t load(const Counter& counter) {
  return counter.load(std::memory_order_relaxed);
}

bool is_settled(const DestinationSlot& slot) {
  if (load(slot.spooled_in) != load(slot.spooled_out)) return false;
  std::uint64_t routed = load(slot.adopted);
  for (const ledger::RouteCounters& route : slot.route) routed += load(route.routed);
  std::uint64_t settled = load(slot.delivered);
  for (const Counter& counter : slot.rejected) settled += load(counter);
  for (const Counter& counter : slot.dropped) settled += load(counter);
  for (const Counter& counter : slot.spool_dropped) settled += load(counter);
  return routed == settled;
}

// One transaction.
class Mover {
 public:
  Mover(Ledger& ledger, stage::RedoLog& redo) : ledger_(ledger), redo_(redo) {}

  void move(Counter& from, Counter& to) {
    const std::uint64_t count = load(from);
    if (count == 0) return;
    redo_.set_counter(ledger_, to, load(to) + count);
    redo_.set_counter(ledger_, from, 0);
  }
  // Several that are one in the sum.
  template <typename Counters>
  void move_sum(const Counters& from, Counter& to) {
    std::uint64_t sum = 0;
    for (Counter* const counter : from) {
      sum += load(*counter);
      redo_.set_counter(ledger_, *counter, 0);
    }
    redo_.set_counter(ledger_, to, load(to) + sum);
  }
  void forget(Counter& counter) { redo_.set_counter(ledger_, counter, 0); }
  void count_one(Counter& counter) { redo_.set_counter(ledger_, counter, load(counter) + 1); }
  void commit() { redo_.commit(); }

 private:
  Ledger& ledger_;
  stage::RedoLog& redo_;
};

void move_counts(DestinationSlot& slot, Ledger& ledger, stage::RedoLog& redo) {
  ledger::RetiredDestinations& sums = ledger.header().retired_destinations;
  Mover mover(ledger, redo);
  // And what was adopted from the spool, which is part of both.
  std::array<Counter*, ledger::kWorkersMax + 1> matched{};
  std::array<Counter*, ledger::kWorkersMax> filtered{};
  std::array<Counter*, ledger::kWorkersMax> sampled_out{};
  std::array<Counter*, ledger::kWorkersMax + 1> routed{};
  for (std::size_t i = 0; i < ledger::kWorkersMax; ++i) {
    matched[i] = &slot.route[i].matched;
    filtered[i] = &slot.route[i].filtered;
    sampled_out[i] = &slot.route[i].sampled_out;
    routed[i] = &slot.route[i].routed;
  }
  matched.back() = routed.back() = &slot.adopted;
  mover.move_sum(matched, sums.matched);
  mover.move_sum(filtered, sums.filtered);
  mover.move_sum(sampled_out, sums.sampled_out);
  mover.move_sum(routed, sums.routed);
  mover.move(slot.delivered, sums.delivered);
  for (std::size_t i = 0; i < slot.rejected.size(); ++i) {
    mover.move(slot.rejected[i], sums.rejected[i]);
    mover.move_sum(std::array{&slot.dropped[i], &slot.spool_dropped[i]}, sums.dropped[i]);
  }
  mover.move(slot.adopted, sums.adopted);
  mover.forget(slot.spooled_in);
  mover.forget(slot.spooled_out);
  mover.move(slot.rejected_spans, sums.rejected_spans);
  mover.move(slot.shrunk, sums.shrunk);
  mover.move(slot.requests, sums.requests);
  mover.move(slot.retries, sums.retries);
  mover.move(slot.bytes_uncompressed, sums.bytes_uncompressed);
  mover.move(slot.bytes_sent, sums.bytes_sent);
  mover.count_one(sums.count);
  mover.commit();
  for (auto& bucket : slot.latency) bucket.store(0, std::memory_order_relaxed);
  slot.held_since_ns.store(0, std::memory_order_relaxed);
  // What the next one takes is its own to teach.
  slot.batch_bytes_max.store(0, std::memory_order_relaxed);
  slot.record_bytes_refused.store(0, std::memory_order_relaxed);
  slot.limit_learnt_ns.store(0, std::memory_order_relaxed);
}

}  // namespace

std::vector<DestinationIndex> retire_counts(Ledger& ledger, stage::RedoLog& redo,
                                            std::size_t count_max,
                                            const std::function<bool(DestinationIndex)>& is_gone) {
  std::vector<DestinationIndex> retired;
  for (std::size_t i = 0; i < ledger.destination_count() && retired.size() < count_max; ++i) {
    const auto index = static_cast<DestinationIndex>(i);
    DestinationSlot& slot = ledger.destination(index);
    const bool is_free = slot.identity.front() == '\0';
    if (is_free || !is_gone(index) || !is_settled(slot)) continue;
    move_counts(slot, ledger, redo);
    retired.push_back(index);
  }
  return retired;
}

std::vector<bool> groups_staged(const Ledger& ledger, const std::string& directory) {
  std::vector<bool> staged(ledger.group_count());
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(directory, error)) {
    if (file.path().extension() != ".seg") continue;
    const auto segment = stage::Segment::open_read_only(file.path().string());
    if (!segment) {
      // Given back meanwhile: then all in it was settled.
      if (!std::filesystem::exists(file.path(), error)) continue;
      return {};
    }
    for (std::uint64_t offset = 0; offset < (*segment)->head();) {
      const stage::Entry* const entry = (*segment)->entry_at(offset);
      if (entry == nullptr || entry->group >= staged.size()) break;  // reused meanwhile
      offset += entry->size_bytes;
      const bool is_pending = entry->pending.load(std::memory_order_relaxed) != 0;
      if (is_pending) staged[entry->group] = true;
    }
  }
  if (error) return {};
  return staged;
}

}  // namespace sidecast
