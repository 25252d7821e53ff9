// A secret: a value that must never be printed. It formats as ***; only authorise() reveals it.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace sidecast {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value);
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  Secret(Secret&&) noexcept = default;
  Secret& operator=(Secret&&) noexcept = default;
  ~Secret();  // wipes the value

  // Call this only while a request is being authorised.
  [[nodiscard]] std::string_view reveal() const noexcept { return value_; }
  [[nodiscard]] bool empty() const noexcept { return value_.empty(); }
  bool operator==(const Secret&) const = default;

 private:
  std::string value_;
};

}  // namespace sidecast

template <>
struct fmt::formatter<sidecast::Secret> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(const sidecast::Secret&, Context& context) const {
    return fmt::formatter<std::string_view>::format("***", context);
  }
};
