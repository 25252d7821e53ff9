// Why there is no ring, or only a smaller one: a text of bounded size that is built without
// allocating, because it may be built inside a write (see Writer::recover).
#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace sidecast::shm {

class Reason {
 public:
  [[gnu::format(printf, 2, 3)]] void set(const char* format, ...) noexcept {
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text_, sizeof text_, format, arguments);
    va_end(arguments);
  }
  void clear() noexcept { text_[0] = '\0'; }
  [[nodiscard]] const char* text() const noexcept { return text_; }

  // A short name for the usual errno values; strerror() may allocate and is not thread-safe.
  [[nodiscard]] static const char* error_name(int error_number) noexcept {
    const char* const text = strerrordesc_np(error_number);
    return text != nullptr ? text : "unknown error";
  }

 private:
  char text_[160] = {};
};

}  // namespace sidecast::shm
