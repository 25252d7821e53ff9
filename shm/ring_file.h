// A ring's file: made by the writer, opened and checked by the engine, and the lock that says
// whether the writer lives. The only room that includes Boost.Interprocess.
//
// Life of a ring, seen from the directory:
//   <uuid>.ring.lock   made first; the writer holds a POSIX record lock on it for life
//   .<uuid>.ring       the ring while it is being allocated and filled in
//   <uuid>.ring        the same file once it is complete: the only name that the engine opens
//
// The writer's half allocates nothing and throws nothing: it may run inside a write (after fork) or
// even in a signal handler.
#pragma once

#include <cstdint>
#include <string>

#include <sys/types.h>

#include "shm/bus_guard.h"
#include "shm/layout.h"
#include "shm/reason.h"

namespace sidecast::shm {

inline constexpr char kRingSuffix[] = ".ring";
inline constexpr char kLockSuffix[] = ".lock";
inline constexpr std::size_t kUuidTextBytes = 36;

// ---- The writer's half --------------------------------------------------------------------------

struct RingWish {
  std::uint64_t ring_bytes = kRingBytesDefault;
  std::uint32_t lanes = 4;
  const char* process = "";
  bool switched_off = false;
};

struct OwnedLane {
  LaneControl* control = nullptr;
  char* mirrored_data = nullptr;  // 2 x capacity bytes
  std::uint64_t capacity = 0;
};

// A ring of this process, mapped for writing. Plain memory: it lives in pages that a fork copies,
// and only its owner may touch what it points to.
class OwnedRing {
 public:
  // Opens the ring directory for a writer, who may create in it but not list it. -1 and a reason.
  [[nodiscard]] static int open_directory(const char* path, Reason& reason) noexcept;

  // Makes the ring. False and a reason: nothing is left behind. True with a reason: it is smaller
  // than wished.
  [[nodiscard]] bool create(int directory, const RingWish& wish, Reason& reason) noexcept;

  [[nodiscard]] RingHeader& header() const noexcept {
    return *reinterpret_cast<RingHeader*>(base_);
  }
  [[nodiscard]] std::uint32_t lane_count() const noexcept { return lane_count_; }
  [[nodiscard]] std::uint64_t ring_bytes() const noexcept { return ring_bytes_; }
  [[nodiscard]] OwnedLane lane(std::uint32_t index) const noexcept;

  // Unmaps and drops the lock: the engine takes it from here. No thread may be writing.
  void close() noexcept;

  // Gives the file back while late threads may still look at header and counters: those become a
  // private page, the data is unmapped. Every lane must be held. Drops the lock.
  void detach() noexcept;

  // In a forked child: the mapping was not inherited, the lock's descriptor was.
  void forget_after_fork() noexcept;

 private:
  [[nodiscard]] bool map(int file, const LaneExtent* lanes) noexcept;
  void close_lock() noexcept;

  char* base_ = nullptr;              // header and controls, then each lane's data twice
  std::uint64_t reserved_bytes_ = 0;  // of address space, from base_
  std::uint64_t control_region_bytes_ = 0;
  std::uint64_t ring_bytes_ = 0;
  std::uint32_t lane_count_ = 0;
  int lock_ = -1;
  // Which file lock_ must be: after a closefrom() in the gateway the number may be somebody else's.
  dev_t lock_device_ = 0;
  ino_t lock_inode_ = 0;
  LaneExtent lanes_[kLanesMax] = {};
};

// How `ring_bytes` are cut: lane 0 takes half, the others share the rest evenly; fewer of them if
// they would be too small. Returns their number; sizes are multiples of `page`.
[[nodiscard]] std::uint32_t plan_lanes(std::uint64_t ring_bytes, std::uint32_t lanes_wanted,
                                       std::uint64_t page, LaneExtent* lanes) noexcept;

// ---- The engine's half --------------------------------------------------------------------------

// What was copied out of a ring's header once and found to make sense.
struct CheckedHeader {
  unsigned char uuid[16] = {};
  std::int64_t pid = 0;
  std::int64_t created_ns = 0;
  std::uint32_t owner_uid = 0;
  std::uint32_t lane_count = 0;
  std::uint64_t ring_bytes = 0;
  LaneExtent lanes[kLanesMax] = {};
  char process[kProcessNameBytes] = {};  // printable, zero-terminated
};

enum class RingOpen : std::uint8_t {
  kOpened,
  kLater,    // no permission, no descriptor, vanished: may succeed another time
  kHostile,  // not a ring that a correct writer of our layout version has made
};

// Maps the ring `name` once, unmirrored. `reason` says what was wrong.
[[nodiscard]] RingOpen open_ring(int directory, const std::string& name, bool is_writable,
                                 GuardedMapping& mapping, CheckedHeader& header,
                                 std::string& reason);

// The checks of open_ring() on a header alone: pure, for tests and the fuzzer. Null if it is sound.
[[nodiscard]] const char* check_header(const RingHeader& copy, std::uint64_t file_bytes,
                                       CheckedHeader& checked) noexcept;

[[nodiscard]] std::string ring_name(const unsigned char (&uuid)[16]);

}  // namespace sidecast::shm
