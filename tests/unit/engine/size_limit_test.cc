#include "engine/deliver/size_limit.h"

#include <gtest/gtest.h>

namespace sidecast {
namespace {

constexpr Timestamp kNow = Timestamp(std::chrono::hours(500'000));
constexpr std::uint64_t kMiB = 1U << 20U;

TEST(SizeLimit, RefusedRecordIsShrunkToWhatWasTakenBefore) {
  SizeLimit limit;
  limit.accepted(3 * kMiB);
  EXPECT_TRUE(limit.learn_record(10 * kMiB, kNow));
  EXPECT_FALSE(limit.learn_record(20 * kMiB, kNow)) << "known already";
  const auto first = limit.shrinking_after({}, 10 * kMiB);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->attempt, 1U);
  EXPECT_EQ(first->bytes_max, 3 * kMiB);
}

TEST(SizeLimit, LittleThatWasTakenBeforeIsNoReasonToCutTooMuch) {
  SizeLimit limit;
  limit.accepted(2000);
  const auto first = limit.shrinking_after({}, 20 * kMiB);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->bytes_max, 5 * kMiB);
  const auto second = limit.shrinking_after(*first, 5 * kMiB);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->bytes_max, 5 * kMiB / 4);
}

TEST(SizeLimit, ShrinkingEndsAfterAFewAttempts) {
  const SizeLimit limit;
  Shrinking last;
  for (std::uint32_t attempt = 1; attempt <= SizeLimit::kAttemptsMax; ++attempt) {
    const auto next = limit.shrinking_after(last, 1024 * kMiB);
    ASSERT_TRUE(next);
    EXPECT_LT(next->bytes_max, last.attempt == 0 ? 1024 * kMiB : last.bytes_max);
    last = *next;
  }
  EXPECT_FALSE(limit.shrinking_after(last, 1024 * kMiB));
  EXPECT_FALSE(limit.shrinking_after({}, SizeLimit::kShrinkBytesMin - 1)) << "small already";
}

TEST(SizeLimit, LaterRecordsOfARefusedSizeAreKnownToBeRefused) {
  SizeLimit limit;
  static_cast<void>(limit.learn_record(5 * kMiB, kNow));
  EXPECT_TRUE(limit.refuses_record(5 * kMiB));
  EXPECT_FALSE(limit.refuses_record(5 * kMiB - 1));
  limit.accepted(6 * kMiB);
  EXPECT_FALSE(limit.refuses_record(7 * kMiB)) << "it takes them after all";
}

TEST(SizeLimit, WhatWasLearntIsRaisedOnceAnHourAndForgottenAtLast) {
  SizeLimit limit;
  EXPECT_TRUE(limit.learn_batch(4 * kMiB, kNow));
  EXPECT_FALSE(limit.learn_batch(5 * kMiB, kNow)) << "not less than is known";
  EXPECT_FALSE(limit.raise_if_due(kNow + std::chrono::minutes(59)));
  EXPECT_TRUE(limit.raise_if_due(kNow + std::chrono::minutes(60)));
  EXPECT_EQ(limit.batch_bytes_max(), 8 * kMiB);
  EXPECT_FALSE(limit.raise_if_due(kNow + std::chrono::minutes(61)));
  Timestamp now = kNow;
  for (int hours = 2; hours < 10; ++hours) {
    static_cast<void>(limit.raise_if_due(kNow + std::chrono::hours(hours)));
  }
  EXPECT_EQ(limit.batch_bytes_max(), SizeLimit::kNone);
  EXPECT_FALSE(limit.raise_if_due(now + std::chrono::hours(20))) << "nothing is left to raise";
}

TEST(SizeLimit, ClockThatWasSetBackHoldsNoLimit) {
  SizeLimit limit({.batch_bytes_max = kMiB, .learnt = kNow});
  EXPECT_TRUE(limit.raise_if_due(kNow - std::chrono::hours(24)));
}

}  // namespace
}  // namespace sidecast
