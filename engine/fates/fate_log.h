// Writes the file of recent fates (layout.h). It is a convenience: without it nothing else changes,
// so it never stops a start, and a FateLog without a section does nothing.
//
// Threads: open() before the others begin; then each FateLog belongs to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "engine/fates/layout.h"
#include "engine/model/ids.h"
#include "engine/stage/stage.h"

namespace sidecast::fates {

// What a worker knows of a record when it has decided about it. Views; nothing is kept.
struct RecordNote {
  const std::array<unsigned char, 16>* ring = nullptr;
  std::uint32_t lane = 0;
  std::uint64_t sequence = 0;
  std::int32_t pid = 0;
  Text process;
  std::int64_t ended_ns = 0;
  std::int32_t http_status = 0;
  std::uint16_t flags = 0;
  Text generation_id;
  Text account;
  Text session_id;
  Text trace_id_text;
  TraceId trace_id;
  std::uint64_t span_bytes = 0;
};

// Which records of which batch, at which destination.
struct PartNote {
  std::uint64_t batch = 0;
  std::size_t first = 0;
  std::size_t count = 0;
  std::uint32_t destination = 0;
};

[[nodiscard]] std::uint64_t record_key(const std::array<unsigned char, 16>& ring,
                                       std::uint32_t lane, std::uint64_t sequence,
                                       std::uint64_t seed) noexcept;
[[nodiscard]] std::uint64_t id_hash(Text id, std::uint64_t seed) noexcept;
// Of an event whose checksum is not yet in its header.
[[nodiscard]] std::uint32_t checksum_of(const EventHeader& header, Bytes body,
                                        std::uint64_t seed) noexcept;

class FateLog {
 public:
  FateLog() = default;
  FateLog(char* section, SectionState& state, const FatesHeader& header, std::uint32_t index)
      : section_(section), state_(&state), header_(&header), index_(index) {}

  [[nodiscard]] bool is_open() const noexcept { return section_ != nullptr; }

  void record(const RecordNote& note, std::span<const Decision> decisions) noexcept;
  // Returns the batch's number, 0 when there is no log.
  std::uint64_t batch(std::uint32_t group, std::uint64_t bytes, std::uint32_t shrink_attempt,
                      std::span<const stage::EntryRef> entries) noexcept;
  void sent(const PartNote& part, std::uint32_t attempt, std::uint64_t body_bytes) noexcept;
  void answered(const PartNote& part, std::uint16_t verdict, std::int64_t took_ms,
                std::int64_t retry_ms, Text why) noexcept;
  void settled(const PartNote& part, Fate fate, std::uint8_t reason) noexcept;

 private:
  // An event of that size, to be filled in and sealed.
  [[nodiscard]] char* begin(EventKind kind, std::size_t body_bytes) noexcept;
  void seal() noexcept;
  [[nodiscard]] static BatchPart part_of(const PartNote& part) noexcept;

  char* section_ = nullptr;
  SectionState* state_ = nullptr;
  const FatesHeader* header_ = nullptr;
  std::uint32_t index_ = 0;
  EventHeader pending_{};
};

class FateFile {
 public:
  // Opens or makes the file with that many sections, the last one for the delivery thread. One that
  // does not fit (another ledger, other sections, another size) is begun anew.
  [[nodiscard]] static Result<std::unique_ptr<FateFile>> open(const std::string& path,
                                                              std::uint64_t bytes,
                                                              std::uint32_t sections,
                                                              std::uint64_t ledger_epoch);
  ~FateFile();
  FateFile(const FateFile&) = delete;
  FateFile& operator=(const FateFile&) = delete;

  [[nodiscard]] FateLog log(std::uint32_t section) noexcept;
  [[nodiscard]] std::uint64_t bytes() const noexcept { return mapped_bytes_; }

 private:
  FateFile(FatesHeader* header, std::uint64_t mapped_bytes)
      : header_(header), mapped_bytes_(mapped_bytes) {}

  FatesHeader* header_;
  std::uint64_t mapped_bytes_;
};

}  // namespace sidecast::fates
