// The engine's side of rings: find them in the shared directory, copy records out of their lanes,
// give room back, see dead owners, set hostile rings aside. Nothing read from a ring is believed
// before it is checked; each value is read once.
//
// Threads: RingDirectory belongs to one thread. A Ring may be shared: each of its lanes belongs to
// one engine worker at a time; info() and counters() may be called from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sidecast::shm {

using RingUuid = std::array<unsigned char, 16>;

struct RingInfo {
  RingUuid uuid{};
  std::string file_name;        // in the ring directory
  std::string process;          // as the writer named itself; printable, at most 63 bytes
  std::int64_t pid = 0;         // in the writer's own pid namespace: for show only
  std::uint32_t owner_uid = 0;  // of the file, from the kernel
  std::uint32_t lanes = 0;
  std::uint64_t capacity_bytes = 0;
  std::int64_t created_ns = 0;  // unix time
};

// Writer-side counts, read from the ring: as trustworthy as the writer.
struct RingCounters {
  std::uint64_t written = 0;  // sum of the lanes' sequence numbers
  std::uint64_t shed = 0;
  std::uint64_t dropped_full = 0;
  std::uint64_t dropped_busy = 0;
  std::uint64_t dropped_too_large = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t used_bytes_max = 0;  // sum of the lanes' own high-water marks
};

enum class PeekStatus : std::uint8_t {
  kRecord,   // one record was copied out
  kEmpty,    // nothing published beyond the cursor
  kHostile,  // the lane's positions or a record's frame cannot be true; the ring must be
             // quarantined
  kGone,     // the file was truncated under us
};

enum class OwnerState : std::uint8_t {
  kAlive,    // somebody holds the ring's lock: its writer, or an engine that retired the ring
  kDead,     // nobody does
  kUnknown,  // we may not look
};

// Where a lane's reader stands. `sequence` is that of the next record.
struct LaneCursor {
  std::uint64_t position = 0;
  std::uint64_t sequence = 0;
};

class Ring {
 public:
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  [[nodiscard]] const RingInfo& info() const noexcept;
  [[nodiscard]] RingCounters counters() const noexcept;

  // Where the lane's reader left off, as the ring itself holds it (its released position).
  [[nodiscard]] LaneCursor released(std::uint32_t lane) const noexcept;

  // Copies the record at `cursor` to `out` (resized to it) and moves the cursor behind it. The
  // record's room is still the record's until release().
  [[nodiscard]] PeekStatus peek(std::uint32_t lane, LaneCursor& cursor, std::string& out) noexcept;

  // True once an access found the file truncated. Nothing read from the ring since means anything.
  [[nodiscard]] bool is_gone() const noexcept;

  // Gives all room before `cursor` back to the writer. A cursor behind the released position is
  // ignored, so that a redo may be applied again.
  void release(std::uint32_t lane, LaneCursor cursor) noexcept;

  // True once the owner's lock could be taken: the owner is dead, and from now on this object holds
  // the lock, so that nobody else drains or removes the ring. The `retired` word is then set, which
  // a writer wrongly thought dead sees and answers with a new ring. Three system calls.
  [[nodiscard]] bool try_retire() noexcept;
  [[nodiscard]] bool is_retired() const noexcept;

  // Asks without taking anything: for observers.
  [[nodiscard]] OwnerState owner() const noexcept;

  // Unlinks ring and lock file. Only after try_retire() and once every lane was drained to its end.
  void remove() noexcept;
  // Keeps a hostile ring's file for whoever wants to look into it, under its name in `directory` of
  // the same file system. 0, or an errno.
  [[nodiscard]] int keep_in(const std::string& directory) noexcept;
  // Unlinks a hostile ring, whoever lives. Its lock is swept up once its owner has gone.
  void discard() noexcept;
  // After remove() or discard(): it is nobody's any more.
  [[nodiscard]] bool is_removed() const noexcept;

 private:
  friend class RingDirectory;
  struct Impl;
  explicit Ring(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct QuarantinedRing {
  std::string file_name;
  std::string reason;
};

// Settings the engine publishes for writers; 0 = the writer's own default.
struct WriterSettings {
  std::uint64_t ring_bytes = 0;
  std::uint32_t lanes = 0;
  std::uint64_t record_bytes_max = 0;
  bool switched_off = false;
};

enum class Access : std::uint8_t {
  kEngine,    // drains: one process at a time
  kObserver,  // looks only: no lock is taken, nothing is written, release() and the like do nothing
};

class RingDirectory {
 public:
  // Opens the directory; the engine makes it (mode 3733) when it is missing. On failure returns
  // null and says why in `error`.
  [[nodiscard]] static std::unique_ptr<RingDirectory> open(const std::string& path,
                                                           std::string& error,
                                                           Access access = Access::kEngine);
  ~RingDirectory();
  RingDirectory(const RingDirectory&) = delete;
  RingDirectory& operator=(const RingDirectory&) = delete;

  // Publishes the settings page that writers read when they make a ring, and sets or clears the off
  // switch in every ring that was or will be discovered: that also when the page cannot be written.
  [[nodiscard]] bool publish(const WriterSettings& settings, std::string& error);

  // Rings found since the last call, opened and checked. Cheap when nothing changed (inotify), with
  // a full scan now and then. Hostile, foreign or future files go to quarantined(), and so do those
  // that may not be opened; these are tried again at each full scan.
  [[nodiscard]] std::vector<std::shared_ptr<Ring>> discover();
  [[nodiscard]] const std::vector<QuarantinedRing>& quarantined() const noexcept;
  // Sets a live ring aside: it is not offered again while this directory object lives.
  void quarantine(const Ring& ring, const std::string& reason);
  [[nodiscard]] const std::string& path() const noexcept;

 private:
  struct Impl;
  explicit RingDirectory(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sidecast::shm
