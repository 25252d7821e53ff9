#include "tools/receiver/misbehave.h"

#include <gtest/gtest.h>

namespace sidecast::receiver {
namespace {

using std::chrono::milliseconds;

std::vector<Rule> rules_of(std::string_view spec) {
  auto rules = parse_misbehaviour(spec);
  EXPECT_TRUE(rules) << spec << ": " << rules.error().message();
  return rules ? *rules : std::vector<Rule>{};
}

TEST(Misbehave, ReadsAWholeRule) {
  const auto rules = rules_of(
      "status=503:retry-after=2:count=5:after=1:p=0.25:path=/v1:larger-than=2KiB:containing=abc");
  ASSERT_EQ(rules.size(), 1U);
  const Rule& rule = rules[0];
  EXPECT_EQ(rule.action, Rule::Action::kStatus);
  EXPECT_EQ(rule.status, 503);
  EXPECT_EQ(rule.retry_after, Rule::RetryAfter::kSeconds);
  EXPECT_EQ(rule.retry_after_delay.count(), 2);
  EXPECT_EQ(rule.count, 5U);
  EXPECT_EQ(rule.after, 1U);
  EXPECT_EQ(rule.probability, 0.25);
  EXPECT_EQ(rule.path_prefix, "/v1");
  EXPECT_EQ(rule.larger_than_bytes, 2048U);
  EXPECT_EQ(rule.containing, "abc");
}

TEST(Misbehave, ReadsEveryActionInOrder) {
  const auto rules =
      rules_of("delay=1500ms,delay=2s,partial=3,reset,lose-answer,status=429:retry-after-date=9");
  ASSERT_EQ(rules.size(), 6U);
  EXPECT_EQ(rules[0].delay, milliseconds(1500));
  EXPECT_EQ(rules[1].delay, milliseconds(2000));
  EXPECT_EQ(rules[2].rejected_spans, 3U);
  EXPECT_EQ(rules[3].action, Rule::Action::kReset);
  EXPECT_EQ(rules[4].action, Rule::Action::kLoseAnswer);
  EXPECT_EQ(rules[5].retry_after, Rule::RetryAfter::kDate);
}

TEST(Misbehave, WrongSpecsSayWhatIsWrong) {
  const auto error_of = [](std::string_view spec) {
    const auto rules = parse_misbehaviour(spec);
    return rules ? std::string("accepted") : rules.error().message();
  };
  for (const char* spec :
       {"", "nonsense", "status", "status=abc", "status=99", "status=600", "delay=5", "delay=5m",
        "partial=-1", "reset=1", "reset:count=", "reset:p=2", "reset:p=nan", "reset:retry-after=1",
        "reset:larger-than=5GB", "reset:sometimes", "reset,,reset", "reset:path="}) {
    EXPECT_NE(error_of(spec), "accepted") << spec;
  }
  EXPECT_EQ(error_of("reset,delay=5m"), "'delay=5m': a delay reads like 200ms or 2s");
}

TEST(Misbehave, CountAndAfterChooseTheRequests) {
  Misbehaviour misbehaviour(rules_of("reset:after=2:count=2"), 1);
  std::string fates;
  for (int i = 0; i < 6; ++i) fates += misbehaviour.decide("/", "").rule ? 'x' : '.';
  EXPECT_EQ(fates, "..xx..");
}

TEST(Misbehave, OnlyMatchingRequestsCount) {
  Misbehaviour misbehaviour(rules_of("status=500:path=/a:containing=guilty:larger-than=8:count=1"),
                            1);
  EXPECT_FALSE(misbehaviour.decide("/b", "the guilty one").rule);
  EXPECT_FALSE(misbehaviour.decide("/a", "the innocent one").rule);
  EXPECT_FALSE(misbehaviour.decide("/a", "guilty").rule) << "6 bytes are not more than 8";
  EXPECT_TRUE(misbehaviour.decide("/a/b", "the guilty one").rule);
  EXPECT_FALSE(misbehaviour.decide("/a/b", "the guilty one").rule);
}

TEST(Misbehave, DelaysAddUpOnTheWayToTheDecision) {
  Misbehaviour misbehaviour(rules_of("delay=5ms,delay=10ms:count=1,status=503,delay=1s"), 1);
  const Conduct first = misbehaviour.decide("/", "");
  EXPECT_EQ(first.delay, milliseconds(15));
  ASSERT_TRUE(first.rule);
  EXPECT_EQ(first.rule->status, 503);
  EXPECT_EQ(misbehaviour.decide("/", "").delay, milliseconds(5));
}

TEST(Misbehave, DiceRepeatWithTheSeed) {
  const auto run = [](std::uint64_t seed) {
    Misbehaviour misbehaviour(rules_of("reset:p=0.5"), seed);
    std::string fates;
    for (int i = 0; i < 200; ++i) fates += misbehaviour.decide("/", "").rule ? 'x' : '.';
    return fates;
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
  const std::string fates = run(7);
  const auto hits = std::count(fates.begin(), fates.end(), 'x');
  EXPECT_GT(hits, 60);
  EXPECT_LT(hits, 140);
}

}  // namespace
}  // namespace sidecast::receiver
