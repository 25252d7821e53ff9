// The memory of one record's understanding: a Trace, its messages, and the attributes made of it
// live here and die together with reset(). One arena per worker; not thread-safe.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <vector>

#include "engine/base/bytes.h"

namespace sidecast {

class Arena {
 public:
  // initial_bytes are kept over resets; what a large record needs beyond them is given back.
  explicit Arena(std::size_t initial_bytes = 256U * 1024U)
      : block_(new std::byte[initial_bytes]), resource_(block_.get(), initial_bytes) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  [[nodiscard]] std::pmr::memory_resource* resource() noexcept { return &resource_; }

  [[nodiscard]] char* allocate(std::size_t size) {
    return static_cast<char*>(resource_.allocate(size, 1));
  }
  [[nodiscard]] Text copy(Text text) {
    if (text.empty()) return {};
    char* const to = allocate(text.size());
    std::memcpy(to, text.data(), text.size());
    return {to, text.size()};
  }
  void reset() noexcept { resource_.release(); }

 private:
  std::unique_ptr<std::byte[]> block_;
  std::pmr::monotonic_buffer_resource resource_;
};

template <typename T>
using ArenaVector = std::pmr::vector<T>;

}  // namespace sidecast
