// Memory for secrets: not swapped, not in core dumps, not in forked children, wiped when it is
// given back. Small pieces share pages, since a page and a system call each would cost too much.
//
// Locking is best effort: where RLIMIT_MEMLOCK does not allow it the memory may be swapped, and all
// else still holds.
// Threads: any.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

namespace sidecast {

class LockedBytes {
 public:
  LockedBytes() = default;
  // Throws std::bad_alloc.
  explicit LockedBytes(std::size_t size);
  explicit LockedBytes(std::string_view bytes);
  LockedBytes(const LockedBytes& other) : LockedBytes(other.view()) {}
  LockedBytes& operator=(const LockedBytes& other);
  LockedBytes(LockedBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  LockedBytes& operator=(LockedBytes&& other) noexcept;
  ~LockedBytes();

  [[nodiscard]] char* data() noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::string_view view() const noexcept { return {data_, size_}; }
  [[nodiscard]] unsigned char* bytes() noexcept;
  [[nodiscard]] const unsigned char* bytes() const noexcept;

 private:
  char* data_ = nullptr;
  std::size_t size_ = 0;
};

// In time that does not tell where they differ.
[[nodiscard]] bool are_equal_secrets(std::string_view one, std::string_view two) noexcept;
// A secret that had to lie in ordinary memory.
void wipe(char* data, std::size_t size) noexcept;

// Pages of secrets that the system did not let us lock.
[[nodiscard]] std::size_t unlocked_secret_pages() noexcept;

}  // namespace sidecast
