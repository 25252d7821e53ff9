// Who may be sent to when there are more who want it than connections.
#include "exporters/http/gate.h"

#include <deque>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sidecast {
namespace {

using Names = std::vector<std::string>;

// Another destination each time: who is whose party is not the point.
Claimant proven() {
  static std::deque<std::string> names;
  return {.destination = names.emplace_back(std::to_string(names.size()))};
}
Claimant trial(std::uint32_t failures) {
  Claimant claimant = proven();
  claimant.standing = {.is_proven = false, .failures = failures};
  return claimant;
}

struct Opened {
  Gate<std::string>::Party* party;
  bool is_proven;
};

// A gate that knows what is open of whom.
class Door {
 public:
  explicit Door(std::size_t open_max) : gate(open_max) {}

  Names started() {
    Names names;
    while (auto next = gate.next()) {
      names.push_back(next->waiting);
      open.emplace(std::move(next->waiting), Opened{next->party, next->is_proven});
    }
    return names;
  }
  void add(std::size_t count, const Claimant& claimant, const std::string& name) {
    for (std::size_t i = 0; i < count; ++i) gate.add(claimant, name);
  }
  void end(const std::string& name) {
    const auto found = open.find(name);
    ASSERT_NE(found, open.end()) << name;
    gate.ended(found->second.party, found->second.is_proven);
    open.erase(found);
  }

