// Routing: which groups a record reaches, and the laws that hold for any config and any record.
#include "engine/route/route.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "tests/unit/config/fake_destination.h"

namespace sidecast {
namespace {

TraceId trace_id_of(std::uint64_t n) {
  return hash_trace_id("trace " + std::to_string(n));
}

// Enabled, for all accounts and keys; its group is its name unless the test says otherwise.
DestinationConfig destination(const std::string& name) {
  static const auto kExporter = std::make_shared<const test::FakeExporter>(Compression::kZstd);
  DestinationConfig config;
  config.name = name;
  config.type = &test::kFake;
  config.group = name;
  config.exporter = kExporter;
  return config;
}

DestinationConfig for_accounts(const std::string& name, std::vector<std::string> accounts) {
  DestinationConfig config = destination(name);
  config.accounts = std::move(accounts);
  return config;
}

// Group hashes of what a record reaches, with the decision.
std::map<std::string, Decision> decisions(const Router& router, const RouteKey& key) {
  std::vector<Routed> routed;
  std::map<std::string, Decision> found;
  for (const Routed& one : router.route(key, routed)) {
    const bool is_new = found.emplace(router.groups()[one.group_index].hash, one.decision).second;
    EXPECT_TRUE(is_new) << "a group came twice";
  }
  return found;
}

using Decisions = std::map<std::string, Decision>;

// ---- Groups -------------------------------------------------------------------------------------

TEST(Groups, EqualHashesShareAGroupAndKeepTheirIndices) {
  std::vector<DestinationConfig> destinations = {destination("a"), destination("b"),
                                                 destination("a"), destination("b")};
  destinations[1].enabled = false;
  destinations[3].privacy_mode = true;
  destinations[3].privacy_keep = {"tier"};
  const std::vector<Group> groups = make_groups(destinations);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].hash, "a");
  EXPECT_EQ(groups[0].members, (std::vector<std::uint32_t>{0, 2}));
  EXPECT_EQ(groups[0].format.compression, Compression::kZstd);
  EXPECT_TRUE(groups[0].takes_all_accounts);
  EXPECT_FALSE(groups[0].privacy_mode);
  EXPECT_EQ(groups[1].members, std::vector<std::uint32_t>{3});
  EXPECT_TRUE(groups[1].privacy_mode);
  EXPECT_EQ(groups[1].privacy_keep, std::vector<std::string>{"tier"});
}

TEST(Groups, MoreThan64MembersMakeAnotherGroupOfTheSameHash) {
  const std::vector<DestinationConfig> destinations(2 * kGroupMembersMax + 1, destination("a"));
  const std::vector<Group> groups = make_groups(destinations);
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0].members.size(), kGroupMembersMax);
  EXPECT_EQ(groups[1].members.size(), kGroupMembersMax);
  EXPECT_EQ(groups[2].members, std::vector<std::uint32_t>{128});
  EXPECT_EQ(groups[2].hash, "a");
}

// ---- Routing ------------------------------------------------------------------------------------

TEST(Router, RecordsReachTheirAccountsGroupsAndThoseForAll) {
  const std::vector<DestinationConfig> destinations = {
      for_accounts("acme", {"acme"}), for_accounts("both", {"acme", "beta"}), destination("all")};
  const Router router(destinations);
  EXPECT_EQ(decisions(router, {.account = "acme"}), (Decisions{{"acme", Decision::kRouted},
                                                               {"all", Decision::kRouted},
                                                               {"both", Decision::kRouted}}));
  EXPECT_EQ(decisions(router, {.account = "beta"}),
            (Decisions{{"all", Decision::kRouted}, {"both", Decision::kRouted}}));
  EXPECT_EQ(decisions(router, {.account = "gamma"}), (Decisions{{"all", Decision::kRouted}}));
}

TEST(Router, ARecordWithoutAccountReachesOnlyWhatTakesAll) {
  const std::vector<DestinationConfig> destinations = {for_accounts("acme", {"acme"}),
                                                       destination("all")};
  EXPECT_EQ(decisions(Router(destinations), {}), (Decisions{{"all", Decision::kRouted}}));
  EXPECT_TRUE(decisions(Router(std::span(destinations).first(1)), {}).empty());
}

TEST(Router, DisabledDestinationsReceiveNothing) {
  DestinationConfig off = destination("off");
  off.enabled = false;
  const Router router(std::span(&off, 1));
  EXPECT_TRUE(router.groups().empty());
  EXPECT_TRUE(decisions(router, {.account = "acme"}).empty());
}

