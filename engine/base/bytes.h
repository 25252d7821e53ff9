// Bytes and text: the two views everything passes around, and the growing buffer encoders write to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace sidecast {

using Text = std::string_view;   // UTF-8 unless its field says otherwise; never owns
using Bytes = std::string_view;  // any octets; never owns

// A buffer that grows without zero-filling, for encoders: reused from record to record, so that
// after a few records nothing allocates. Not thread-safe; one per worker.
class ByteBuffer {
 public:
  ByteBuffer() = default;
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;
  ByteBuffer(ByteBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~ByteBuffer() { std::free(data_); }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] char* data() noexcept { return data_; }
  [[nodiscard]] Bytes view() const noexcept { return {data_, size_}; }
  void clear() noexcept { size_ = 0; }
  void truncate(std::size_t size) noexcept { size_ = size < size_ ? size : size_; }

  // Room for `count` more bytes; the pointer is valid until the next call. Follow with advance().
  char* reserve(std::size_t count) {
    if (capacity_ - size_ < count) grow(count);
    return data_ + size_;
  }
  void advance(std::size_t count) noexcept { size_ += count; }

  void append(Bytes bytes) {
    if (bytes.empty()) return;
    std::memcpy(reserve(bytes.size()), bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  void push_back(char byte) {
    *reserve(1) = byte;
    ++size_;
  }
  // Gives memory above `keep` back, so that one huge record does not stay resident for ever.
  void shrink(std::size_t keep) noexcept {
    if (capacity_ <= keep) return;
    std::free(data_);
    data_ = nullptr;
    size_ = capacity_ = 0;
  }

 private:
  void grow(std::size_t count) {
    std::size_t wanted = capacity_ * 2 > size_ + count ? capacity_ * 2 : size_ + count;
    if (wanted < 4096) wanted = 4096;
    void* grown = std::realloc(data_, wanted);
    if (grown == nullptr) throw std::bad_alloc();
    data_ = static_cast<char*>(grown);
    capacity_ = wanted;
  }

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

// Lower-case hex, as OTLP JSON and every log line show ids.
[[nodiscard]] std::string to_hex(Bytes bytes);

}  // namespace sidecast