  Gate<std::string> gate;
  std::multimap<std::string, Opened> open;
};

TEST(Gate, TrialsUseHalfAndLeaveTheRestToTheProven) {
  Door door(16);
  for (int i = 0; i < 100; ++i) door.add(1, trial(3), "hanging");
  EXPECT_EQ(door.started().size(), 8U);
  for (int i = 0; i < 100; ++i) door.add(1, proven(), "healthy");
  EXPECT_EQ(door.started(), Names(8, "healthy"));
  for (int i = 0; i < 1000; ++i) {  // as long as these answer, nothing that hangs is in their way
    door.end("healthy");
    ASSERT_EQ(door.started(), Names{"healthy"});
    door.add(1, proven(), "healthy");
  }
}

TEST(Gate, TheProvenLeaveSomeForTrialsHoweverFewThereAre) {
  for (const std::size_t open_max : {2U, 3U, 7U, 16U}) {
    Door door(open_max);
    for (int i = 0; i < 100; ++i) door.add(1, proven(), "healthy");
    door.add(1, trial(0), "new");
    const Names first = door.started();
    EXPECT_EQ(first.size(), open_max - std::max<std::size_t>(1, open_max / 8) + 1) << open_max;
    EXPECT_EQ(first.back(), "new") << open_max;
  }
}

TEST(Gate, OneConnectionServesBoth) {
  Door door(1);
  door.add(1, trial(9), "trial");
  door.add(1000, proven(), "proven");
  ASSERT_EQ(door.started(), Names{"proven"});
  for (int i = 0; i < 100; ++i) {
    door.end("proven");
    if (door.started() == Names{"trial"}) return;
  }
  FAIL() << "as long as there is one who answers, nobody else is tried";
}

TEST(Gate, OneThatAnswersSlowlyLeavesTheOthersTheirPlaces) {
  Door door(512);
  const Claimant slow{.destination = "slow"};
  door.add(1000, slow, "slow");
  EXPECT_EQ(door.started().size(), 64U);
  door.add(1, proven(), "healthy");
  EXPECT_EQ(door.started(), Names{"healthy"});
}

// Each answers, late, and wants all it can get.
TEST(Gate, ManyThatAnswerSlowlySettleAtEqualSharesAndOneShareStaysFree) {
  Door door(512);
  std::deque<std::string> names;
  for (int i = 0; i < 40; ++i) {
    names.push_back(std::to_string(i));
    door.add(256, {.destination = names.back()}, names.back());
  }
  door.started();
  for (const std::string& name : names) {
    EXPECT_GE(door.open.count(name), 9U) << name;
    EXPECT_LE(door.open.count(name), 12U) << name;
  }
  door.add(9, {.destination = "healthy"}, "healthy");
  EXPECT_EQ(door.started().size(), 5U);
  door.end("0");
  EXPECT_EQ(door.started(), Names{"healthy"}) << "whoever has least is next";
}

TEST(Gate, TenantsTogetherHaveHalfAndOneTenantAnEighthHoweverManyDestinationsItHas) {
  Door door(512);
  std::deque<std::string> names;
  const auto claim = [&](const std::string& name) {
    return Claimant{.destination = names.emplace_back(name), .is_tenants = true};
  };
  for (int i = 0; i < 1000; ++i) door.add(1, claim("acme/" + std::to_string(i)), "acme");
  EXPECT_EQ(door.started().size(), 64U);
  for (int i = 0; i < 10'000; ++i) door.add(1, claim(std::to_string(i) + "/slow"), "tenants");
  door.started();
  EXPECT_EQ(door.open.size(), 256U);
  EXPECT_EQ(door.open.count("acme"), 64U);
  door.add(64, {.destination = "acme/1"}, "the operator's, of that name");
  EXPECT_EQ(door.started().size(), 64U);
}

TEST(Gate, DestinationsOfOneTenantHaveTheirTurns) {
  Door door(8);
  door.add(100, {.destination = "acme/slow", .is_tenants = true}, "slow");
  door.add(1, {.destination = "acme/fast", .is_tenants = true}, "fast");
  EXPECT_EQ(door.started(), Names{"slow"});
  door.end("slow");
  EXPECT_EQ(door.started(), Names{"fast"});
}

TEST(Gate, OneTenantsDeadDestinationsLeaveOtherTrialsTheirPlaces) {
  Door door(64);
  std::deque<std::string> names;
  for (int i = 0; i < 1000; ++i) {
    names.push_back("acme/" + std::to_string(i));
    door.add(1,
             {.standing = {.is_proven = false, .failures = 1},
              .destination = names.back(),
              .is_tenants = true},
             "dead");
  }
  EXPECT_EQ(door.started().size(), 8U);
  door.add(1, trial(5), "failed often");
  EXPECT_EQ(door.started(), Names{"failed often"});
  door.end("dead");
  EXPECT_EQ(door.started(), Names{"dead"});
}

TEST(Gate, WhoFailedLessOftenGoesFirst) {
  Door door(2);
  door.add(1, trial(7), "seven");
  EXPECT_EQ(door.started(), Names{"seven"});
  door.add(1, trial(7), "seven again");
  door.add(1, trial(1), "one");
  door.add(1, trial(0), "new");
  door.add(1, trial(0), "new as well");
  std::string open = "seven";
  for (const char* expected : {"new", "new as well", "one", "seven again"}) {
    door.end(open);
    EXPECT_EQ(door.started(), Names{expected});
    open = expected;
  }
  EXPECT_EQ(door.gate.waiting(), 0U);
}

TEST(Gate, WhoIsNewDisplacesWhoFailedAndAtAStartWhoeverHadItsChance) {
  Door door(2);
  door.add(1, trial(4), "open");
  ASSERT_EQ(door.started(), Names{"open"});
  const auto may_displace = [&](std::uint32_t failures) {
    return door.gate.may_displace(*door.open.begin()->second.party, failures);
  };
  EXPECT_FALSE(may_displace(0)) << "nobody waits";
  door.add(1, trial(2), "failed twice");
  EXPECT_FALSE(may_displace(0));
  EXPECT_FALSE(may_displace(2)) << "a slow server has its whole timeout";
  EXPECT_TRUE(may_displace(3));
  door.add(1, trial(0), "new");
  EXPECT_TRUE(may_displace(0));
  EXPECT_TRUE(may_displace(1));
}

Claimant acmes(const std::string& name, std::uint32_t failures) {
  static std::deque<std::string> names;
  return {.standing = {.is_proven = false, .failures = failures},
          .destination = names.emplace_back("acme/" + name),
          .is_tenants = true};
}

TEST(Gate, WhoIsNewAtATenantWaitsForNoneOfItsOwnThatHang) {
  Door door(64);
  for (int i = 0; i < 100; ++i) door.add(1, acmes(std::to_string(i), 1), "dead");
  ASSERT_EQ(door.started(), Names(8, "dead"));
  door.add(1, acmes("new", 0), "new");
  EXPECT_EQ(door.started(), Names{}) << "a quarter of the trials' places is all it has";
  EXPECT_EQ(door.gate.waiting_trials(), 93U);
  // So one of its own makes room, and none of another's, who could not.
  EXPECT_TRUE(door.gate.may_displace(*door.open.begin()->second.party, 1));
  door.add(1, trial(1), "another's");
  ASSERT_EQ(door.started(), Names{"another's"});
  EXPECT_FALSE(door.gate.may_displace(*door.open.find("another's")->second.party, 1));
  door.end("dead");
  EXPECT_EQ(door.started(), Names{"new"});
}

// The places are others': what of it waits already, and failed, is not before what is new.
TEST(Gate, WhoIsNewAtATenantGoesBeforeItsOwnThatFailedWhereverTheyWait) {
  Door door(16);
  for (int i = 0; i < 8; ++i) door.add(1, trial(1), "another's");
  ASSERT_EQ(door.started().size(), 8U);
  for (int i = 0; i < 10; ++i) door.add(1, acmes(std::to_string(i), 3), "dead");
  for (int i = 0; i < 10; ++i) door.add(1, trial(2), "failed twice");
  door.add(1, acmes("new", 0), "new");
  door.end("another's");
  EXPECT_EQ(door.started(), Names{"new"});
}

TEST(Gate, OfThoseThatAreNewThePartyWithFewerOpenIsNext) {
  Door door(16);
  for (int i = 0; i < 10; ++i) door.add(1, acmes(std::to_string(i), 0), "acme");
  for (int i = 0; i < 10; ++i) door.add(1, trial(0), "others");
  const Names started = door.started();
  EXPECT_EQ(std::count(started.begin(), started.end(), "acme"), 1) << "one after the other";
  EXPECT_EQ(started.size(), 8U);
}

TEST(Gate, NeverMoreAreOpenThanThereMayBeAndNobodyIsForgotten) {
  const Names names = {"a", "b", "acme/a", "acme/b", "globex/a"};
  std::mt19937 random(20261121);
  for (std::size_t open_max = 1; open_max < 40; ++open_max) {
    Gate<int> gate(open_max);
    std::vector<Gate<int>::Started> open;
    int added = 0;
    int ran = 0;
    for (int step = 0; step < 500 || ran < added; ++step) {
      if (step < 500 && random() % 2 == 0) {
        Claimant claimant{.destination = names[random() % names.size()],
                          .is_tenants = random() % 2 == 0};
        if (random() % 2 == 0) {
          claimant.standing = {.is_proven = false,
                               .failures = static_cast<std::uint32_t>(random() % 5)};
        }
        gate.add(claimant, added++);
      }
      if (!open.empty() && random() % 2 == 0) {
        const std::size_t which = random() % open.size();
        gate.ended(open[which].party, open[which].is_proven);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
      }
      while (auto next = gate.next()) {
        open.push_back(*next);
        ++ran;
      }
      ASSERT_LE(open.size(), open_max);
      ASSERT_LT(step, 100'000);
    }
    ASSERT_EQ(gate.waiting(), 0U);
  }
}

}  // namespace
}  // namespace sidecast
