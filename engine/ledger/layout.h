// The ledger file: every counter the engine keeps, in shared memory that outlives it. Writers are
// the engine's threads (each field says which); readers are `sidecast stats` and the engine itself.
//
//   0            LedgerHeader       identity, heartbeat, counters per worker, rings gone by
//   kGroupsAt    GroupSlot[]        which destination each bit of a staged entry's mask means
//   kSlotsAt     DestinationSlot[]  one per destination identity; free again some time after it is
//                                   gone (retire.h)
//
// The file is sparse: a slot's pages are allocated when the slot is, and nobody touches another one
// through a mapping: on a full file system that is a SIGBUS. Counters are 64 bits, only
// grow, and change only by a redo record (stage/redo.h), so that they are exact after any death.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sidecast::ledger {

inline constexpr std::uint64_t kMagic = 0x314C545341434453ULL;  // "SDCASTL1" in little-endian order
inline constexpr std::uint32_t kVersion = 4;
inline constexpr std::size_t kWorkersMax = 8;
inline constexpr std::size_t kGroupMembersMax = 64;  // bits of an entry's pending mask
inline constexpr std::size_t kGroupsMax = 16'384;
inline constexpr std::size_t kDestinationsMax = 16'384;
inline constexpr std::size_t kSuspectsMax = 16;

using Counter = std::atomic<std::uint64_t>;
static_assert(Counter::is_always_lock_free);

// Bump when a reason is appended; never reorder.
enum class DropReason : std::uint8_t { kExpired, kBudget, kPolicyChanged, kEncode, kDamaged };
inline constexpr std::array<const char*, 5> kDropReasons = {"expired", "budget", "policy_changed",
                                                            "encode", "damaged"};
// In the order of exporters/exporter.h RejectReason.
inline constexpr std::array<const char*, 3> kRejectReasons = {"rejected", "partial", "too_large"};

// A record that was being decoded: if the engine dies meanwhile, the next one finds it here.
inline constexpr std::uint32_t kNothingInHand = 0;
inline constexpr std::uint32_t kInHand = 1;
inline constexpr std::uint32_t kCrashedInHand = 2;  // by a signal of its own making
struct InHand {
  std::atomic<std::uint32_t> state;  // the rest is valid unless kNothingInHand
  std::uint32_t lane;
  std::uint64_t sequence;
  std::array<unsigned char, 16> ring;
};

// Writer: the worker of that index.
struct WorkerBlock {
  Counter read;
  Counter malformed;
  Counter poison;
  Counter forbidden;
  Counter unrouted;
  Counter routable;
  Counter ids_cut;  // user and session ids over `id_characters_max`; not part of any sum
  InHand in_hand;
};

// Writer: the housekeeping thread, when a drained ring is removed.
struct RetiredBlock {
  Counter written;
  Counter shed;
  Counter dropped_full;
  Counter dropped_busy;
  Counter dropped_too_large;
};

// A record that was in hand when an engine died. A crash is proof enough to be set aside at the
// second; a kill from outside (which is how running out of memory looks, too) may be chance, and a
// storm of them must not cost a record. Writer: the engine while it starts.
inline constexpr std::uint32_t kCrashWeight = 4;
inline constexpr std::uint32_t kKillWeight = 1;
inline constexpr std::uint32_t kPoisonWeight = 8;
struct Suspect {
  std::array<unsigned char, 16> ring;
  std::uint64_t sequence;
  std::uint32_t lane;
  std::uint32_t weight;  // 0 = free
};

// Sums of destinations whose slots were made free (retire.h). Writer: the delivery thread.
struct RetiredDestinations {
  Counter count;
  Counter matched;
  Counter filtered;
  Counter sampled_out;
  Counter routed;
  Counter delivered;
  std::array<Counter, 8> rejected;  // by RejectReason
  std::array<Counter, 8> dropped;   // by DropReason
  Counter rejected_spans;
  Counter shrunk;
  Counter requests;
  Counter retries;
  Counter bytes_uncompressed;
  Counter bytes_sent;
  Counter adopted;  // part of matched and routed
};

// Without a spool, its directory is empty. Writer: the spooler; of the directory, the engine while
// it starts. Figures: what is exact stands with the destinations.
enum class SpoolState : std::uint32_t { kNone, kOk, kFull, kUnusable };
inline constexpr std::array<const char*, 4> kSpoolStates = {"none", "ok", "full", "unusable"};
struct SpoolBlock {
  std::atomic<SpoolState> state;
  std::uint32_t padding;
  std::atomic<std::uint64_t> bytes;  // of its files
  std::atomic<std::uint64_t> limit_bytes;
  std::atomic<std::uint64_t> segments;
  std::atomic<std::uint64_t> batches;
  std::atomic<std::uint64_t> records;  // a record for each destination that must still take it
  std::array<char, 256> directory;     // zero-terminated
};

