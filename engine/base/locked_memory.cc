#include "engine/base/locked_memory.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <new>

#include <sodium.h>
#include <sys/mman.h>

namespace sidecast {
namespace {

constexpr std::array<std::size_t, 4> kSlotBytes = {64, 256, 1024, 4096};
constexpr std::size_t kChunkBytes = 64U << 10U;
constexpr std::size_t kPageBytes = 4096;

std::atomic<std::size_t> unlocked_pages{0};

char* map_locked(std::size_t size) {
  void* const memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  // Advice that an old kernel does not know changes nothing else.
  static_cast<void>(::madvise(memory, size, MADV_DONTDUMP));
  static_cast<void>(::madvise(memory, size, MADV_WIPEONFORK));
  if (::mlock(memory, size) != 0) {
    // relaxed: a figure.
    unlocked_pages.fetch_add(size / kPageBytes, std::memory_order_relaxed);
  }
  return static_cast<char*>(memory);
}

std::size_t whole_pages(std::size_t size) {
  return (size + kPageBytes - 1) / kPageBytes * kPageBytes;
}

// Slots of a few sizes, each kept on a list of its own when it is free. Chunks are never given
// back: secrets come and go with requests and stay few.
class Pool {
 public:
  char* take(std::size_t size) {
    const auto slot = std::lower_bound(kSlotBytes.begin(), kSlotBytes.end(), size);
    if (slot == kSlotBytes.end()) return map_locked(whole_pages(size));
    const std::scoped_lock lock(mutex_);
    Free*& first = free_.at(static_cast<std::size_t>(slot - kSlotBytes.begin()));
    if (first == nullptr) refill(first, *slot);
    Free* const taken = first;
    first = taken->next;
    std::memset(taken, 0, sizeof *taken);
    return reinterpret_cast<char*>(taken);  // the slot's bytes; the list's link was wiped
  }

  void give_back(char* data, std::size_t size) noexcept {
    sodium_memzero(data, size);
    const auto slot = std::lower_bound(kSlotBytes.begin(), kSlotBytes.end(), size);
    if (slot == kSlotBytes.end()) {
      ::munmap(data, whole_pages(size));
      return;
    }
    const std::scoped_lock lock(mutex_);
    Free*& first = free_.at(static_cast<std::size_t>(slot - kSlotBytes.begin()));
    first = new (data) Free{first};
  }

 private:
  struct Free {
    Free* next;
  };

  static void refill(Free*& first, std::size_t slot_bytes) {
    char* const chunk = map_locked(kChunkBytes);
    for (std::size_t offset = 0; offset < kChunkBytes; offset += slot_bytes) {
      first = new (chunk + offset) Free{first};
    }
  }

  std::mutex mutex_;
  std::array<Free*, kSlotBytes.size()> free_{};
};

// Never destroyed: secrets with static storage may outlive any order.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

}  // namespace

LockedBytes::LockedBytes(std::size_t size)
    : data_(size == 0 ? nullptr : pool().take(size)), size_(size) {}

LockedBytes::LockedBytes(std::string_view bytes) : LockedBytes(bytes.size()) {
  if (data_ != nullptr) std::memcpy(data_, bytes.data(), bytes.size());
}

LockedBytes& LockedBytes::operator=(const LockedBytes& other) {
  if (this != &other) *this = LockedBytes(other);
  return *this;
}

LockedBytes& LockedBytes::operator=(LockedBytes&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

LockedBytes::~LockedBytes() {
  if (data_ != nullptr) pool().give_back(data_, size_);
}

unsigned char* LockedBytes::bytes() noexcept {
  return reinterpret_cast<unsigned char*>(data_);  // bytes as libsodium has them
}

const unsigned char* LockedBytes::bytes() const noexcept {
  return reinterpret_cast<const unsigned char*>(data_);  // bytes as libsodium has them
}

bool are_equal_secrets(std::string_view one, std::string_view two) noexcept {
  return one.size() == two.size() && sodium_memcmp(one.data(), two.data(), one.size()) == 0;
}

void wipe(char* data, std::size_t size) noexcept {
  // sodium_memzero: a plain memset before a free is removed by the optimiser.
  if (size > 0) sodium_memzero(data, size);
}

std::size_t unlocked_secret_pages() noexcept {
  // relaxed: a figure.
  return unlocked_pages.load(std::memory_order_relaxed);
}

}  // namespace sidecast
