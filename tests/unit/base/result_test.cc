#include "engine/base/result.h"

#include <gtest/gtest.h>

namespace sidecast {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return fail("half of " + std::to_string(number) + " is no integer");
  return number / 2;
}

Status check(int number) {
  const Result<int> result = half(number);
  if (!result) return fail(Error(result.error()).with("check"));
  return {};
}

TEST(Result, HoldsTheValueOrTheError) {
  EXPECT_EQ(half(4).value(), 2);
  EXPECT_FALSE(half(3).has_value());
}

TEST(Result, ContextIsPutInFront) {
  EXPECT_TRUE(check(2).has_value());
  EXPECT_EQ(check(3).error().message(), "check: half of 3 is no integer");
}

}  // namespace
}  // namespace sidecast
