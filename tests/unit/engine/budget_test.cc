// However small memory_limit is, every worker has segments to write to.
#include "engine/budget.h"

#include <gtest/gtest.h>

namespace sidecast {
namespace {

constexpr std::uint64_t kMiB = 1U << 20U;

TEST(Budget, StageHoldsSeveralSegmentsOfEachWorker) {
  for (const std::uint64_t limit : {16 * kMiB, 32 * kMiB, 64 * kMiB, 512 * kMiB, 4096 * kMiB}) {
    for (const std::size_t wanted : {1U, 2U, 4U, 8U}) {
      const Budget budget = make_budget(limit, wanted);
      EXPECT_GE(budget.workers, 1U);
      EXPECT_LE(budget.workers, wanted);
      EXPECT_GE(budget.stage_bytes, 3 * budget.workers * budget.segment_bytes) << limit;
      EXPECT_GE(budget.segment_bytes, kMiB);
      EXPECT_EQ(budget.segment_bytes % 4096, 0U);
      EXPECT_LE(budget.stage_bytes + budget.body_bytes, limit);
    }
  }
}

TEST(Budget, LittleMemoryMeansFewerWorkers) {
  EXPECT_EQ(make_budget(16 * kMiB, 8).workers, 2U);
  EXPECT_EQ(make_budget(512 * kMiB, 8).workers, 8U);
  EXPECT_EQ(make_budget(512 * kMiB, 8).segment_bytes, 4 * kMiB);
}

}  // namespace
}  // namespace sidecast
