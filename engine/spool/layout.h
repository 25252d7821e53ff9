// What a spool's files look like. A segment holds frames, one after the other; a frame is one batch
// with the index of its records, so that it can be cut, and the names of whom it is for. Beside it
// lies its done-log; in the engine's own directory, its state (state.h).
//
//   SEQUENCE-ID.spool   SegmentHeader | Frame... | zeros
//   Frame               FrameHeader | DestinationName... | RecordIndex... | texts | body | padding
//   SEQUENCE-ID.done    DoneEntry...
//
// Little-endian. No secret stands in it: a destination is a name and a hash. A frame has two
// checksums, one for what a start reads of it and one for the rest, both bound to the segment and
// the place, so that no stale bytes pass for a frame.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/model/ids.h"

namespace sidecast::spool {

inline constexpr std::uint64_t kSegmentMagic = 0x314C4F4F50534453ULL;  // "SDSPOOL1"
inline constexpr std::uint32_t kSegmentVersion = 1;
inline constexpr std::uint32_t kFrameMagic = 0x4D415246U;  // "FRAM"
inline constexpr std::size_t kFramesAt = 64;
inline constexpr std::size_t kFramesMax = 1016;  // of a segment: its state is two pages
inline constexpr std::size_t kFrameDestinationsMax = 64;
// What one redo record takes to move.
inline constexpr std::size_t kFrameRecordsMax = 4096;
// Larger than any stage's share of one batch; a claim above it is damage.
inline constexpr std::uint64_t kPlainBytesMax = 1ULL << 30U;

struct SegmentHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t padding;
  std::uint64_t id;        // random: names the segment for ever
  std::uint64_t sequence;  // among the segments of its directory: older ones have smaller ones
  std::int64_t created_ns;
  std::uint64_t checksum;  // XXH3 of what stands before it
  std::array<std::uint64_t, 2> padding2;
};
static_assert(sizeof(SegmentHeader) == kFramesAt);

struct FrameHeader {
  std::uint32_t magic;
  std::uint32_t size_bytes;  // of the whole frame
  std::uint32_t ordinal;     // in its segment, from 0
  std::uint32_t flags;
  std::uint64_t head_checksum;  // of this header without it, and the destinations' names
  std::uint64_t rest_checksum;  // of all behind the names but the padding
  std::int64_t sealed_ns;       // unix time at which the batch was sealed
  std::uint64_t records_bytes;  // uncompressed, without what frames them
  std::uint64_t privacy;        // of what was left out; 0 = nothing: see privacy_mark()
  std::uint32_t record_count;
  std::uint32_t destination_count;
  std::uint32_t text_bytes;
  std::uint32_t body_bytes;
  // What stands around the records in the uncompressed body.
  std::uint16_t prefix_bytes;
  std::uint16_t separator_bytes;
  std::uint16_t suffix_bytes;
  std::uint8_t compression;  // as exporters/exporter.h numbers it
  std::uint8_t padding;
  std::array<char, 16> encoder;  // zero-terminated; empty = not known any more
  std::array<char, 24> dialect;
};
static_assert(sizeof(FrameHeader) == 120);
// The body is as it was to be sent. Else it is the records and nothing else.
inline constexpr std::uint32_t kFrozen = 1;

struct DestinationName {
  std::array<char, 32> identity;  // hex
  std::array<char, 96> name;      // zero-terminated
  std::array<char, 32> type;      // zero-terminated
};
static_assert(sizeof(DestinationName) == 160);

struct RecordIndex {
  std::uint32_t encoded_bytes;
  std::uint32_t span_count;
  TraceId trace_id;
  std::int64_t start_ns;
  std::array<unsigned char, 16> ring;  // where the record came from
  std::uint64_t sequence;
  std::uint32_t lane;
  std::uint16_t generation_id_bytes;
  std::uint16_t api_key_name_bytes;
  std::uint16_t account_bytes;
  std::uint16_t padding;
  std::uint32_t is_shrunk;  // 1: its content was shortened before it was staged
};
static_assert(sizeof(RecordIndex) == 72);

// That destinations have no further use for a frame. Written late and never waited for: what is
// exact lies in the state; this is for a start that does not have it any more.
struct DoneEntry {
  std::uint64_t destinations;  // bits of the frame's names
  std::uint32_t ordinal;
  std::uint32_t checksum;  // of both, bound to the segment
};
static_assert(sizeof(DoneEntry) == 16);

// Of a frame for so many destinations.
[[nodiscard]] constexpr std::uint64_t all_bits(std::size_t destinations) noexcept {
  return destinations >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << destinations) - 1;
}

}  // namespace sidecast::spool
