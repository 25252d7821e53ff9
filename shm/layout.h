// Every byte of a ring file and of the settings page. LAYOUT.md draws it and says what may change
// when; the asserts below prove it. Little-endian, 64 bits, fixed-width fields, no pointers.
//
//   | RingHeader | LaneControl x lane_count | data of lane 0 (wide) | data of lane 1 | ... |
//   0            4096                       first page boundary behind the controls
//
// Who writes: RingHeader is filled in before the ring has a name and never changes, but for
// its last line, which only the engine writes. Each LaneControl has a line per side.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <sys/types.h>

namespace sidecast::shm {

static_assert(std::endian::native == std::endian::little, "ring files are little-endian");
static_assert(sizeof(void*) == 8, "a ring's positions and mappings need 64 bits");
static_assert(sizeof(off_t) == 8, "ring files may pass 2 GiB");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

inline constexpr std::uint64_t kRingMagic = 0x676e697274736163;      // "castring"
inline constexpr std::uint64_t kSettingsMagic = 0x0074657374736163;  // "castset"
inline constexpr std::uint32_t kLayoutVersion = 1;

// Writer's and reader's fields stay this far apart: two 64-byte lines, since adjacent lines are
// fetched in pairs. Not std::hardware_destructive_interference_size: a compiler may choose another.
inline constexpr std::size_t kSideBytes = 128;

inline constexpr std::uint32_t kLanesMax = 16;
inline constexpr std::uint64_t kRingBytesDefault = 16u << 20;
inline constexpr std::uint64_t kRingBytesMin = 256u << 10;
inline constexpr std::uint64_t kRingBytesMax = 4ull << 30;  // a record's size has 32 bits
inline constexpr std::uint64_t kLaneBytesMin = 32u << 10;   // fewer lanes rather than smaller ones
inline constexpr std::size_t kProcessNameBytes = 64;        // with its zero

// RingHeader::control. Set by the engine, read at each write.
inline constexpr std::uint32_t kControlRetired = 1;      // the engine took the ring: make a new one
inline constexpr std::uint32_t kControlSwitchedOff = 2;  // the operator's off switch

struct LaneExtent {
  std::uint64_t offset;    // of the lane's data in the file: a multiple of the writer's page
  std::uint64_t capacity;  // bytes; a multiple of the writer's page
};

struct RingHeader {
  std::uint64_t magic;
  std::uint32_t layout_version;
  std::uint32_t lane_count;
  std::uint64_t ring_bytes;  // size of the file
  std::int64_t created_ns;   // unix time
  unsigned char uuid[16];    // also the file's name
  std::int64_t pid;          // in the writer's pid namespace: for show only
  std::uint64_t reserved;    // 0
  char process[kProcessNameBytes];
  LaneExtent lanes[kLanesMax];
  // Engine only, both.
  alignas(kSideBytes) std::atomic<std::uint32_t> control;  // kControl... bits
  // Counts releases in all lanes: a writer that found the ring full need not look again before it
  // moves.
  std::atomic<std::uint64_t> releases;
};
static_assert(std::is_standard_layout_v<RingHeader>);
static_assert(offsetof(RingHeader, layout_version) == 8);
static_assert(offsetof(RingHeader, lane_count) == 12);
static_assert(offsetof(RingHeader, ring_bytes) == 16);
static_assert(offsetof(RingHeader, created_ns) == 24);
static_assert(offsetof(RingHeader, uuid) == 32);
static_assert(offsetof(RingHeader, pid) == 48);
static_assert(offsetof(RingHeader, process) == 64);
static_assert(offsetof(RingHeader, lanes) == 128);
static_assert(offsetof(RingHeader, control) == 384);
static_assert(offsetof(RingHeader, releases) == 392);

struct LaneControl {
  // Writer only. 64 bits: at 10 GB/s it wraps after 58 years.
  alignas(kSideBytes) std::atomic<std::uint64_t> head;
  // Engine only.
  alignas(kSideBytes) std::atomic<std::uint64_t> tail;
  std::atomic<std::uint64_t> used_bytes_max;  // as the engine saw it: the writer's tail is stale
  // Any thread of the writer; a line of their own, since threads that drop hold no lane.
  alignas(kSideBytes) std::atomic<std::uint64_t> dropped_full;
  std::atomic<std::uint64_t> dropped_busy;
  std::atomic<std::uint64_t> dropped_too_large;
};
static_assert(std::is_standard_layout_v<LaneControl>);
static_assert(sizeof(LaneControl) == 3 * kSideBytes);
static_assert(offsetof(LaneControl, tail) == kSideBytes);
static_assert(offsetof(LaneControl, used_bytes_max) == kSideBytes + 8);
static_assert(offsetof(LaneControl, dropped_full) == 2 * kSideBytes);

inline constexpr std::uint64_t kLaneControlOffset = 4096;
static_assert(sizeof(RingHeader) <= kLaneControlOffset);

// Header and controls of a ring; the data of lane 0 starts at the next page boundary.
[[nodiscard]] constexpr std::uint64_t control_bytes(std::uint32_t lane_count) noexcept {
  return kLaneControlOffset + std::uint64_t{lane_count} * sizeof(LaneControl);
}

// ---- Records ------------------------------------------------------------------------------------
//
//   | RecordHeader | field | field | ... | 0 to 7 zero bytes | RecordTrailer |
//
// A record starts at a multiple of 8 and may wrap around its lane's end.

inline constexpr std::uint64_t kRecordAlign = 8;

inline constexpr std::uint8_t kRecordShed = 1;
inline constexpr std::uint8_t kRecordAborted = 2;
inline constexpr std::uint8_t kRecordEndClamped = 4;

struct RecordHeader {
  std::uint32_t size_bytes;    // of the whole record, header and trailer included
  std::uint16_t header_bytes;  // where the fields start: a later version may append to the header
  std::uint8_t kind;           // RecordKind
  std::uint8_t flags;          // kRecord...
  std::uint64_t sequence;      // of its lane, from 0
  std::int64_t start_ns;
  std::int64_t first_token_ns;
  std::int64_t end_ns;
  std::int32_t http_status;
  std::int32_t span_kind;
  std::uint32_t field_bytes;  // of all fields together
  std::uint32_t reserved;     // 0
};
static_assert(sizeof(RecordHeader) == 56 && std::is_trivially_copyable_v<RecordHeader>);

// Published together with the record, so that both counts are exact whenever the writer dies: what
// stands before `head` is always the trailer of the last record. See Lane.SequenceSurvives...
struct RecordTrailer {
  std::uint64_t written;  // records in this lane up to and with this one: its sequence + 1
  std::uint64_t shed;     // of those, shed
};
static_assert(sizeof(RecordTrailer) == 16 && std::is_trivially_copyable_v<RecordTrailer>);

inline constexpr std::uint64_t kRecordBytesMin = sizeof(RecordHeader) + sizeof(RecordTrailer);
static_assert(kRecordBytesMin % kRecordAlign == 0);

struct FieldHeader {
  std::uint16_t tag;  // Tag
  std::uint16_t reserved;
  std::uint32_t size_bytes;  // of the value behind it
};
static_assert(sizeof(FieldHeader) == 8 && std::is_trivially_copyable_v<FieldHeader>);

// Only ever appended. A reader skips tags that it does not know.
enum class Tag : std::uint16_t {
  kGenerationId = 1,
  kAccount = 2,
  kApiKeyId = 3,
  kApiKeyName = 4,
  kUserId = 5,
  kSessionId = 6,
  kTraceJson = 7,
  kAttributesJson = 8,
  kOperation = 9,
  kProvider = 10,
  kModelRequested = 11,
  kModelServed = 12,
  kEndpoint = 13,
  kRegion = 14,
  kErrorType = 15,
  kErrorMessage = 16,
  kUsage = 17,    // UsageField
  kAttempt = 18,  // AttemptField, then its four texts one after the other
  kSpanId = 19,
  kParentId = 20,
  kName = 21,
  kRequest = 22,
  kResponse = 23,
  kBodySizes = 24,  // BodySizesField: in shed records
  kResponseHead = 25,
  kResponseTail = 26,
};

struct UsageField {
  std::uint32_t present;  // SIDECAST_USAGE_... | SIDECAST_COST_...
  std::uint32_t reserved;
  std::int64_t input_tokens;
  std::int64_t output_tokens;
  std::int64_t total_tokens;
  std::int64_t cache_read_tokens;
  std::int64_t cache_write_tokens;
  std::int64_t reasoning_tokens;
  double cost_total_usd;
  double cost_input_usd;
  double cost_output_usd;
};
static_assert(sizeof(UsageField) == 80 && std::is_trivially_copyable_v<UsageField>);

struct AttemptField {
  std::int64_t start_ns;
  std::int64_t end_ns;
  std::int32_t http_status;
  std::uint32_t provider_bytes;
  std::uint32_t model_bytes;
  std::uint32_t endpoint_bytes;
  std::uint32_t error_type_bytes;
  std::uint32_t error_message_bytes;
};
static_assert(sizeof(AttemptField) == 40 && std::is_trivially_copyable_v<AttemptField>);

struct BodySizesField {
  std::uint64_t request_bytes;
  std::uint64_t response_bytes;
};
static_assert(sizeof(BodySizesField) == 16 && std::is_trivially_copyable_v<BodySizesField>);

inline constexpr std::uint32_t kAttemptsMax = 256;

// ---- Settings page ------------------------------------------------------------------------------

inline constexpr char kSettingsName[] = "settings";

// A file of its own in the ring directory; written by the engine under another name and renamed, so
// that a writer reads either the old or the new page, never half of one.
struct SettingsPage {
  std::uint64_t magic;
  std::uint32_t layout_version_min;  // of the rings the engine reads
  std::uint32_t layout_version_max;
  std::uint64_t ring_bytes;  // 0: the writer's default; so for the next two
  std::uint64_t record_bytes_max;
  std::uint32_t lanes;
  std::uint32_t switched_off;  // 1 or 0
  bool operator==(const SettingsPage&) const = default;
};
static_assert(sizeof(SettingsPage) == 40 && std::is_trivially_copyable_v<SettingsPage>);

}  // namespace sidecast::shm
