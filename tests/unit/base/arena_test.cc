#include "engine/base/arena.h"

#include <gtest/gtest.h>

namespace sidecast {
namespace {

TEST(Arena, CopiesOutliveTheirSource) {
  Arena arena;
  std::string source = "text";
  const Text copy = arena.copy(source);
  source.assign("gone");
  EXPECT_EQ(copy, "text");
  EXPECT_NE(copy.data(), source.data());
}

TEST(Arena, NothingIsCopiedForAnEmptyText) {
  EXPECT_TRUE(Arena().copy({}).empty());
}

TEST(Arena, GrowsBeyondItsFirstBlockAndStartsOverAfterReset) {
  Arena arena(1024);
  const char* const first = arena.allocate(16);
  const std::string large(100'000, 'x');
  EXPECT_EQ(arena.copy(large), large);
  arena.reset();
  EXPECT_EQ(arena.allocate(16), first) << "the first block is used again";
}

TEST(Arena, VectorsInItKeepTheirElements) {
  Arena arena(64);
  ArenaVector<int> numbers(arena.resource());
  for (int i = 0; i < 1000; ++i) numbers.push_back(i);
  EXPECT_EQ(numbers.size(), 1000U);
  EXPECT_EQ(numbers[999], 999);
}

}  // namespace
}  // namespace sidecast
