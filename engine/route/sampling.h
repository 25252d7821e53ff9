// Sampling by session: the whole session id (else the trace id) is hashed, so that a session is
// kept or dropped as a whole, and with equal salts a lower rate keeps a subset of what a higher one
// keeps, whichever destinations they belong to.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/model/ids.h"

namespace sidecast {

class Sampling {
 public:
  // 0 < rate <= 1; 1 keeps all. A salt decorrelates this rate from those without it.
  Sampling(double rate, Text salt) noexcept;

  [[nodiscard]] bool keeps_all() const noexcept { return keeps_all_; }
  [[nodiscard]] bool keeps(Text session_id, const TraceId& trace_id) const noexcept;

 private:
  std::uint64_t threshold_;  // hashes below it are kept
  std::uint64_t seed_;
  bool keeps_all_;
};

}  // namespace sidecast
