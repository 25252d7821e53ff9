// read_stats(): puts one snapshot together from the ledger, the stage and the rings. Reads only.
#include "engine/ledger/snapshot.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>

#include <fmt/format.h>
#include <signal.h>

#include "engine/base/clock.h"
#include "engine/ledger/latency.h"
#include "engine/ledger/ledger.h"
#include "engine/ledger/paths.h"
#include "engine/stage/segment.h"
#include "shm/reader.h"

namespace sidecast {
namespace {

using ledger::DestinationSlot;
using ledger::LedgerHeader;

// An engine that did not show itself for so long hangs.
constexpr std::chrono::seconds kHungAfter{10};

// relaxed everywhere: a snapshot reads one counter after another.
std::uint64_t load(const ledger::Counter& counter) {
  return counter.load(std::memory_order_relaxed);
}

// Text of another process: it ends at the first zero byte, and is shown in one line.
template <std::size_t Size>
std::string text_of(const std::array<char, Size>& bytes) {
  std::string text(bytes.begin(), std::find(bytes.begin(), bytes.end(), '\0'));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20; }, ' ');
  return text;
}

std::string state_of(const LedgerHeader& header, Timestamp now) {
  const auto pid = static_cast<pid_t>(header.pid.load(std::memory_order_relaxed));
  switch (header.state.load(std::memory_order_relaxed)) {
    case ledger::EngineState::kNever:
    case ledger::EngineState::kStopped:
      return "stopped";
    case ledger::EngineState::kRunning:
    case ledger::EngineState::kStopping:
      break;
  }
  // EPERM: it is there and another user's.
  if (kill(pid, 0) != 0 && errno == ESRCH) return "dead";
  const Timestamp beat = timestamp_from_ns(header.heartbeat_ns.load(std::memory_order_relaxed));
  if (now - beat > kHungAfter) return "hung";
  return header.state.load(std::memory_order_relaxed) == ledger::EngineState::kRunning ? "running"
                                                                                       : "stopping";
}

EngineStats engine_stats(const LedgerHeader& header) {
  const Timestamp now = wall_now();
  EngineStats engine;
  engine.version = text_of(header.engine_version);
  engine.pid = header.pid.load(std::memory_order_relaxed);
  engine.state = state_of(header, now);
  if (engine.state == "running" || engine.state == "stopping") {
    const auto started = timestamp_from_ns(header.started_ns.load(std::memory_order_relaxed));
    engine.uptime_s = std::chrono::duration<double>(now - started).count();
    engine.memory_bytes = header.memory_bytes.load(std::memory_order_relaxed);
  }
  engine.stage_bytes = header.stage_bytes.load(std::memory_order_relaxed);
  engine.memory_limit_bytes = header.memory_limit_bytes.load(std::memory_order_relaxed);
  engine.ledger_mismatches = header.ledger_mismatches.load(std::memory_order_relaxed);
  return engine;
}

// Entries with a pending bit, by destination slot: counted in the stage itself, so that it checks
// the counters instead of repeating them.
std::vector<std::uint64_t> count_pending(const Ledger& ledger, const std::string& directory) {
  std::vector<std::uint64_t> pending(ledger.destination_count());
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(directory, error)) {
    if (file.path().extension() != ".seg") continue;
    const auto segment = stage::Segment::open_read_only(file.path().string());
    if (!segment) continue;  // given back meanwhile
    if ((*segment)->epoch() != ledger.header().epoch) continue;
    for (std::uint64_t offset = 0; offset < (*segment)->head();) {
      const stage::Entry* const entry = (*segment)->entry_at(offset);
      if (entry == nullptr || entry->group >= ledger.group_count()) break;  // reused meanwhile
      offset += entry->size_bytes;
      const std::uint64_t bits = entry->pending.load(std::memory_order_relaxed);
      const auto& members = ledger.group(entry->group).members;
      for (std::size_t bit = 0; bit < members.size(); ++bit) {
        if ((bits >> bit & 1U) != 0 && members[bit] < pending.size()) ++pending[members[bit]];
      }
    }
  }
  return pending;
}

