#include "engine/route/sampling.h"

#include <cmath>

#include <xxhash.h>

#include "engine/base/assert.h"

namespace sidecast {
namespace {

// rate * 2^64. Exact, since only the exponent changes, and below 2^64 for every double below 1.
std::uint64_t threshold_of(double rate) noexcept {
  return rate < 1.0 ? static_cast<std::uint64_t>(std::ldexp(rate, 64)) : 0;
}

}  // namespace

Sampling::Sampling(double rate, Text salt) noexcept
    : threshold_(threshold_of(rate)),
      seed_(salt.empty() ? 0 : XXH3_64bits(salt.data(), salt.size())),
      keeps_all_(rate >= 1.0) {
  SIDECAST_ASSERT(rate > 0);
  SIDECAST_ASSERT(rate <= 1);
}

bool Sampling::keeps(Text session_id, const TraceId& trace_id) const noexcept {
  if (keeps_all_) return true;
  const Bytes id = session_id.empty() ? trace_id.view() : session_id;
  return XXH3_64bits_withSeed(id.data(), id.size(), seed_) < threshold_;
}

}  // namespace sidecast
