// Access to a mapping whose file somebody else may truncate at any time. Without a guard the first
// touch behind the new end is a SIGBUS that kills the process. Under a guard the signal handler
// puts zero pages over the whole mapping, marks it gone and lets the access go on; the zeros are
// what a hostile writer could have left there as well, so the caller checks them, and then gone().
//
// Engine and tools only: it owns the process's SIGBUS handler (passing on what is not ours), which
// nothing inside a gateway may do. Costs two thread-local stores, no system call.
#pragma once

#include <atomic>
#include <cstddef>

namespace sidecast::shm {

class GuardedMapping {
 public:
  GuardedMapping() = default;
  GuardedMapping(char* base, std::size_t size_bytes, bool is_writable) noexcept
      : base_(base), size_bytes_(size_bytes), is_writable_(is_writable) {}
  GuardedMapping(const GuardedMapping&) = delete;
  GuardedMapping& operator=(const GuardedMapping&) = delete;
  ~GuardedMapping();

  // Once, for a mapping made after construction. Takes ownership.
  void adopt(char* base, std::size_t size_bytes, bool is_writable) noexcept;

  [[nodiscard]] char* base() const noexcept { return base_; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }
  // acquire: pairs with the store in the handler, whichever thread ran it.
  [[nodiscard]] bool gone() const noexcept { return gone_.load(std::memory_order_acquire); }

  // From the signal handler: true if `address` was ours and now reads as zeros.
  [[nodiscard]] bool cover(const void* address) noexcept;

 private:
  char* base_ = nullptr;
  std::size_t size_bytes_ = 0;
  bool is_writable_ = false;
  std::atomic<bool> gone_{false};
};

// Installs the handler, once per process. Call before the first BusGuard.
void install_bus_guard() noexcept;

// While it lives, this thread may touch `mapping`. Guards do not nest.
class BusGuard {
 public:
  explicit BusGuard(GuardedMapping& mapping) noexcept;
  ~BusGuard();
  BusGuard(const BusGuard&) = delete;
  BusGuard& operator=(const BusGuard&) = delete;
};

}  // namespace sidecast::shm
