// The writer of one gateway process: which lane, shed or drop, fork, counters. abi.cc puts the C
// functions before it.
//
// Threads: any member but the destructor, from any thread, any number at once, also from a signal
// handler.
// On an open ring a write makes no system call, no allocation and never waits: every loop here is
// bounded by the number of lanes. See WriterSystemCalls.NoneOnAnOpenRing.
//
// Fork: everything a child must not inherit hangs off one page that the kernel wipes in the child
// (MADV_WIPEONFORK), the pointer to the ring first of all. So the one load that a write needs to
// find its ring also tells whether the process is still the one that made it.
#pragma once

#include <atomic>
#include <cstdint>

#include "shm/encode.h"
#include "shm/include/sidecast.h"
#include "shm/lane.h"
#include "shm/reason.h"
#include "shm/ring_file.h"

namespace sidecast::shm {

// Copies of what sidecast_options points to, with the environment's word where it counts.
struct WriterOptions {
  char directory[1024] = {};
  char process[kProcessNameBytes] = {};
  std::uint64_t ring_bytes = 0;  // 0: settings page, else default; so for the next two
  std::uint64_t record_bytes_max = 0;
  std::uint32_t lanes = 0;
  bool may_retry = true;  // a write may try to make a ring
  bool switched_off = false;
};

class Writer {
 public:
  // Null if there is no memory even for a disabled writer, or the kernel is too old to tell a fork.
  [[nodiscard]] static Writer* open(const WriterOptions& options) noexcept;
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  [[nodiscard]] sidecast_status write(const sidecast_generation& generation) noexcept;
  [[nodiscard]] sidecast_status write(const sidecast_span& span) noexcept;
  [[nodiscard]] sidecast_status refresh() noexcept;
  void read_counters(sidecast_counters& counters) noexcept;  // all but struct_size

 private:
  struct Ring;
  struct ForkPage;

  Writer(const WriterOptions& options, ForkPage* page) noexcept;
  template <typename Source>
  sidecast_status write_source(const Source& source) noexcept;
  [[nodiscard]] static std::uint32_t home_lane(const Ring& ring) noexcept;
  template <typename Source>
  sidecast_status write_to(Ring& ring, const Source& source, const Measure& measured) noexcept;

  [[nodiscard]] bool recover(bool is_asked_for) noexcept;
  [[nodiscard]] bool make_ring() noexcept;
  [[nodiscard]] bool retire(Ring& ring) noexcept;
  void forget_inherited_rings() noexcept;

  const WriterOptions options_;
  ForkPage* const page_;
  // The ring in use and, behind it, those that were retired: their lanes' locks may still be looked
  // at by late threads. Touched only under ForkPage::recovering.
  Ring* rings_ = nullptr;
  Reason reason_;  // as rings_
};

}  // namespace sidecast::shm
