// The file of recent fates: what `sidecast explain` reads. One ring of events per engine thread
// that has something to tell, in shared memory that outlives the engine.
//
//   0            FatesHeader
//   kSectionsAt  section 0 | section 1 | ...    workers, the spooler, then the delivery thread
//
//   in a section:  EventHeader | body | padding to 8 | EventHeader | ...
//
// An event names its own position, which only grows, and has a checksum: a reader needs no lock and
// no pointer to begin with. Whatever is torn, half overwritten or damaged is not an event. No event
// wraps. What belongs to a batch is written once per batch: a record's way leads from its key (in
// kRecord) to the batches that list it (kBatch) to what became of them (the rest).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sidecast::fates {

inline constexpr std::uint64_t kMagic = 0x3153455441464453ULL;  // "SDFATES1" in little-endian order
inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::size_t kSectionsMax = 33;
inline constexpr std::size_t kSectionsAt = 4096;
inline constexpr std::size_t kAlignment = 8;
inline constexpr std::uint64_t kSectionBytesMin = 16U << 10U;
inline constexpr std::uint64_t kFileBytesMax = 1ULL << 30U;

// Writer: the thread of that section.
struct SectionState {
  std::atomic<std::uint64_t> head;  // position behind the newest event
  std::uint64_t batches;            // begun so far: numbers of batches are never used twice
};

struct FatesHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t sections;
  std::uint64_t section_bytes;
  std::uint64_t ledger_epoch;  // whose slots the events name
  // Random: so nobody who chooses what stands in an event can make another one of it.
  std::uint64_t seed;
  std::uint64_t bytes_asked;  // by the configuration; the file may be smaller
  std::array<SectionState, kSectionsMax> states;
};
static_assert(sizeof(FatesHeader) <= kSectionsAt);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// Only appended to; a reader skips what it does not know.
enum class EventKind : std::uint8_t { kRecord = 1, kBatch, kSent, kAnswered, kSettled };

struct EventHeader {
  std::uint64_t position;
  std::uint32_t checksum;  // XXH3 of the body, seeded with all the rest
  std::uint16_t words;     // of the whole event, in units of kAlignment
  EventKind kind;
  std::uint8_t padding;
};
static_assert(sizeof(EventHeader) == 16);
inline constexpr std::size_t kEventBytesMax = 0xFFFF * kAlignment;

// ---- bodies. Hashes are XXH3 with the file's seed; 0 = there is no such id.

inline constexpr std::uint16_t kShed = 1;
inline constexpr std::uint16_t kFailed = 2;
inline constexpr std::uint16_t kAborted = 4;
inline constexpr std::uint16_t kShrunk = 8;      // content shortened before it was staged
inline constexpr std::uint16_t kOversized = 16;  // and even so too large: counted, not staged
inline constexpr std::uint16_t kSpan = 32;       // an explicit span, not a generation

// A record was read. Behind it: generation id, account, process (cut), then a Decision for each
// group that its account matches.
struct RecordBody {
  std::int64_t read_ns;      // unix time
  std::int64_t ended_ns;     // unix time; when the request ended
  std::uint64_t record;      // its key: hash of ring, lane and sequence
  std::uint64_t generation;  // hash of the id
  std::uint64_t session;     // hash of the id
  std::uint64_t trace_text;  // hash of the trace id as it was sent
  std::array<unsigned char, 16> trace_id;
  std::uint64_t sequence;
  std::uint64_t span_bytes;  // staged, of all groups
  std::uint32_t lane;
  std::int32_t pid;
  std::int16_t http_status;
  std::uint16_t flags;
  std::uint8_t generation_bytes;
  std::uint8_t account_bytes;
  std::uint8_t process_bytes;
  std::uint8_t decisions;
  std::uint32_t decisions_left_out;  // more groups than an event names
  std::uint32_t padding;
};
static_assert(sizeof(RecordBody) == 104);
inline constexpr std::size_t kGenerationBytesMax = 64;
inline constexpr std::size_t kAccountBytesMax = 48;
inline constexpr std::size_t kProcessBytesMax = 24;
inline constexpr std::size_t kDecisionsMax = 64;

struct Decision {
  std::uint32_t group;    // slot of the ledger
  std::uint32_t outcome;  // route.h Decision
};

// A batch was frozen, or records were let go that were in none. Behind it: `count` record keys, of
// the records from `first` on. Large batches take several events.
struct BatchBody {
  std::int64_t time_ns;
  std::uint64_t batch;
  std::uint64_t bytes;  // uncompressed
  std::uint32_t group;  // slot of the ledger
  std::uint32_t first;
  std::uint32_t count;
  std::uint32_t records;         // of the whole batch
  std::uint32_t shrink_attempt;  // 0 = its content is whole
  std::uint32_t padding;
};
inline constexpr std::size_t kKeysMax = 1024;

// What happened to records [first, first + count) of a batch at one destination.
struct BatchPart {
  std::int64_t time_ns;
  std::uint64_t batch;
  std::uint32_t first;
  std::uint32_t count;
  std::uint32_t destination;  // slot of the ledger
  std::uint32_t number;       // kSent: which attempt it is, from 1
};
struct SentBody {
  BatchPart part;
  std::uint64_t body_bytes;
};
// Behind it: why, in our own words.
struct AnsweredBody {
  BatchPart part;
  std::uint32_t took_ms;
  std::int32_t retry_ms;  // the wait that the server asked for; -1 = none
  std::uint16_t verdict;  // exporter.h Verdict::Kind
  std::uint16_t text_bytes;
  std::uint32_t padding;
};
// Only appended to. What went to the spool has no fate yet: what was read back from there waits in
// memory again.
enum class Fate : std::uint8_t { kDelivered, kRejected, kDropped, kSpooled, kReadBack };
struct SettledBody {
  BatchPart part;
  Fate fate;
  std::uint8_t reason;  // ledger::kRejectReasons or kDropReasons
  std::array<std::uint8_t, 6> padding;
};

}  // namespace sidecast::fates