enum class EngineState : std::uint32_t { kNever, kRunning, kStopping, kStopped };

struct LedgerHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t padding0;
  std::uint64_t
      epoch;  // random, made with the file: group and destination slots mean nothing in another
  // Writer: the housekeeping thread.
  std::atomic<std::int64_t> pid;
  std::atomic<std::int64_t> started_ns;    // unix time
  std::atomic<std::int64_t> heartbeat_ns;  // unix time, twice a second
  std::atomic<EngineState> state;
  std::uint32_t padding;
  std::atomic<std::uint64_t> memory_bytes;
  std::atomic<std::uint64_t> memory_limit_bytes;
  std::atomic<std::uint64_t> stage_bytes;
  std::atomic<std::uint64_t> ledger_mismatches;
  std::array<char, 32> engine_version;
  // Slots that are or were in use, the first so many. Writer: the housekeeping thread, once a slot
  // is filled in.
  std::atomic<std::uint32_t> destination_count;
  std::atomic<std::uint32_t> group_count;
  RetiredBlock retired;
  std::array<Suspect, kSuspectsMax> suspects;
  std::array<WorkerBlock, kWorkersMax> workers;
  // Records whose spans are larger than the stage takes of one. Writer: the worker of that index.
  // Behind the blocks: a ledger without them reads as zero.
  std::array<Counter, kWorkersMax> oversized;
  // Behind the blocks as well.
  RetiredDestinations retired_destinations;
  SpoolBlock spool;
};

// Members never change place while the slot is in use. Free: member_count is 0.
struct GroupSlot {
  std::array<char, 32> hash;  // of the group, hex
  std::uint32_t member_count;
  std::uint32_t padding;
  std::array<std::uint32_t, kGroupMembersMax> members;  // destination slot of each bit
};

enum class DestinationState : std::uint32_t { kOk, kBackingOff, kPaused, kDisabled, kRemoved };
inline constexpr std::array<const char*, 5> kDestinationStates = {"ok", "backing off", "paused",
                                                                  "disabled", "removed"};

// Writer: the worker of that index.
struct RouteCounters {
  Counter matched;
  Counter filtered;
  Counter sampled_out;
  Counter routed;
};

inline constexpr std::size_t kLatencyBuckets = 64;

struct DestinationSlot {
  std::array<char, 32> identity;  // hex; zero = free
  std::array<char, 96> name;      // zero-terminated
  std::array<char, 32> type;      // zero-terminated
  std::array<RouteCounters, kWorkersMax> route;
  // Writer from here on: the delivery thread.
  Counter delivered;
  std::array<Counter, 8> rejected;  // by RejectReason
  std::array<Counter, 8> dropped;   // by DropReason
  Counter rejected_spans;
  Counter shrunk;  // part of delivered: with content shortened
  // Not part of an identity, so plain stores: a crash may lose the last few.
  Counter requests;
  Counter retries;
  Counter bytes_uncompressed;
  Counter bytes_sent;
  std::array<std::atomic<std::uint32_t>, kLatencyBuckets> latency;  // see latency.h
  std::atomic<DestinationState> state;
  std::array<char, 196> last_error;  // zero-terminated; a torn read shows a mixed text, no more
  // Unix time since which no configuration has this destination, while records are held for it
  // (deliver/held.h); 0 = there is no such time.
  std::atomic<std::int64_t> held_since_ns;
  // What it is known to take (deliver/size_limit.h); 0 = nothing is known. Writer: the delivery
  // thread, by plain stores.
  std::atomic<std::uint64_t> batch_bytes_max;
  std::atomic<std::uint64_t> record_bytes_refused;
  std::atomic<std::int64_t> limit_learnt_ns;  // unix time

  // ---- the spool. What is in it: spooled_in - spooled_out. Both move with the pending bits of the
  // stage or the state of the spool's segment (spool/state.h), in one redo record.
  // Writer: the delivery thread; the engine while it starts and when it has stopped.
  Counter spooled_in;
  // Back into the stage, or to their end. Writer from here on: the spooler; the engine as above.
  Counter spooled_out;
  std::array<Counter, 8> spool_dropped;  // by DropReason
  // Of an earlier ledger, found in the spool after a power cut, a reboot or a replay: counted in
  // here and as spooled_in. They are part of matched and routed, so that the sums close.
  Counter adopted;
};

static_assert(sizeof(LedgerHeader) <= 4096);
static_assert(kRejectReasons.size() <= 8 && kDropReasons.size() <= 8);

inline constexpr std::size_t kGroupsAt = 4096;
inline constexpr std::size_t kSlotsAt = kGroupsAt + kGroupsMax * sizeof(GroupSlot);
inline constexpr std::size_t kFileBytes = kSlotsAt + kDestinationsMax * sizeof(DestinationSlot);
static_assert(kSlotsAt % 8 == 0);

}  // namespace sidecast::ledger