TEST(Router, ApiKeysAreNamedByIdOrNameAndExcludeWins) {
  DestinationConfig include = destination("include");
  include.api_keys_include = {"id-1", "team-a"};
  DestinationConfig exclude = destination("exclude");
  exclude.api_keys_exclude = {"team-a"};
  DestinationConfig both = destination("both");
  both.api_keys_include = {"id-1"};
  both.api_keys_exclude = {"team-a"};
  const std::vector<DestinationConfig> destinations = {include, exclude, both};
  const Router router(destinations);

  constexpr Decision kIn = Decision::kRouted;
  constexpr Decision kOut = Decision::kFiltered;
  const auto for_key = [&router](Text id, Text name) {
    return decisions(router, {.api_key_id = id, .api_key_name = name});
  };
  EXPECT_EQ(for_key("id-1", ""), (Decisions{{"include", kIn}, {"exclude", kIn}, {"both", kIn}}));
  EXPECT_EQ(for_key("id-1", "team-a"),
            (Decisions{{"include", kIn}, {"exclude", kOut}, {"both", kOut}}));
  EXPECT_EQ(for_key("id-2", "team-b"),
            (Decisions{{"include", kOut}, {"exclude", kIn}, {"both", kOut}}));
  EXPECT_EQ(for_key("", ""), (Decisions{{"include", kOut}, {"exclude", kIn}, {"both", kOut}}));
}

TEST(Router, SampledOutIsToldFromFiltered) {
  DestinationConfig config = destination("a");
  config.sampling_rate = 0.5;
  config.api_keys_exclude = {"no"};
  const Router router(std::span(&config, 1));
  std::set<Decision> seen;
  for (std::uint64_t i = 0; i < 64; ++i) {
    seen.insert(decisions(router, {.trace_id = trace_id_of(i)}).at("a"));
    EXPECT_EQ(decisions(router, {.api_key_id = "no", .trace_id = trace_id_of(i)}).at("a"),
              Decision::kFiltered);
  }
  EXPECT_EQ(seen, (std::set<Decision>{Decision::kSampledOut, Decision::kRouted}));
}

TEST(Router, ARecordSeesOnlyItsAccountsGroupsAndReusesTheBuffer) {
  std::vector<DestinationConfig> destinations;
  for (int i = 0; i < 1000; ++i) {
    const std::string account = "account-" + std::to_string(i);
    destinations.push_back(for_accounts(account, {account}));
  }
  const Router router(destinations);
  std::vector<Routed> routed;
  ASSERT_EQ(router.route({.account = "account-7"}, routed).size(), 1U);
  const Routed* const room = routed.data();
  for (int i = 0; i < 1000; ++i) {
    const std::string account = "account-" + std::to_string(i);
    EXPECT_EQ(router.route({.account = account}, routed).size(), 1U);
  }
  EXPECT_EQ(routed.data(), room) << "a warm buffer was not reused";
}

// ---- Laws ---------------------------------------------------------------------------------------

double any_rate() {
  return *rc::gen::inRange(1, 10'001) / 10'000.0;
}

// rapidcheck prints the seed and the smallest counterexample.
#define EXPECT_LAW(...) EXPECT_TRUE(rc::check(__VA_ARGS__))

TEST(SamplingLaws, ALowerRateKeepsASubset) {
  EXPECT_LAW([](const std::string& session, std::uint64_t n, const std::string& salt) {
    const double one = any_rate();
    const double two = any_rate();
    const Sampling lower(std::min(one, two), salt);
    const Sampling higher(std::max(one, two), salt);
    if (lower.keeps(session, trace_id_of(n))) {
      RC_ASSERT(higher.keeps(session, trace_id_of(n)));
    }
  });
}

TEST(SamplingLaws, ASessionIsNeverSplit) {
  EXPECT_LAW([](std::uint64_t one, std::uint64_t two) {
    const std::string session = *rc::gen::nonEmpty<std::string>();
    const Sampling sampling(any_rate(), "");
    RC_ASSERT(sampling.keeps(session, trace_id_of(one)) ==
              sampling.keeps(session, trace_id_of(two)));
  });
}

TEST(SamplingLaws, TheWholeIdCountsNotItsStart) {
  // Ids that share a long prefix, as time-ordered ids do, must not share a fate.
  const Sampling half(0.5, "");
  int kept = 0;
  for (int i = 0; i < 1000; ++i) {
    if (half.keeps("session-0192f3c4-5d6e-7000-8000-00000000" + std::to_string(i), {})) ++kept;
  }
  EXPECT_GT(kept, 400);
  EXPECT_LT(kept, 600);
}

TEST(SamplingLaws, ASaltDecorrelates) {
  const Sampling plain(0.5, "");
  const Sampling salted(0.5, "pepper");
  int both = 0;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    if (plain.keeps("", trace_id_of(i)) && salted.keeps("", trace_id_of(i))) ++both;
  }
  EXPECT_NEAR(both, 2500, 250);
}

