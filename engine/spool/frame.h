// A frame: one batch as bytes on disk. Written by write_frame(); everything that reads one checks
// it, since a disk, a power cut or a person may have changed it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "engine/route/groups.h"
#include "engine/spool/layout.h"
#include "engine/stage/segment.h"
#include "engine/stage/stage.h"
#include "exporters/exporter.h"

namespace sidecast::spool {

// How a body holds its records, and what its bytes are.
struct BodyForm {
  bool frozen = false;
  Compression compression = Compression::kNone;
  std::uint16_t prefix_bytes = 0;
  std::uint16_t separator_bytes = 0;
  std::uint16_t suffix_bytes = 0;
  std::string encoder;
  std::string dialect;
  std::uint64_t privacy = 0;
  bool operator==(const BodyForm&) const = default;
};
// Of a batch of that group, frozen or not. Nothing when its encoder does not fit the fields.
[[nodiscard]] std::optional<BodyForm> form_of(const Group& group, bool frozen);
// 0 without privacy mode; else equal for equal lists of what is kept.
[[nodiscard]] std::uint64_t privacy_mark(bool enabled, std::span<const std::string> keep) noexcept;

[[nodiscard]] DestinationName destination_name(std::string_view identity, std::string_view name,
                                               std::string_view type) noexcept;
[[nodiscard]] std::string_view identity_of(const DestinationName& destination) noexcept;
[[nodiscard]] std::string_view name_of(const DestinationName& destination) noexcept;
[[nodiscard]] std::string_view type_of(const DestinationName& destination) noexcept;

// One record beside its bytes. Views.
struct FrameRecord {
  std::uint32_t encoded_bytes = 0;
  stage::EntryFields fields;  // without pending and group
};
[[nodiscard]] FrameRecord record_of(const stage::Entry& entry) noexcept;

struct NewFrame {
  std::vector<FrameRecord> records;  // at most kFrameRecordsMax
  std::vector<DestinationName> destinations;
  BodyForm form;
  std::int64_t sealed_ns = 0;
  Bytes body;
};
// Where a frame stands; its checksums hold there only.
struct FramePlace {
  std::uint64_t segment_id = 0;
  std::uint64_t offset = 0;
  std::uint32_t ordinal = 0;
};
[[nodiscard]] std::uint64_t frame_bytes(const NewFrame& frame) noexcept;
// All but the body and the padding behind it.
[[nodiscard]] std::string write_frame(const NewFrame& frame, const FramePlace& place);

// ---- reading

struct FrameHead {
  std::uint32_t ordinal = 0;
  std::uint64_t size_bytes = 0;
  std::uint32_t record_count = 0;
  std::uint64_t records_bytes = 0;
  std::int64_t sealed_ns = 0;
  BodyForm form;
  std::vector<DestinationName> destinations;
};
// Bytes to read for parse_head(), of what a frame begins with; nothing when no frame begins so.
[[nodiscard]] std::optional<std::uint64_t> head_bytes(Bytes header) noexcept;
[[nodiscard]] Result<FrameHead> parse_head(Bytes head, std::uint64_t segment_id,
                                           std::uint64_t offset);

struct Frame {
  FrameHead head;
  std::vector<FrameRecord> records;  // views of the bytes that were parsed
  Bytes body;
};
// `whole` has exactly the size its head names.
[[nodiscard]] Result<Frame> parse_frame(Bytes whole, std::uint64_t segment_id,
                                        std::uint64_t offset);
// Each record's encoded bytes: views into `plain`, which receives the uncompressed body.
[[nodiscard]] Result<std::vector<Bytes>> cut_body(const Frame& frame, std::string& plain);

}  // namespace sidecast::spool
