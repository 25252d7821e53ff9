// The numbers of `sidecast stats`, read from shared memory by anybody who may read the ring
// directory: they answer when the engine hangs or is dead. The identities of the README hold over
// them; check_identities() says which does not.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/result.h"

namespace sidecast {

// Of the engine's figures; the directory is empty without a spool.
struct SpoolStats {
  std::string directory;
  std::string state;  // ok | full | unusable
  std::uint64_t bytes = 0;
  std::uint64_t limit_bytes = 0;
  std::uint64_t segments = 0;
  std::uint64_t batches = 0;
  std::uint64_t records = 0;  // each once for every destination that must still take it
};

struct EngineStats {
  std::string version;
  std::int64_t pid = 0;
  std::string state;  // running | stopping | stopped | dead | hung
  double uptime_s = 0;
  std::uint64_t memory_bytes = 0;  // resident
  std::uint64_t stage_bytes = 0;
  std::uint64_t memory_limit_bytes = 0;
  std::uint64_t ledger_mismatches = 0;  // identities found broken at run time: always 0
};

// calls = written + dropped_*; written = unread + read;
// read = malformed + oversized + poison + forbidden + unrouted + routable.
struct RecordStats {
  std::uint64_t calls = 0;
  std::uint64_t written = 0;
  std::uint64_t shed = 0;  // part of written
  std::uint64_t dropped_full = 0;
  std::uint64_t dropped_busy = 0;
  std::uint64_t dropped_too_large = 0;
  std::uint64_t unread = 0;
  std::uint64_t read = 0;
  std::uint64_t malformed = 0;
  std::uint64_t oversized = 0;
  std::uint64_t poison = 0;
  std::uint64_t forbidden = 0;
  std::uint64_t unrouted = 0;
  std::uint64_t routable = 0;
  std::uint64_t ids_cut = 0;  // user and session ids over their limit, two at most per record
};

struct RingStats {
  std::string file_name;
  std::int64_t pid = 0;
  std::string process;
  std::string state;  // live | retired | quarantined
  std::uint32_t lanes = 0;
  std::uint64_t capacity_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t used_bytes_max = 0;
  std::uint64_t written = 0;
  std::uint64_t shed = 0;
  std::uint64_t dropped_full = 0;
  std::uint64_t dropped_busy = 0;
  std::uint64_t dropped_too_large = 0;
};

using ReasonCounts =
    std::vector<std::pair<std::string_view, std::uint64_t>>;  // all reasons, in a fixed order

// matched = filtered + sampled_out + routed;
// routed = delivered + sum(rejected) + sum(dropped) + pending + spooled.
struct DestinationStats {
  std::string name;
  std::string type;
  std::string state;  // ok | backing off | paused | disabled | removed
  std::uint64_t matched = 0;
  std::uint64_t filtered = 0;
  std::uint64_t sampled_out = 0;
  std::uint64_t routed = 0;
  std::uint64_t delivered = 0;
  ReasonCounts rejected;
  ReasonCounts dropped;
  std::uint64_t pending = 0;  // counted from the stage, not computed from the others
  std::uint64_t spooled = 0;
  // Of an earlier ledger, found in the spool: part of matched and routed.
  std::uint64_t adopted = 0;
  std::uint64_t shrunk = 0;          // part of delivered: with content shortened
  std::uint64_t rejected_spans = 0;  // raw number of partial answers
  std::uint64_t requests = 0;
  std::uint64_t retries = 0;
  std::uint64_t bytes_uncompressed = 0;
  std::uint64_t bytes_sent = 0;
  double latency_ms_p50 = 0;
  double latency_ms_p99 = 0;
  std::string last_error;
  std::uint32_t slot = 0;  // of the ledger; a sum has none
};

struct StatsSnapshot {
  EngineStats engine;
  RecordStats records;
  SpoolStats spool;
  std::vector<RingStats> rings;
  std::vector<DestinationStats> destinations;
  // Sums of those that are gone for long.
  std::uint64_t retired_count = 0;
  DestinationStats retired;
};

// Reads the stats of the engine that serves this ring directory, running or not. An Error when no
// engine ever ran there or the files cannot be read.
[[nodiscard]] Result<StatsSnapshot> read_stats(const std::string& ring_dir);

// Identities that do not hold, one sentence each; empty = all hold. Meant for quiet moments: while
// records flow, `pending` and the counters are read one after another.
[[nodiscard]] std::vector<std::string> check_identities(const StatsSnapshot& stats);

}  // namespace sidecast