template <std::size_t Names>
ReasonCounts reasons(const std::array<const char*, Names>& names,
                     const std::array<ledger::Counter, 8>& counters) {
  ReasonCounts counts;
  for (std::size_t i = 0; i < Names; ++i) counts.emplace_back(names[i], load(counters[i]));
  return counts;
}

DestinationStats destination_stats(const DestinationSlot& slot, std::uint64_t pending) {
  DestinationStats stats;
  stats.name = text_of(slot.name);
  stats.type = text_of(slot.type);
  const auto state = static_cast<std::size_t>(slot.state.load(std::memory_order_relaxed));
  stats.state = state < ledger::kDestinationStates.size() ? ledger::kDestinationStates[state] : "?";
  for (const ledger::RouteCounters& route : slot.route) {
    stats.matched += load(route.matched);
    stats.filtered += load(route.filtered);
    stats.sampled_out += load(route.sampled_out);
    stats.routed += load(route.routed);
  }
  stats.delivered = load(slot.delivered);
  stats.rejected = reasons(ledger::kRejectReasons, slot.rejected);
  stats.dropped = reasons(ledger::kDropReasons, slot.dropped);
  stats.adopted = load(slot.adopted);
  stats.matched += stats.adopted;
  stats.routed += stats.adopted;
  for (std::size_t i = 0; i < stats.dropped.size(); ++i) {
    stats.dropped[i].second += load(slot.spool_dropped[i]);
  }
  stats.pending = pending;
  // In this order: what moves meanwhile is rather missing than below zero.
  const std::uint64_t out = load(slot.spooled_out);
  stats.spooled = load(slot.spooled_in) - out;
  stats.shrunk = load(slot.shrunk);
  stats.rejected_spans = load(slot.rejected_spans);
  stats.requests = load(slot.requests);
  stats.retries = load(slot.retries);
  stats.bytes_uncompressed = load(slot.bytes_uncompressed);
  stats.bytes_sent = load(slot.bytes_sent);
  stats.latency_ms_p50 = latency_quantile_ms(slot.latency, 0.50);
  stats.latency_ms_p99 = latency_quantile_ms(slot.latency, 0.99);
  stats.last_error = text_of(slot.last_error);
  return stats;
}

SpoolStats spool_stats(const ledger::SpoolBlock& block) {
  const auto state = static_cast<std::size_t>(block.state.load(std::memory_order_relaxed));
  return {.directory = text_of(block.directory),
          .state = state < ledger::kSpoolStates.size() ? ledger::kSpoolStates[state] : "?",
          .bytes = load(block.bytes),
          .limit_bytes = load(block.limit_bytes),
          .segments = load(block.segments),
          .batches = load(block.batches),
          .records = load(block.records)};
}

void add_rings(const std::string& ring_dir, StatsSnapshot& stats) {
  std::string error;
  const auto directory = shm::RingDirectory::open(ring_dir, error, shm::Access::kObserver);
  if (directory == nullptr) return;  // the ledger alone still says a lot
  for (const auto& ring : directory->discover()) {
    const shm::RingInfo& info = ring->info();
    const shm::RingCounters counts = ring->counters();
    stats.rings.push_back({.file_name = info.file_name,
                           .pid = info.pid,
                           .process = info.process,
                           .state = ring->is_retired() ? "retired" : "live",
                           .lanes = info.lanes,
                           .capacity_bytes = info.capacity_bytes,
                           .used_bytes = counts.used_bytes,
                           .used_bytes_max = counts.used_bytes_max,
                           .written = counts.written,
                           .shed = counts.shed,
                           .dropped_full = counts.dropped_full,
                           .dropped_busy = counts.dropped_busy,
                           .dropped_too_large = counts.dropped_too_large});
    std::uint64_t released = 0;
    for (std::uint32_t lane = 0; lane < info.lanes; ++lane)
      released += ring->released(lane).sequence;
    stats.records.written += counts.written;
    stats.records.unread += counts.written - std::min(released, counts.written);
    stats.records.shed += counts.shed;
    stats.records.dropped_full += counts.dropped_full;
    stats.records.dropped_busy += counts.dropped_busy;
    stats.records.dropped_too_large += counts.dropped_too_large;
  }
  for (const auto& ring : directory->quarantined()) {
    RingStats shown;
    shown.file_name = ring.file_name;
    shown.state = "quarantined";
    stats.rings.push_back(std::move(shown));
  }
}