TEST(SamplingLaws, TheShareKeptIsTheRate) {
  constexpr int kSessions = 20'000;
  for (const double rate : {0.0001, 0.01, 0.1, 0.25, 0.5, 0.9, 0.9999, 1.0}) {
    const Sampling sampling(rate, "");
    int kept = 0;
    for (int i = 0; i < kSessions; ++i) {
      if (sampling.keeps("session " + std::to_string(i), {})) ++kept;
    }
    const double expected = kSessions * rate;
    // Six standard deviations of a fair coin of that rate.
    const double tolerance = 6 * std::sqrt(expected * (1 - rate)) + 1e-9;
    EXPECT_NEAR(kept, expected, tolerance) << rate;
  }
}

TEST(SamplingLaws, EveryTenthOfTheRatesKeepsATenth) {
  // Chi-square over ten bands of rates: each id falls into the band whose upper rate first keeps
  // it.
  constexpr int kIds = 20'000;
  std::vector<Sampling> bands;
  for (int i = 1; i <= 10; ++i) bands.emplace_back(i / 10.0, "");
  std::vector<int> counts(bands.size(), 0);
  for (std::uint64_t n = 0; n < kIds; ++n) {
    std::size_t band = 0;
    while (!bands[band].keeps("", trace_id_of(n))) ++band;
    ++counts[band];
  }
  double chi_square = 0;
  for (const int count : counts) {
    const double expected = kIds / 10.0;
    chi_square += (count - expected) * (count - expected) / expected;
  }
  EXPECT_LT(chi_square, 40) << "9 degrees of freedom exceed this once in 100,000 tries";
}

// A config and a record over few names, so that they often meet.
std::string any_of(std::vector<std::string> names) {
  return *rc::gen::elementOf(std::move(names));
}

std::vector<std::string> any_set(const std::vector<std::string>& names) {
  auto picked = *rc::gen::container<std::set<std::string>>(rc::gen::elementOf(names));
  return {picked.begin(), picked.end()};
}

const std::vector<std::string> kAccounts = {"a", "b", "c", "d"};
const std::vector<std::string> kKeys = {"k1", "k2", "k3"};

std::vector<DestinationConfig> any_destinations() {
  std::vector<DestinationConfig> destinations;
  const int count = *rc::gen::inRange(0, 12);
  for (int i = 0; i < count; ++i) {
    DestinationConfig config = for_accounts("d" + std::to_string(i), any_set(kAccounts));
    config.api_keys_include = any_set(kKeys);
    config.api_keys_exclude = any_set(kKeys);
    config.sampling_rate = any_rate();
    config.enabled = *rc::gen::arbitrary<bool>();
    destinations.push_back(std::move(config));
  }
  return destinations;
}

// What routing means, in the plainest words: one destination and one record at a time.
std::optional<Decision> expected_decision(const DestinationConfig& config, const RouteKey& key) {
  const auto holds = [](const std::vector<std::string>& names, Text name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (!config.enabled) return std::nullopt;
  if (!config.accounts.empty() && !holds(config.accounts, key.account)) return std::nullopt;
  const auto& include = config.api_keys_include;
  const auto& exclude = config.api_keys_exclude;
  const bool is_included =
      include.empty() || holds(include, key.api_key_id) || holds(include, key.api_key_name);
  const bool is_excluded = holds(exclude, key.api_key_id) || holds(exclude, key.api_key_name);
  if (!is_included || is_excluded) return Decision::kFiltered;
  const Sampling sampling(config.sampling_rate, config.sampling_salt);
  return sampling.keeps(key.session_id, key.trace_id) ? Decision::kRouted : Decision::kSampledOut;
}

TEST(RouterLaws, TheIndexDecidesAsAPlainLoopWouldAndNeverCrossesAccounts) {
  EXPECT_LAW([](std::uint64_t n) {
    const auto destinations = any_destinations();
    const std::string account = any_of({"", "a", "b", "c", "d", "e"});
    const std::string key_id = any_of({"", "k1", "k2", "other"});
    const std::string key_name = any_of({"", "k2", "k3", "other"});
    const std::string session = any_of({"", "s1", "s2"});
    const RouteKey key{account, key_id, key_name, session, trace_id_of(n)};
    const Decisions found = decisions(Router(destinations), key);
    std::size_t matched = 0;
    for (const DestinationConfig& config : destinations) {
      const auto expected = expected_decision(config, key);
      RC_ASSERT(found.contains(config.group) == expected.has_value());
      if (!expected) continue;
      ++matched;
      RC_ASSERT(found.at(config.group) == *expected);
      RC_ASSERT(config.accounts.empty() ||
                std::binary_search(config.accounts.begin(), config.accounts.end(), account));
    }
    RC_ASSERT(found.size() == matched);
  });
}

}  // namespace
}  // namespace sidecast
