// A segment: one append-only file of staged entries in shared memory that outlives the engine. An
// entry is one record's encoded spans for one group of destinations, with who still has to take it.
//
//   0                SegmentHeader
//   kEntriesAt       Entry | texts | encoded spans | padding to 8 ...   up to `head`
//   head             entries being written, not yet committed           up to capacity
//
// Invariants: head only grows until the segment is reused; everything before it is whole and has a
// checksum. `pending` is the only field of an entry that changes after it was committed.
// Threads: append by the worker that owns the segment; pending bits are cleared by the delivery
// thread. Both survive kill -9: they are plain stores into a file mapping.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "engine/model/ids.h"

namespace sidecast::stage {

inline constexpr std::uint64_t kSegmentMagic = 0x3147534554414453ULL;
inline constexpr std::uint32_t kSegmentVersion = 1;
inline constexpr std::size_t kEntriesAt = 4096;

struct SegmentHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t worker;
  std::uint64_t epoch;     // of the ledger whose group slots the entries name
  std::uint64_t sequence;  // of its worker's segments; worker and sequence name a segment
  std::uint64_t capacity;  // bytes for entries
  // Writer: the owning worker, by a redo record. Bytes of committed entries.
  std::atomic<std::uint64_t> head;
};
static_assert(sizeof(SegmentHeader) <= kEntriesAt);

struct Entry {
  std::uint32_t size_bytes;  // of the whole entry with texts, spans and padding
  std::uint32_t encoded_bytes;
  std::uint64_t checksum;  // XXH3 of everything behind this header and of the fixed fields
  std::atomic<std::uint64_t> pending;  // a bit for each destination of the group that must take it
  std::uint32_t group;                 // slot of the ledger
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

  [[nodiscard]] Text generation_id() const noexcept { return {text(), generation_id_bytes}; }
  [[nodiscard]] Text api_key_name() const noexcept {
    return {text() + generation_id_bytes, api_key_name_bytes};
  }
  [[nodiscard]] Text account() const noexcept {
    return {text() + generation_id_bytes + api_key_name_bytes, account_bytes};
  }
  [[nodiscard]] Bytes encoded() const noexcept {
    return {text() + generation_id_bytes + api_key_name_bytes + account_bytes, encoded_bytes};
  }

 private:
  [[nodiscard]] const char* text() const noexcept {
    return reinterpret_cast<const char*>(this) + sizeof(Entry);
  }
};
static_assert(sizeof(Entry) == 96 && alignof(Entry) == 8);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// What the worker knows of a record when it stages its spans.
struct EntryFields {
  std::uint64_t pending = 0;
  std::uint32_t group = 0;
  std::uint32_t span_count = 0;
  TraceId trace_id;
  std::int64_t start_ns = 0;
  std::array<unsigned char, 16> ring{};
  std::uint64_t sequence = 0;
  std::uint32_t lane = 0;
  bool is_shrunk = false;
  Text generation_id;
  Text api_key_name;
  Text account;
};

// Names a segment in redo records and file names.
struct SegmentKey {
  std::uint32_t worker = 0;
  std::uint64_t sequence = 0;
  bool operator==(const SegmentKey&) const = default;
};

class Segment {
 public:
  // Makes and really allocates the file; every page is there, so writing cannot fault.
  [[nodiscard]] static Result<std::unique_ptr<Segment>> create(const std::string& path,
                                                               SegmentKey key, std::uint64_t epoch,
                                                               std::uint64_t capacity);
  // Opens a file that an engine left behind and checks its header and every committed entry.
  [[nodiscard]] static Result<std::unique_ptr<Segment>> open(const std::string& path);
  // For counting only: maps it read-only and checks nothing but the header.
  [[nodiscard]] static Result<std::unique_ptr<Segment>> open_read_only(const std::string& path);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  [[nodiscard]] SegmentKey key() const noexcept { return {header_->worker, header_->sequence}; }
  [[nodiscard]] std::uint64_t epoch() const noexcept { return header_->epoch; }
  [[nodiscard]] std::uint64_t capacity() const noexcept { return header_->capacity; }
  [[nodiscard]] std::uint64_t file_bytes() const noexcept { return mapped_bytes_; }
  [[nodiscard]] std::uint64_t head() const noexcept {
    // acquire: pairs with the release in commit(); a counting reader then sees whole entries.
    return header_->head.load(std::memory_order_acquire);
  }

  // Bytes an entry with these fields takes.
  [[nodiscard]] static std::uint64_t entry_bytes(const EntryFields& fields, Bytes encoded) noexcept;
  // Writes an entry at `offset` (>= head); it counts once commit() moved the head behind it. The
  // caller has checked the room.
  Entry* append(std::uint64_t offset, const EntryFields& fields, Bytes encoded) noexcept;
  void commit(std::uint64_t head) noexcept {
    header_->head.store(head, std::memory_order_release);  // pairs with head()
  }
  // The entry at `offset`, or null when no committed entry can lie there.
  [[nodiscard]] Entry* entry_at(std::uint64_t offset) noexcept;
  [[nodiscard]] std::uint64_t offset_of(const Entry* entry) const noexcept;

  // Empties a segment whose entries are all settled and gives it a new name.
  [[nodiscard]] Status reuse(const std::string& new_path, SegmentKey key);
  void remove() noexcept;

  // Entries with a pending bit, among those committed or being written, and one more while it is
  // written to or waits for a writer: while it is not zero the segment must stay. Process memory:
  // counted again after a restart.
  std::atomic<std::uint64_t> open_entries{0};

 private:
  Segment(std::string path, SegmentHeader* header, std::uint64_t mapped_bytes);
  [[nodiscard]] static Result<std::unique_ptr<Segment>> map(const std::string& path, bool writable);
  [[nodiscard]] Status check_entries() noexcept;
  [[nodiscard]] char* base() const noexcept {
    return reinterpret_cast<char*>(header_) + kEntriesAt;
  }

  std::string path_;
  SegmentHeader* header_;
  std::uint64_t mapped_bytes_;
};

}  // namespace sidecast::stage
