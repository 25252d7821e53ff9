#include "shm/bus_guard.h"

#include <csignal>
#include <cstdint>

#include <sys/mman.h>

namespace sidecast::shm {
namespace {

// What this thread is touching. Engine and tools link us statically, so this needs no allocation.
thread_local GuardedMapping* touched = nullptr;

struct sigaction previous_action;

void on_bus_error(int signal, siginfo_t* details, void* context) {
  if (touched != nullptr && touched->cover(details->si_addr)) return;
  // Not ours: whoever was here before us decides, by default with the end of the process.
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(signal, details, context);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(signal);
  } else {
    // Back to the default: the access is repeated at return and ends the process with a true core.
    struct sigaction fallback = {};
    fallback.sa_handler = SIG_DFL;
    sigaction(SIGBUS, &fallback, nullptr);
  }
}

}  // namespace

GuardedMapping::~GuardedMapping() {
  if (base_ != nullptr) munmap(base_, size_bytes_);
}

void GuardedMapping::adopt(char* base, std::size_t size_bytes, bool is_writable) noexcept {
  base_ = base;
  size_bytes_ = size_bytes;
  is_writable_ = is_writable;
}

bool GuardedMapping::cover(const void* address) noexcept {
  // As integers: the address need not belong to any object.
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const auto first = reinterpret_cast<std::uintptr_t>(base_);
  if (at < first || at - first >= size_bytes_) return false;
  // release: pairs with gone(). Before the zeros appear, so that no thread takes them for the
  // ring's.
  gone_.store(true, std::memory_order_release);
  const int protection = is_writable_ ? PROT_READ | PROT_WRITE : PROT_READ;
  return mmap(base_, size_bytes_, protection,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

void install_bus_guard() noexcept {
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_sigaction = &on_bus_error;
    // NODEFER: a second fault inside a chained handler must not hang the thread.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, &previous_action) == 0;
  }();
  static_cast<void>(installed);
}

BusGuard::BusGuard(GuardedMapping& mapping) noexcept {
  touched = &mapping;
  // The compiler must not move an access to the mapping out of the guard.
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

BusGuard::~BusGuard() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  touched = nullptr;
}

}  // namespace sidecast::shm
