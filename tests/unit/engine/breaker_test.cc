// The breaker: one outage is one failure, a wait that was asked for is kept, and what comes back is
// let back in slowly.
#include "engine/deliver/breaker.h"

#include <vector>

#include <gtest/gtest.h>

namespace sidecast {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr BackoffLimits kLimits{
    .first = seconds(1), .max = seconds(10), .factor = 2, .jitter = 0.5};
const Instant kNow = Instant{} + std::chrono::hours(1);

// A breaker whose window has grown to `window`.
Breaker grown(std::size_t window) {
  Breaker breaker(window);
  for (std::size_t i = 1; i < window; ++i) {
    const Breaker::Round round = breaker.sent();
    breaker.ended();
    breaker.succeeded(round, kNow);
  }
  return breaker;
}

void fail(Breaker& breaker, Breaker::Round round, Instant now,
          std::optional<milliseconds> hint = {}) {
  breaker.ended();
  breaker.failed(round, kLimits, hint, now, 0);
}

void succeed(Breaker& breaker, Breaker::Round round, Instant now) {
  breaker.ended();
  breaker.succeeded(round, now);
}

// Sends what may be sent, and says how much that was.
std::size_t fill(Breaker& breaker, Instant now) {
  std::size_t count = 0;
  for (; breaker.may_send(now); ++count) breaker.sent();
  return count;
}

TEST(Window, GrowsOneTwoFourAndThenByOneARound) {
  Window window(16);
  std::vector<std::size_t> rounds;
  const auto answer_round = [&] {
    rounds.push_back(window.size());
    for (std::size_t i = 0, n = window.size(); i < n; ++i) window.grow();
  };
  for (int i = 0; i < 5; ++i) answer_round();
  EXPECT_EQ(rounds, (std::vector<std::size_t>{1, 2, 4, 8, 16}));
  EXPECT_EQ(window.size(), 16U) << "the bound";
  rounds.clear();
  window.collapse();
  for (int i = 0; i < 6; ++i) answer_round();
  EXPECT_EQ(rounds, (std::vector<std::size_t>{1, 2, 4, 8, 9, 10}));
}

TEST(Breaker, OneOutageCountsOnceHoweverManyRequestsAreOpen) {
  Breaker breaker = grown(4);
  ASSERT_EQ(fill(breaker, kNow), 4U);
  for (int i = 0; i < 4; ++i) fail(breaker, 0, kNow + milliseconds(i));
  EXPECT_EQ(breaker.failures(), 1U);
  EXPECT_EQ(breaker.not_before(), kNow + seconds(1));
}

TEST(Breaker, RetryAfterOutlivesTheSuccessOfAnOlderRequest) {
  Breaker breaker = grown(2);
  const Breaker::Round round = breaker.sent();
  breaker.sent();
  fail(breaker, round, kNow, seconds(3'120));
  succeed(breaker, round, kNow + seconds(1));
  EXPECT_FALSE(breaker.is_closed());
  EXPECT_FALSE(breaker.may_send(kNow + seconds(3'119)));
  EXPECT_TRUE(breaker.may_send(kNow + seconds(3'120)));
}

TEST(Breaker, LateRetryAfterIsKeptThoughItsFailureCountsNoMore) {
  Breaker breaker = grown(2);
  breaker.sent();
  breaker.sent();
  fail(breaker, 0, kNow);
  fail(breaker, 0, kNow + milliseconds(500), seconds(60));
  EXPECT_EQ(breaker.failures(), 1U);
  EXPECT_EQ(breaker.not_before(), kNow + milliseconds(60'500));
  // A shorter one does not shorten it.
  breaker.sent();
  fail(breaker, 0, kNow + milliseconds(600), seconds(1));
  EXPECT_EQ(breaker.not_before(), kNow + milliseconds(60'500));
}

TEST(Breaker, RetryAfterThatArrivesDuringAProbeOutlivesItsSuccess) {
  Breaker breaker = grown(2);
  breaker.sent();
  breaker.sent();
  fail(breaker, 0, kNow);
  fail(breaker, 0, kNow + seconds(1), seconds(60));
  const Breaker::Round probe = breaker.sent();
  succeed(breaker, probe, kNow + seconds(2));
  EXPECT_FALSE(breaker.is_closed());
  EXPECT_FALSE(breaker.may_send(kNow + seconds(60)));
}

TEST(Breaker, HalfOpenSendsOneRequestAtATime) {
  Breaker breaker = grown(4);
  fail(breaker, breaker.sent(), kNow);
  EXPECT_EQ(fill(breaker, kNow), 0U) << "open";
  EXPECT_EQ(fill(breaker, kNow + seconds(1)), 1U) << "half open";
  fail(breaker, breaker.round(), kNow + seconds(2));
  EXPECT_EQ(breaker.failures(), 2U);
  EXPECT_EQ(breaker.not_before(), kNow + seconds(4)) << "the delay grows";
  EXPECT_EQ(fill(breaker, kNow + seconds(4)), 1U);
}

TEST(Breaker, SlowStartFollowsRecovery) {
  Breaker breaker = grown(8);
  fail(breaker, breaker.sent(), kNow);
  std::vector<std::size_t> rounds;
  const Instant later = kNow + seconds(1);
  for (int i = 0; i < 4; ++i) {
    const std::size_t count = fill(breaker, later);
    rounds.push_back(count);
    for (std::size_t j = 0; j < count; ++j) succeed(breaker, breaker.round(), later);
  }
  EXPECT_EQ(rounds, (std::vector<std::size_t>{1, 2, 4, 5}));
  EXPECT_TRUE(breaker.is_closed());
  EXPECT_EQ(breaker.failures(), 0U);
}

TEST(Breaker, HurryShortensAWaitOfOurOwnToThatAfterAFirstFailure) {
  Breaker breaker = grown(2);
  Instant now = kNow;
  for (int i = 0; i < 4; ++i) {
    now = breaker.not_before() + seconds(1);
    fail(breaker, breaker.sent(), now);
  }
  ASSERT_EQ(breaker.not_before(), now + seconds(8));
  breaker.hurry();
  EXPECT_EQ(breaker.not_before(), now + seconds(1));
  breaker.hurry();
  EXPECT_EQ(breaker.not_before(), now + seconds(1)) << "it is no sooner for being asked again";
}

TEST(Breaker, HurryLeavesAloneWhatTheServerAskedFor) {
  Breaker breaker = grown(2);
  breaker.sent();
  fail(breaker, breaker.sent(), kNow, seconds(3'120));
  breaker.hurry();
  EXPECT_EQ(breaker.not_before(), kNow + seconds(3'120));
  // Nor does a shorter wish of a request that was sent before shorten it.
  fail(breaker, 0, kNow + seconds(1), seconds(5));
  breaker.hurry();
  EXPECT_EQ(breaker.not_before(), kNow + seconds(3'120));
}

TEST(RetryBudget, HalfOfTheRequestsMayBeRetries) {
  RetryBudget budget;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(budget.spend(kNow), kNow);
    budget.answered();
  }
}

// Two in three fail, a second apart: over ten minutes no more than the answers, the reserve and one
// in ten seconds are retries.
TEST(RetryBudget, MoreHaveToWait) {
  RetryBudget budget;
  Instant now = kNow;
  int retries = 0;
  int answers = 0;
  while (now < kNow + std::chrono::minutes(10)) {
    for (int i = 0; i < 2; ++i) {
      now = std::max(now + seconds(1), budget.spend(now));
      ++retries;
    }
    budget.answered();
    ++answers;
  }
  EXPECT_LE(retries, answers + 10 + 60 + 1);
  EXPECT_GE(retries, answers + 10 + 60 - 10) << "but not less";
}

TEST(Breaker, SpentBudgetOutlastsTheBackoff) {
  Breaker breaker = grown(2);
  // One in three is taken, at the very moment that it may be sent: the backoff never grows.
  Instant now = kNow;
  milliseconds longest{0};
  for (int i = 0; i < 60; ++i) {
    for (int j = 0; j < 2; ++j) {
      fail(breaker, breaker.sent(), now);
      longest = std::max(longest, std::chrono::ceil<milliseconds>(breaker.not_before() - now));
      now = breaker.not_before();
    }
    succeed(breaker, breaker.sent(), now);
  }
  EXPECT_GT(longest, seconds(3)) << "the longest backoff after two failures is two seconds";
  EXPECT_LE(longest, RetryBudget::kEarnedAfter) << "but it never starves";
}

}  // namespace
}  // namespace sidecast
