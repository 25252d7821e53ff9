// Result<T>: the value, or an Error that says what was tried, on what, what came back and what the
// user can do. For operations that can fail (open, parse, connect). Expected outcomes (lane full,
// 429) are enums, never Errors: see STYLE "Errors".
#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace sidecast {

class Error {
 public:
  explicit Error(std::string message) : message_(std::move(message)) {}

  // Prepends what the caller was doing: Error("no such file").with("open ring 7f3a") reads
  // "open ring 7f3a: no such file".
  [[nodiscard]] Error with(std::string_view context) && {
    message_.insert(0, ": ");
    message_.insert(0, context);
    return std::move(*this);
  }

  [[nodiscard]] const std::string& message() const noexcept { return message_; }

 private:
  std::string message_;
};

// g++ 12 has std::expected only in C++23 mode and clang 14 not at all; later this becomes an alias.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

[[nodiscard]] inline tl::unexpected<Error> fail(std::string message) {
  return tl::unexpected<Error>(Error(std::move(message)));
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace sidecast
