// What a reload changes: two checked configurations side by side.
#include "engine/config/difference.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/config/fake_destination.h"

namespace sidecast {
namespace {

using Changes = std::vector<ConfigDifference::Change>;

RunningConfig config_of(const std::string& text) {
  ConfigSources sources;
  sources.environment = [](const std::string& name) { return std::optional(name); };
  sources.read_file = [](const std::string&) -> Result<std::string> { return fail("no files"); };
  ConfigReport report = check_config(text, "test.yaml", test::kFakeTypes, sources);
  EXPECT_TRUE(report.errors.empty()) << report.errors.front().message;
  return running_config(*std::move(report.config));
}

std::string destination(const std::string& name, const std::string& more = {}) {
  return "- {name: " + name + ", type: fake, endpoint: \"https://a.example\"" +
         (more.find("api_key:") == std::string::npos ? ", api_key: \"${env:KEY}\"" : "") + more +
         "}\n";
}

ConfigDifference between(const std::string& before, const std::string& after) {
  return difference(config_of("destinations:\n" + before), config_of("destinations:\n" + after));
}

TEST(Difference, WhatIsReadAgainUnchangedIsNoChange) {
  const ConfigDifference none =
      between(destination("a") + destination("b"), destination("b") + destination("a"));
  EXPECT_EQ(none.destinations, Changes{});
  EXPECT_EQ(none.unchanged, 2U);
  EXPECT_TRUE(none.applied.empty());
  EXPECT_TRUE(none.needs_restart.empty());
}

TEST(Difference, DestinationsComeAndGoByName) {
  const ConfigDifference changes =
      between(destination("b") + destination("goes"), destination("b") + destination("a"));
  EXPECT_EQ(changes.destinations,
            (Changes{{"a", DestinationChange::kAdded}, {"goes", DestinationChange::kRemoved}}));
  EXPECT_EQ(changes.unchanged, 1U);
}

TEST(Difference, EveryKindOfChangeHasItsName) {
  const auto change = [](const std::string& before, const std::string& after) {
    const ConfigDifference changes = between(destination("a", before), destination("a", after));
    EXPECT_EQ(changes.destinations.size(), 1U) << after;
    return changes.destinations.empty() ? DestinationChange::kAdded
                                        : changes.destinations.front().change;
  };
  EXPECT_EQ(change("", ", api_key: \"${env:OTHER}\""), DestinationChange::kCredentials);
  EXPECT_EQ(change(", headers: {X-Token: one}", ", headers: {X-Token: two}"),
            DestinationChange::kCredentials);
  EXPECT_EQ(change("", ", sampling_rate: 0.5"), DestinationChange::kSettings);
  EXPECT_EQ(change("", ", timeout: 5s"), DestinationChange::kSettings);
  EXPECT_EQ(change("", ", connections: 1"), DestinationChange::kSettings);
  EXPECT_EQ(change("", ", project: other"), DestinationChange::kReplaced);
  EXPECT_EQ(change("", ", accounts: [acme]"), DestinationChange::kReplaced);
  EXPECT_EQ(change("", ", privacy_mode: true"), DestinationChange::kReplaced);
  EXPECT_EQ(change("", ", enabled: false"), DestinationChange::kDisabled);
  EXPECT_EQ(change(", enabled: false", ""), DestinationChange::kEnabled);
}

TEST(Difference, EverySettingIsAppliedOrNamedAsNeedingARestart) {
  const RunningConfig before = config_of("destinations: []\n");
  const RunningConfig after = config_of(
      "ring_dir: /dev/shm/other\nmemory_limit: 64MiB\nexplain: {size: 1MiB}\n"
      "workers: 2\nbatch_age_max: 2s\n"
      "shutdown_deadline: 1s\ngive_up_after: 1h\nwriters: {enabled: false}\n"
      "destinations_dir: /etc/tenants\ndestinations: []\n");
  const ConfigDifference changes = difference(before, after);
  EXPECT_EQ(changes.applied,
            (std::vector<std::string>{"batch_age_max", "destinations_dir", "give_up_after",
                                      "shutdown_deadline", "writers"}));
  EXPECT_EQ(changes.needs_restart,
            (std::vector<std::string>{"explain", "memory_limit", "ring_dir", "workers"}));
  RunningConfig kept = after;
  keep_until_restart(*before.config, kept);
  EXPECT_EQ(kept.config->ring_dir, before.config->ring_dir);
  EXPECT_EQ(kept.config->explain_bytes, before.config->explain_bytes);
  EXPECT_EQ(kept.config->memory_limit_bytes, before.config->memory_limit_bytes);
  EXPECT_EQ(kept.config->workers, before.config->workers);
  EXPECT_EQ(kept.config->give_up_after, std::chrono::hours(1));
}

TEST(Difference, ASpoolStaysAsItIsWithItsAgeUntilARestart) {
  const RunningConfig before = config_of("spool: {dir: /x}\ndestinations: []\n");
  const RunningConfig after = config_of("spool: {dir: /x, age_max: 1h}\ndestinations: []\n");
  EXPECT_EQ(difference(before, after).needs_restart, std::vector<std::string>{"spool"});
  EXPECT_EQ(difference(before, after).applied, std::vector<std::string>{});
  RunningConfig kept = after;
  keep_until_restart(*before.config, kept);
  EXPECT_EQ(kept.config->spool, before.config->spool);
  EXPECT_EQ(kept.config->give_up_after, std::chrono::hours(24));
  const RunningConfig less_memory =
      config_of("memory_limit: 64MiB\nspool: {dir: /x}\ndestinations: []\n");
  EXPECT_EQ(difference(before, less_memory).needs_restart,
            std::vector<std::string>{"memory_limit"});
}

}  // namespace
}  // namespace sidecast
