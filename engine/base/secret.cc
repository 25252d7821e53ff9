#include "engine/base/secret.h"

namespace sidecast {

Result<Secret> Secret::open() const {
  if (!is_sealed()) return *this;
  auto opened = keys_->open(sealed_);
  if (!opened) return fail(opened.error());
  return Secret(std::move(*opened));
}

Result<Secrets> open_secrets(const Secrets& secrets) {
  Secrets opened;
  for (const auto& [name, secret] : secrets) {
    auto plain = secret.open();
    if (!plain) return fail(name + ": " + plain.error().message());
    opened.emplace(name, std::move(*plain));
  }
  return opened;
}

}  // namespace sidecast
