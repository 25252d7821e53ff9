// A lane: one circular buffer of variable-size records with one producer and one consumer. The
// writer maps its data area twice in a row, so that a record never wraps for it; the reader maps it
// once and copies a record out in one piece or two.
//
//   position  tail                     head                  tail + capacity
//   |  free   |  published, readable   |        free         |
//
// Invariants: tail <= head <= tail + capacity. Positions only grow; offset = position % capacity. A
// record takes at most record_bytes_max(capacity), so that what stands just before `head`, the last
// record's trailer, is never overwritten by the next one while that is still being copied in.
// Threads: LaneWriter belongs to the thread that holds its try-lock. LaneReader belongs to the one
// engine worker that owns the lane; its counts() may be called from any thread.
// Crash: a writer that dies before the last line of publish() has published nothing. A reader that
// dies before the last line of release() has released nothing. See tests/model/lane.pml.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "shm/layout.h"
#include "shm/test_point.h"

namespace sidecast::shm {

// The last eighth of a lane is kept for records without bodies and for small failed requests.
[[nodiscard]] constexpr std::uint64_t reserve_bytes(std::uint64_t capacity) noexcept {
  return capacity / 8 & ~(kRecordAlign - 1);
}

[[nodiscard]] constexpr std::uint64_t record_bytes_max(std::uint64_t capacity) noexcept {
  return capacity - reserve_bytes(capacity);
}

// In process-private memory: a process that dies leaves no lock behind, and a write from a signal
// handler finds the lane busy instead of corrupting it.
class TryLock {
 public:
  [[nodiscard]] bool try_take() noexcept {
    // The relaxed look spares a busy lane's line the exclusive access that an exchange takes;
    // nothing depends on its value. acquire: pairs with give_back() of the thread before us.
    return held_.load(std::memory_order_relaxed) == 0 &&
           held_.exchange(1, std::memory_order_acquire) == 0;
  }
  // release: pairs with the exchange in try_take().
  void give_back() noexcept { held_.store(0, std::memory_order_release); }

 private:
  std::atomic<std::uint32_t> held_{0};
};

// The writer's end of a lane, in process-private memory.
class LaneWriter {
 public:
  LaneWriter() = default;
  LaneWriter(LaneControl* control, char* mirrored_data, std::uint64_t capacity) noexcept
      : control_(control), data_(mirrored_data), capacity_(capacity) {}