void add_ledger(const Ledger& ledger, RecordStats& records) {
  const LedgerHeader& header = ledger.header();
  records.written += load(header.retired.written);
  records.shed += load(header.retired.shed);
  records.dropped_full += load(header.retired.dropped_full);
  records.dropped_busy += load(header.retired.dropped_busy);
  records.dropped_too_large += load(header.retired.dropped_too_large);
  for (const ledger::WorkerBlock& worker : header.workers) {
    records.read += load(worker.read);
    records.malformed += load(worker.malformed);
    records.poison += load(worker.poison);
    records.forbidden += load(worker.forbidden);
    records.unrouted += load(worker.unrouted);
    records.routable += load(worker.routable);
    records.ids_cut += load(worker.ids_cut);
  }
  for (const ledger::Counter& oversized : header.oversized) records.oversized += load(oversized);
  records.calls =
      records.written + records.dropped_full + records.dropped_busy + records.dropped_too_large;
}

void add_retired(const ledger::RetiredDestinations& sums, StatsSnapshot& stats) {
  stats.retired_count = load(sums.count);
  DestinationStats& retired = stats.retired;
  retired.name = "retired";
  retired.state = ledger::kDestinationStates.back();
  retired.matched = load(sums.matched);
  retired.filtered = load(sums.filtered);
  retired.sampled_out = load(sums.sampled_out);
  retired.routed = load(sums.routed);
  retired.delivered = load(sums.delivered);
  retired.rejected = reasons(ledger::kRejectReasons, sums.rejected);
  retired.dropped = reasons(ledger::kDropReasons, sums.dropped);
  retired.shrunk = load(sums.shrunk);
  retired.rejected_spans = load(sums.rejected_spans);
  retired.requests = load(sums.requests);
  retired.retries = load(sums.retries);
  retired.bytes_uncompressed = load(sums.bytes_uncompressed);
  retired.bytes_sent = load(sums.bytes_sent);
  retired.adopted = load(sums.adopted);
}

}  // namespace

Result<StatsSnapshot> read_stats(const std::string& ring_dir) {
  const EnginePaths paths(ring_dir);
  auto ledger = Ledger::open_read_only(paths.ledger);
  if (!ledger) {
    return fail(std::move(ledger.error())
                    .with(fmt::format("no engine has served {} yet, or its numbers may not be read",
                                      ring_dir)));
  }
  StatsSnapshot stats;
  stats.engine = engine_stats((*ledger)->header());
  stats.spool = spool_stats((*ledger)->header().spool);
  add_rings(ring_dir, stats);
  add_ledger(**ledger, stats.records);
  const std::vector<std::uint64_t> pending = count_pending(**ledger, paths.stage);
  for (std::size_t i = 0; i < (*ledger)->destination_count(); ++i) {
    const DestinationSlot& slot = (*ledger)->destination(static_cast<DestinationIndex>(i));
    const bool is_free = slot.identity.front() == '\0';
    if (is_free) continue;
    stats.destinations.push_back(destination_stats(slot, pending[i]));
    stats.destinations.back().slot = static_cast<std::uint32_t>(i);
  }
  add_retired((*ledger)->header().retired_destinations, stats);
  return stats;
}

}  // namespace sidecast
