#include "engine/base/secret.h"

#include <sodium.h>

namespace sidecast {

Secret::Secret(std::string value) : value_(std::move(value)) {}

Secret::~Secret() {
  // sodium_memzero: a plain memset before a free is removed by the optimiser.
  if (!value_.empty()) sodium_memzero(value_.data(), value_.size());
}

}  // namespace sidecast
