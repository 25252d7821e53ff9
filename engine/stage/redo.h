// Redo records: state that must agree (counters, stage heads, ring tails, pending bits) moves
// together, whatever instant the engine dies at. A transaction lists absolute new values; commit()
// writes the list into a small file of shared memory, seals it with a checksum, applies it, clears
// it. At start a sealed one is applied again: each operation is idempotent.
//
// Why this is enough: only the death of the process is survived (after a power cut a new epoch
// begins), and a killed thread has executed a prefix of its stores, in program order. Release
// stores keep the compiler from reordering them.
// Threads: each redo file belongs to one thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/ledger/ledger.h"
#include "engine/spool/state.h"
#include "engine/stage/segment.h"
#include "shm/reader.h"

namespace sidecast::stage {

// Turns names in a redo record into things; null where they are gone.
struct RedoTargets {
  Ledger* ledger = nullptr;
  std::function<Segment*(SegmentKey)> segment;
  std::function<shm::Ring*(const shm::RingUuid&)> ring;
  std::function<spool::SegmentState*(std::uint64_t id)> spool_segment;  // may be empty: no spool
};

class RedoLog {
 public:
  // Makes room for transactions of `operations_max` operations; a larger file stays as it is.
  [[nodiscard]] static Result<std::unique_ptr<RedoLog>> open(const std::string& path,
                                                             std::size_t operations_max);
  ~RedoLog();
  RedoLog(const RedoLog&) = delete;
  RedoLog& operator=(const RedoLog&) = delete;

  // Applies what a dead engine had sealed but perhaps not finished. A record that was not sealed
  // is forgotten: nothing of it was visible. Returns whether there was one.
  bool recover(const RedoTargets& targets);

  // ---- one transaction: note..., then commit()
  void set_counter(Ledger& ledger, ledger::Counter& counter, std::uint64_t value);
  void set_head(Segment& segment, std::uint64_t head);
  void release(shm::Ring& ring, std::uint32_t lane, shm::LaneCursor cursor);
  void clear_pending(Segment& segment, Entry& entry, std::uint8_t bit);
  void clear_bits(Segment& segment, Entry& entry, std::uint64_t bits);
  // Who still has to take a frame of the spool.
  void set_spooled(spool::SegmentState& state, std::uint32_t ordinal, std::uint64_t pending);
  void remove_ring(shm::Ring& ring);   // that is retired and drained
  void discard_ring(shm::Ring& ring);  // that is hostile
  [[nodiscard]] bool empty() const noexcept { return live_.empty(); }
  void commit() noexcept;

 private:
  enum class Kind : std::uint32_t {
    kCounter = 1,
    kHead,
    kRelease,
    kClearPending,
    kRemoveRing,
    kDiscardRing,
    kClearBits,
    kSpooled
  };
  struct Operation {
    Kind kind;
    std::uint32_t small;  // lane, or bit
    std::array<std::uint64_t, 4> values;
  };
  struct File;
  RedoLog(File* file, std::size_t operations_max);
  [[nodiscard]] Operation* operations() const noexcept;
  [[nodiscard]] std::uint64_t checksum(std::size_t count) const noexcept;
  Operation& note(Kind kind, void* target);
  static void apply(const Operation& operation, void* target) noexcept;
  static void* find(const Operation& operation, const RedoTargets& targets);

  File* file_;
  std::size_t operations_max_;
  std::vector<void*>
      live_;  // the target of each operation noted, so that commit() needs no look-up
};

}  // namespace sidecast::stage
