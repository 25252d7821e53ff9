// Who may be sent to when there are more who want it than connections.
#include "exporters/http/gate.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sidecast {
namespace {

constexpr Standing kProven{};
constexpr Standing trial(std::uint32_t failures) {
  return {.is_proven = false, .failures = failures};
}

std::vector<std::string> started(Gate<std::string>& gate) {
  std::vector<std::string> names;
  while (auto next = gate.next()) names.push_back(std::move(next->waiting));
  return names;
}

TEST(Gate, TrialsUseHalfAndLeaveTheRestToTheProven) {
  Gate<std::string> gate(16);
  for (int i = 0; i < 100; ++i) gate.add(trial(3), "hanging");
  EXPECT_EQ(started(gate).size(), 8U);
  for (int i = 0; i < 100; ++i) gate.add(kProven, "healthy");
  EXPECT_EQ(started(gate), std::vector<std::string>(8, "healthy"));
  for (int i = 0; i < 1000; ++i) {  // as long as these answer, nothing that hangs is in their way
    gate.ended(true);
    ASSERT_EQ(started(gate), std::vector<std::string>{"healthy"});
    gate.add(kProven, "healthy");
  }
}

TEST(Gate, TheProvenLeaveSomeForTrials) {
  Gate<std::string> gate(16);
  for (int i = 0; i < 100; ++i) gate.add(kProven, "healthy");
  gate.add(trial(0), "new");
  const auto first = started(gate);
  EXPECT_EQ(first.size(), 15U);
  EXPECT_EQ(first.back(), "new");
}

TEST(Gate, WhoFailedLessOftenGoesFirst) {
  Gate<std::string> gate(2);
  gate.add(trial(7), "seven");
  EXPECT_EQ(started(gate), std::vector<std::string>{"seven"});
  gate.add(trial(7), "seven again");
  gate.add(trial(1), "one");
  gate.add(trial(0), "new");
  gate.add(trial(0), "new as well");
  for (const char* expected : {"new", "new as well", "one", "seven again"}) {
    gate.ended(false);
    EXPECT_EQ(started(gate), std::vector<std::string>{expected});
  }
  EXPECT_EQ(gate.waiting(), 0U);
}

TEST(Gate, WhoIsNewDisplacesWhoFailedAndAtAStartWhoeverHadItsChance) {
  Gate<std::string> gate(2);
  EXPECT_FALSE(gate.may_displace(0)) << "nobody waits";
  gate.add(trial(2), "failed twice");
  EXPECT_FALSE(gate.may_displace(0));
  EXPECT_FALSE(gate.may_displace(2)) << "a slow server has its whole timeout";
  EXPECT_TRUE(gate.may_displace(3));
  gate.add(trial(0), "new");
  EXPECT_TRUE(gate.may_displace(0));
  EXPECT_TRUE(gate.may_displace(1));
}

TEST(Gate, OneConnectionServesBoth) {
  Gate<std::string> gate(1);
  gate.add(trial(9), "trial");
  gate.add(kProven, "proven");
  EXPECT_EQ(started(gate), std::vector<std::string>{"proven"});
  gate.ended(true);
  EXPECT_EQ(started(gate), std::vector<std::string>{"trial"});
}

TEST(Gate, NeverMoreAreOpenThanThereMayBeAndNobodyIsForgotten) {
  std::mt19937 random(20261121);
  for (std::size_t open_max = 1; open_max < 40; ++open_max) {
    Gate<int> gate(open_max);
    std::vector<bool> open;
    int added = 0;
    int ran = 0;
    for (int step = 0; step < 500 || ran < added; ++step) {
      if (step < 500 && random() % 2 == 0) {
        gate.add(random() % 2 == 0 ? kProven : trial(static_cast<std::uint32_t>(random() % 5)),
                 added++);
      }
      if (!open.empty() && random() % 2 == 0) {
        const std::size_t which = random() % open.size();
        gate.ended(open[which]);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
      }
      while (const auto next = gate.next()) {
        open.push_back(next->is_proven);
        ++ran;
      }
      ASSERT_LE(open.size(), open_max);
      ASSERT_LT(step, 100'000);
    }
  }
}

}  // namespace
}  // namespace sidecast
