// A secret: a value that must never be printed. It formats as ***; only authorise() reveals it.
//
// One that was given in plain text lies in locked memory. One that stands sealed in the config
// stays sealed: open() gives the plain one, which lives as long as a request is being authorised.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "engine/base/locked_memory.h"
#include "engine/base/result.h"
#include "engine/base/seal.h"

namespace sidecast {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view value) : value_(value) {}
  explicit Secret(LockedBytes value) : value_(std::move(value)) {}
  // `keys` has opened it once: it is whole, and they are the right ones.
  Secret(std::string sealed, std::shared_ptr<const SealKeys> keys)
      : sealed_(std::move(sealed)), keys_(std::move(keys)) {}

  // Call this only while a request is being authorised. Empty while it is sealed.
  [[nodiscard]] std::string_view reveal() const noexcept { return value_.view(); }
  [[nodiscard]] bool empty() const noexcept { return value_.size() == 0 && sealed_.empty(); }
  [[nodiscard]] bool is_sealed() const noexcept { return !sealed_.empty(); }
  // A plain copy.
  [[nodiscard]] Result<Secret> open() const;

  // Whether both are the same secret, as far as can be told without opening one.
  friend bool operator==(const Secret& one, const Secret& two) noexcept {
    return one.sealed_ == two.sealed_ && are_equal_secrets(one.reveal(), two.reveal());
  }

 private:
  LockedBytes value_;
  std::string sealed_;
  std::shared_ptr<const SealKeys> keys_;
};

using Secrets = std::map<std::string, Secret, std::less<>>;

// All of them in plain. An Error names the one that could not be opened.
[[nodiscard]] Result<Secrets> open_secrets(const Secrets& secrets);

}  // namespace sidecast

template <>
struct fmt::formatter<sidecast::Secret> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(const sidecast::Secret&, Context& context) const {
    return fmt::formatter<std::string_view>::format("***", context);
  }
};