  [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::uint64_t sequence() const noexcept {
    // relaxed: only the lock's holder writes it; stats may be one record behind.
    return written_.load(std::memory_order_relaxed);
  }

  // True if `bytes` more fit while `keep_free` stay free. Looks at the reader's line only when the
  // tail as last seen does not suffice.
  [[nodiscard]] bool has_room(std::uint64_t bytes, std::uint64_t keep_free) noexcept {
    if (bytes + keep_free > capacity_) return false;
    const std::uint64_t used_max = capacity_ - keep_free - bytes;
    if (head_ - tail_seen_ <= used_max) return true;
    look_at_tail();
    return head_ - tail_seen_ <= used_max;
  }

  [[nodiscard]] std::uint64_t free_bytes() noexcept {
    look_at_tail();
    return capacity_ - (head_ - tail_seen_);
  }

  // Where the next record goes: record_bytes_max(capacity) bytes in one piece.
  [[nodiscard]] char* room() const noexcept { return data_ + offset_; }

  // `bytes`: a multiple of kRecordAlign for which has_room() said yes; the record stands at room(),
  // all but its trailer.
  void publish(std::uint64_t bytes, bool shed) noexcept {
    const std::uint64_t written = written_.load(std::memory_order_relaxed) + 1;  // ours alone
    const std::uint64_t shed_count = shed_.load(std::memory_order_relaxed) + (shed ? 1 : 0);
    const RecordTrailer trailer{.written = written, .shed = shed_count};
    std::memcpy(room() + bytes - sizeof trailer, &trailer, sizeof trailer);
    SIDECAST_SHM_TEST_POINT("lane.before_publish");
    head_ += bytes;
    offset_ += bytes;
    if (offset_ >= capacity_) offset_ -= capacity_;
    // relaxed: for stats() of this process only.
    written_.store(written, std::memory_order_relaxed);
    shed_.store(shed_count, std::memory_order_relaxed);
    // release: pairs with the acquire load in LaneReader::peek(). A reader that sees this head also
    // sees every byte of the record before it.
    control_->head.store(head_, std::memory_order_release);
    SIDECAST_SHM_TEST_POINT("lane.after_publish");
  }

  // relaxed, all three: statistics, from any thread.
  [[nodiscard]] std::uint64_t shed() const noexcept {
    return shed_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t used_bytes() const noexcept {
    const std::uint64_t tail = control_->tail.load(std::memory_order_relaxed);
    const std::uint64_t head = control_->head.load(std::memory_order_relaxed);
    return head > tail ? head - tail : 0;
  }
  [[nodiscard]] LaneControl& control() const noexcept { return *control_; }

 private:
  void look_at_tail() noexcept {
    // acquire: pairs with the store in LaneReader::release(). The reader has read what we are about
    // to overwrite. A tail that cannot be true (the file is writable by the engine's group) is not
    // believed: the lane stays as full as it was.
    const std::uint64_t tail = control_->tail.load(std::memory_order_acquire);
    if (tail >= tail_seen_ && tail <= head_) tail_seen_ = tail;
  }

  LaneControl* control_ = nullptr;
  char* data_ = nullptr;  // 2 x capacity_ bytes, the second half a mirror of the first
  std::uint64_t capacity_ = 0;
  std::uint64_t head_ = 0;
  std::uint64_t offset_ = 0;     // of head_, kept along: a division would cost as much as the lock
  std::uint64_t tail_seen_ = 0;  // never ahead of the true tail
  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> shed_{0};
};

enum class LaneRead : std::uint8_t {
  kRecord,
  kEmpty,
  kHostile,  // positions or a record's frame that a correct writer cannot have made
};

struct LanePosition {
  std::uint64_t position = 0;
  std::uint64_t sequence = 0;  // of the record that starts there
};

// The reader's end of a lane. Each shared value is loaded once, checked, then used; what the reader
// itself wrote is kept privately and never read back.
class LaneReader {
 public:
  LaneReader(LaneControl* control, const char* data, std::uint64_t capacity) noexcept
      : control_(control), data_(data), capacity_(capacity) {}

  // Finds where the last reader left off: its tail, and the sequence that belongs to it. False: the
  // lane is hostile.
  [[nodiscard]] bool recover() noexcept {
    const std::uint64_t tail = control_->tail.load(std::memory_order_relaxed);  // our own side's
    if (tail % kRecordAlign != 0) return false;
    // A published record at the tail names its own sequence. With nothing behind the tail it is the
    // count in the trailer before it, as long as the head stands still while we look.
    std::uint64_t head = control_->head.load(std::memory_order_acquire);  // pairs with publish()
    if (head == tail) {
      const RecordTrailer trailer = trailer_before(head);
      head = control_->head.load(std::memory_order_acquire);  // as above
      released_ = {tail, trailer.written};
    }
    if (head != tail) {
      if (head < tail || head - tail > capacity_ || head - tail < kRecordBytesMin) return false;
      RecordHeader header;
      copy_out(tail, &header, sizeof header);
      released_ = {tail, header.sequence};
    }
    head_seen_ = head;
    used_max_ = control_->used_bytes_max.load(std::memory_order_relaxed);  // our own side's
    return true;
  }

  [[nodiscard]] LanePosition released() const noexcept { return released_; }

  // Copies the record at `cursor` to `out` and moves the cursor behind it. Stores nothing in the
  // ring, which an observer has mapped for reading only.
  [[nodiscard]] LaneRead peek(LanePosition& cursor, std::string& out) {
    if (cursor.position == head_seen_) {
      // acquire: pairs with the release store in publish().
      const std::uint64_t head = control_->head.load(std::memory_order_acquire);
      if (head < head_seen_ || head - released_.position > capacity_ || head % kRecordAlign != 0) {
        return LaneRead::kHostile;
      }
      head_seen_ = head;
    }
    if (cursor.position == head_seen_) return LaneRead::kEmpty;
    if (cursor.position > head_seen_ || cursor.position < released_.position) {
      return LaneRead::kHostile;
    }
    const std::uint64_t readable = head_seen_ - cursor.position;
    std::uint32_t size_bytes = 0;
    copy_out(cursor.position, &size_bytes, sizeof size_bytes);
    if (size_bytes < kRecordBytesMin || size_bytes % kRecordAlign != 0 || size_bytes > readable ||
        size_bytes > record_bytes_max(capacity_)) {
      return LaneRead::kHostile;
    }
    out.resize(size_bytes);
    copy_out(cursor.position, out.data(), size_bytes);
    // From the copy: the ring's own bytes may have changed since.
    RecordHeader header;
    RecordTrailer trailer;
    std::memcpy(&header, out.data(), sizeof header);
    std::memcpy(&trailer, out.data() + size_bytes - sizeof trailer, sizeof trailer);
    if (header.size_bytes != size_bytes || header.sequence != cursor.sequence ||
        trailer.written != cursor.sequence + 1) {
      return LaneRead::kHostile;
    }
    cursor.position += size_bytes;
    cursor.sequence += 1;
    return LaneRead::kRecord;
  }

  // Gives the room before `cursor` back to the writer. A cursor at or behind the released position
  // changes nothing, so that a redo may be applied again; one beyond what was published is refused.
  void release(LanePosition cursor) noexcept {
    if (cursor.position <= released_.position) return;
    if (cursor.position > head_seen_) {
      const std::uint64_t head = control_->head.load(std::memory_order_acquire);  // publish()
      if (cursor.position > head) return;
      head_seen_ = head;
    }
    note_used(head_seen_ - released_.position);
    released_ = cursor;
    SIDECAST_SHM_TEST_POINT("lane.before_release");
    // release: pairs with the acquire load in LaneWriter::has_room(). Our reads of the record come
    // before the writer's stores over it.
    control_->tail.store(cursor.position, std::memory_order_release);
    SIDECAST_SHM_TEST_POINT("lane.after_release");
  }

  struct Counts {
    RecordTrailer totals{};
    std::uint64_t used_bytes = 0;
    std::uint64_t used_bytes_max = 0;
  };

  // Statistics, from any thread: as trustworthy as the writer.
  [[nodiscard]] Counts counts() const noexcept {
    Counts counts;
    for (int attempt = 0; attempt < 3; ++attempt) {
      // acquire, both: pair with publish(). The trailer is read between them; a head that stood
      // still means that nobody wrote over it meanwhile.
      const std::uint64_t head = control_->head.load(std::memory_order_acquire);
      counts.totals = trailer_before(head);
      const std::uint64_t tail = control_->tail.load(std::memory_order_relaxed);  // statistics
      counts.used_bytes = head > tail && head - tail <= capacity_ ? head - tail : 0;
      if (control_->head.load(std::memory_order_acquire) == head) break;
    }
    // relaxed: statistics.
    const std::uint64_t used_max = control_->used_bytes_max.load(std::memory_order_relaxed);
    counts.used_bytes_max = used_max > counts.used_bytes ? used_max : counts.used_bytes;
    return counts;
  }

 private:
  // The trailer of the last record before `head`. Its bytes may be a free room's, which a writer a
  // lap further overwrites: callers look at the head again before they believe it. That race is
  // meant, hence the word-wise volatile loads that the thread sanitizer does not follow.
  __attribute__((noinline, no_sanitize("thread"))) RecordTrailer trailer_before(
      std::uint64_t head) const noexcept {
    if (head < kRecordBytesMin || head % kRecordAlign != 0) return {};
    const auto word = [this](std::uint64_t position) {
      return *reinterpret_cast<const volatile std::uint64_t*>(data_ + position % capacity_);
    };
    return {.written = word(head - 16), .shed = word(head - 8)};
  }

  // `size` <= capacity_; the bytes may wrap.
  void copy_out(std::uint64_t position, void* to, std::uint64_t size) const noexcept {
    const std::uint64_t offset = position % capacity_;
    const std::uint64_t first = size < capacity_ - offset ? size : capacity_ - offset;
    std::memcpy(to, data_ + offset, first);
    if (first < size) std::memcpy(static_cast<char*>(to) + first, data_, size - first);
  }

  void note_used(std::uint64_t used) noexcept {
    if (used <= used_max_) return;
    used_max_ = used;
    control_->used_bytes_max.store(used, std::memory_order_relaxed);  // statistics
  }

  LaneControl* control_;
  const char* data_;  // capacity_ bytes, not mirrored
  std::uint64_t capacity_;
  LanePosition released_;
  std::uint64_t head_seen_ = 0;
  std::uint64_t used_max_ = 0;
};

}  // namespace sidecast::shm
