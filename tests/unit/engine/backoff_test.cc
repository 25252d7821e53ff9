// Backoff: exponential, bounded, jittered upwards only, and never shorter than the server asked
// for.
#include "engine/deliver/backoff.h"

#include <gtest/gtest.h>

namespace sidecast {
namespace {

using std::chrono::milliseconds;

constexpr BackoffLimits kLimits{
    .first = milliseconds(1000), .max = milliseconds(10'000), .factor = 2, .jitter = 0.5};

TEST(Backoff, GrowsByItsFactorUpToItsMaximum) {
  EXPECT_EQ(backoff_delay(kLimits, 1, 0, {}), milliseconds(1000));
  EXPECT_EQ(backoff_delay(kLimits, 2, 0, {}), milliseconds(2000));
  EXPECT_EQ(backoff_delay(kLimits, 4, 0, {}), milliseconds(8000));
  EXPECT_EQ(backoff_delay(kLimits, 5, 0, {}), milliseconds(10'000));
  EXPECT_EQ(backoff_delay(kLimits, 4'000'000'000U, 0, {}), milliseconds(10'000));
}

TEST(Backoff, JitterOnlyLengthens) {
  EXPECT_EQ(backoff_delay(kLimits, 1, 0.999, {}), milliseconds(1499));
}

TEST(Backoff, HintOfTheServerWinsWhenItIsLonger) {
  EXPECT_EQ(backoff_delay(kLimits, 1, 0, milliseconds(3'120'000)), milliseconds(3'120'000));
  EXPECT_EQ(backoff_delay(kLimits, 4, 0, milliseconds(5)), milliseconds(8000));
}

}  // namespace
}  // namespace sidecast
