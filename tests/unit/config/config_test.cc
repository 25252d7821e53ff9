// Configs that are right: what they become.
#include "engine/config/config.h"

#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/config/fake_destination.h"

namespace sidecast {
namespace {

using test::kFakeTypes;

// A throw-away key, and a value sealed under it.
const std::string kSealKey(SealKeys::new_key_line().view());

std::string sealed(std::string_view secret) {
  return *SealKeys::parse(kSealKey)->seal(secret);
}

// The outside world of these tests.
ConfigSources fake_sources() {
  ConfigSources sources;
  sources.environment = [](const std::string& name) -> std::optional<std::string> {
    static const std::map<std::string, std::string> kVariables = {
        {"KEY", "s3cret-value"}, {"KEY2", "rotated"}, {"RATE", "0.5"}, {"TRICK", "${env:KEY}"}};
    const auto found = kVariables.find(name);
    if (found == kVariables.end()) return std::nullopt;
    return found->second;
  };
  sources.read_file = [](const std::string& path) -> Result<std::string> {
    if (path == "/run/secrets/key") return "from-a-file\n";
    if (path == "/run/secrets/seal-key") return kSealKey;
    return fail("cannot open " + path);
  };
  return sources;
}

ConfigReport check(std::string_view text) {
  return check_config(text, "gw.yaml", kFakeTypes, fake_sources());
}

Config must_read(std::string_view text) {
  ConfigReport report = check(text);
  for (const ConfigProblem& error : report.errors) {
    ADD_FAILURE() << problem_line("gw.yaml", error);
  }
  if (!report.config) return {};
  return *std::move(report.config);
}

// A config with one destination, and these lines in it.
Config with_lines(std::string_view lines) {
  std::string text = "destinations:\n- name: a\n  type: fake\n  endpoint: https://a.example\n";
  text += "  api_key: ${env:KEY}\n";
  text += lines;
  return must_read(text);
}

TEST(Config, ReadsEverySettingOfTheEngine) {
  const Config config = must_read(R"(
ring_dir: /run/sidecast
memory_limit: 1GiB
workers: 3
id_characters_max: 256
batch_age_max: 250ms
shutdown_deadline: 5s
give_up_after: 1h
writers: {enabled: false, ring_size: 32MiB, lanes: 8, record_size_max: 1MiB}
destinations: []
)");
  EXPECT_EQ(config.ring_dir, "/run/sidecast");
  EXPECT_EQ(config.memory_limit_bytes, 1ULL << 30U);
  EXPECT_EQ(config.workers, 3U);
  EXPECT_EQ(config.id_characters_max, 256U);
  EXPECT_EQ(config.batch_age_max, std::chrono::milliseconds(250));
  EXPECT_EQ(config.shutdown_deadline, std::chrono::seconds(5));
  EXPECT_EQ(config.give_up_after, std::chrono::hours(1));
  EXPECT_TRUE(config.writers_off);
  EXPECT_EQ(config.ring_bytes, 32ULL << 20U);
  EXPECT_EQ(config.lanes, 8U);
  EXPECT_EQ(config.record_bytes_max, 1ULL << 20U);
  EXPECT_TRUE(config.destinations.empty());
  EXPECT_TRUE(config.warnings.empty());
}

TEST(Config, AnEmptyFileIsAllDefaultsAndAWarning) {
  const Config config = must_read("");
  EXPECT_EQ(config.ring_dir, "/dev/shm/sidecast");
  EXPECT_EQ(config.memory_limit_bytes, 512ULL << 20U);
  EXPECT_FALSE(config.writers_off);
  ASSERT_EQ(config.warnings.size(), 1U);
  EXPECT_NE(config.warnings[0].find("there are no 'destinations'"), std::string::npos);
}

TEST(Config, ReadsEverySettingOfADestination) {
  const Config config = must_read(R"(
destinations:
  - name: a
    type: fake
    enabled: false
    accounts: [beta, acme, beta]
    api_keys: {include: [team-a], exclude: [team-b, 17]}
    regions: [US, eu, europe]
    filter_rules:
      logic: or
      groups:
        - rules: [{field: model, operator: starts_with, value: gpt}]
        - logic: or
          rules:
            - {field: total_cost, operator: gt, value: 0.01}
            - {field: user_id, operator: not_exists}
    sampling_rate: 0.25
    sampling_salt: pepper
    privacy_mode: true
    privacy_keep: [tier]
    timeout: 2s
    connections: 9
    http2_prior_knowledge: true
    ca_file: /etc/ca.pem
    endpoint: https://a.example
    api_key: ${env:KEY}
    headers: {X-Scope: blue}
)");
  ASSERT_EQ(config.destinations.size(), 1U);
  const DestinationConfig& destination = config.destinations[0];
  EXPECT_EQ(destination.name, "a");
  EXPECT_EQ(destination.type, &test::kFake);
  EXPECT_FALSE(destination.enabled);
  EXPECT_EQ(destination.accounts, (std::vector<std::string>{"acme", "beta"}));
  EXPECT_EQ(destination.api_keys_include, std::vector<std::string>{"team-a"});
  EXPECT_EQ(destination.api_keys_exclude, (std::vector<std::string>{"17", "team-b"}));
  EXPECT_EQ(destination.regions, (std::vector<std::string>{"europe", "us"}));
  const FilterRules rules{
      FilterLogic::kOr,
      {{FilterLogic::kAnd, {{FilterField::kModel, FilterOperator::kStartsWith, "gpt", 0}}},
       {FilterLogic::kOr,
        {{FilterField::kTotalCost, FilterOperator::kGreater, "", 0.01},
         {FilterField::kUserId, FilterOperator::kNotExists, "", 0}}}}};
  EXPECT_EQ(destination.filter_rules, rules);
  EXPECT_DOUBLE_EQ(destination.sampling_rate, 0.25);
  EXPECT_EQ(destination.sampling_salt, "pepper");
  EXPECT_TRUE(destination.privacy_mode);
  EXPECT_EQ(destination.privacy_keep, std::vector<std::string>{"tier"});
  EXPECT_EQ(destination.timeout, std::chrono::seconds(2));
  EXPECT_EQ(destination.connections_max, 9U);
  EXPECT_TRUE(destination.http2_prior_knowledge);
  EXPECT_EQ(destination.ca_file, "/etc/ca.pem");
  EXPECT_EQ(destination.options.get("endpoint"), "https://a.example");
  EXPECT_EQ(destination.options.get("project"), "default");
  EXPECT_EQ(destination.options.headers.at("X-Scope"), "blue");
  EXPECT_NE(destination.exporter, nullptr);
  EXPECT_EQ(destination.group.size(), 32U);
  EXPECT_EQ(destination.identity.size(), 32U);
  EXPECT_TRUE(config.warnings.empty());
}

TEST(Config, SecretsStandApartFromOptions) {
  const Config config = with_lines("");
  ASSERT_EQ(config.destinations.size(), 1U);
  const DestinationConfig& destination = config.destinations[0];
  EXPECT_EQ(destination.secrets.at("api_key").reveal(), "s3cret-value");
  EXPECT_EQ(destination.secrets.count("second_key"), 0U);
  EXPECT_EQ(destination.options.values.count("api_key"), 0U);
}

TEST(Config, ExpandsReferencesAnywhereInAValueButNotInWhatTheyGive) {
  const Config config = with_lines(
      "  sampling_rate: ${env:RATE}\n"
      "  second_key: ${file:/run/secrets/key}\n"
      "  project: p-${env:RATE}-$${env:KEY}-${env:TRICK}\n");
  ASSERT_EQ(config.destinations.size(), 1U);
  const DestinationConfig& destination = config.destinations[0];
  EXPECT_DOUBLE_EQ(destination.sampling_rate, 0.5);
  EXPECT_EQ(destination.secrets.at("second_key").reveal(), "from-a-file");
  EXPECT_EQ(destination.options.get("project"), "p-0.5-${env:KEY}-${env:KEY}");
}

TEST(Config, ASpoolGivesUpLater) {
  EXPECT_FALSE(must_read("").spool);
  EXPECT_EQ(must_read("").give_up_after, std::chrono::minutes(5));
  const Config config = must_read(
      "spool: {dir: /var/lib/spool, limit: 1GiB, after: 5s, sync: interval}\nmemory_limit: "
      "64MiB\n");
  ASSERT_TRUE(config.spool);
  EXPECT_EQ(config.spool->directory, "/var/lib/spool");
  EXPECT_EQ(config.spool->limit_bytes, 1U << 30U);
  EXPECT_EQ(config.spool->after, std::chrono::seconds(5));
  EXPECT_EQ(config.spool->sync, spool::Sync::kInterval);
  EXPECT_EQ(config.spool->age_max, std::chrono::hours(24));
  EXPECT_EQ(config.give_up_after, std::chrono::hours(24));
  EXPECT_EQ(must_read("spool: {dir: /x, age_max: 2d}\n").give_up_after, std::chrono::hours(48));
  EXPECT_EQ(must_read("spool: {dir: /x}\ngive_up_after: 1h\n").spool->age_max,
            std::chrono::hours(1));
}

TEST(Config, AliasesShareSettings) {
  const Config config = must_read(R"(
destinations:
  - {name: a, type: fake, endpoint: http://a, api_key: "${env:KEY}", accounts: &tenants [x, y]}
  - {name: b, type: fake, endpoint: http://b, api_key: "${env:KEY}", accounts: *tenants}
)");
  ASSERT_EQ(config.destinations.size(), 2U);
  EXPECT_EQ(config.destinations[1].accounts, (std::vector<std::string>{"x", "y"}));
}

TEST(Config, WarnsOfASecretInPlainTextWithoutShowingIt) {
  const ConfigReport report = check(
      "destinations:\n"
      "- name: a\n"
      "  type: fake\n"
      "  endpoint: http://a\n"
      "  api_key: hunter2\n"
      "  headers: {Authorization: Bearer hunter3}\n");
  ASSERT_TRUE(report.config);
  ASSERT_EQ(report.config->warnings.size(), 2U);
  EXPECT_EQ(report.config->warnings[0],
            "gw.yaml:5:12: 'api_key' of destination 'a' is a secret in plain text; write "
            "${env:NAME} or ${file:PATH} instead, or seal it with `sidecast seal`");
  EXPECT_EQ(report.config->warnings[1],
            "gw.yaml:6:28: 'Authorization' of destination 'a' is a secret in plain text; write "
            "${env:NAME} or ${file:PATH} instead, or seal it with `sidecast seal`");
}

TEST(Config, WarnsOfAMemoryLimitThatIsTooSmallForWhatIsAskedOfIt) {
  const ConfigReport report = check(
      "memory_limit: 16MiB\n"
      "workers: 8\n"
      "writers: {record_size_max: 4MiB}\n"
      "destinations:\n"
      "- {name: a, type: fake, endpoint: http://a, api_key: \"${env:KEY}\"}\n"
      "- {name: b, type: fake, endpoint: http://b, api_key: \"${env:KEY}\", \n"
      "   sampling_rate: 0.5}\n");
  ASSERT_TRUE(report.config);
  ASSERT_EQ(report.config->warnings.size(), 2U);
  EXPECT_EQ(report.config->warnings[0].rfind(
                "gw.yaml:1:1: 'memory_limit' is too small for records of 4MiB in 2 groups", 0),
            0U)
      << report.config->warnings[0];
  EXPECT_EQ(report.config->warnings[1],
            "gw.yaml:2:1: 'memory_limit' is enough for 2 of 8 'workers'");
}

// ---- Sealed values ------------------------------------------------------------------------------

TEST(Config, SealedSecretsStaySealedAndAreNoPlainText) {
  const Config config = must_read(
      "seal_key_file: /run/secrets/seal-key\ndestinations:\n- name: a\n"
      "  type: fake\n  endpoint: https://a.example\n  api_key: " +
      sealed("hunter2") + "\n  headers: {X-Token: '" + sealed("of a header") +
      "', X-Scope: blue}\n");
  const DestinationConfig& destination = config.destinations.at(0);
  const Secret& key = destination.secrets.at("api_key");
  EXPECT_TRUE(key.is_sealed());
  EXPECT_EQ(key.reveal(), "");
  EXPECT_EQ(key.open()->reveal(), "hunter2");
  EXPECT_EQ(destination.secret_headers.at("X-Token").open()->reveal(), "of a header");
  EXPECT_FALSE(destination.options.headers.contains("X-Token"));
  EXPECT_EQ(destination.options.headers.at("X-Scope"), "blue");
  EXPECT_TRUE(config.warnings.empty()) << config.warnings[0];
}

TEST(Config, ASealedValueUnderAnotherKeyOrDamagedIsAnErrorWhereItStands) {
  const std::string other = *SealKeys::parse(SealKeys::new_key_line().view())->seal("hunter2");
  for (const std::string& value : {other, sealed("hunter2") + "A", std::string("sealed:")}) {
    const ConfigReport report = check(
        "seal_key_file: /run/secrets/seal-key\ndestinations:\n- name: a\n  type: fake\n"
        "  endpoint: https://a.example\n  api_key: '" +
        value + "'\n");
    ASSERT_EQ(report.errors.size(), 1U) << value;
    EXPECT_EQ(report.errors[0].position.line, 6U);
    EXPECT_EQ(report.errors[0].message.find("'api_key' of destination 'a': "), 0U)
        << report.errors[0].message;
  }
}

TEST(Config, ReadsHowAServerIsReached) {
  const Config config = must_read(R"(
egress: {allow: [10.0.0.0/8, 'fd00::/8']}
destinations:
- name: a
  type: fake
  endpoint: https://a.example
  api_key: ${env:KEY}
  client_cert_file: /c.pem
  client_key_file: /k.pem
  proxy: http://proxy.example:3128
  no_proxy: [localhost, .internal]
  proxy_credentials: ${env:KEY2}
)");
  const DestinationConfig& destination = config.destinations.at(0);
  EXPECT_EQ(destination.client_cert_file, "/c.pem");
  EXPECT_EQ(destination.client_key_file, "/k.pem");
  EXPECT_EQ(destination.proxy, "http://proxy.example:3128");
  EXPECT_EQ(destination.no_proxy, ".internal,localhost");
  EXPECT_EQ(destination.proxy_credentials.reveal(), "rotated");
  EXPECT_FALSE(destination.is_tenants);
  ASSERT_NE(config.egress_allowed, nullptr);
  EXPECT_TRUE(is_egress_allowed("10.9.9.9", Egress::kTenant, config.egress_allowed.get()));
  EXPECT_FALSE(is_egress_allowed("192.168.0.1", Egress::kTenant, config.egress_allowed.get()));
}

// ---- Hashes -------------------------------------------------------------------------------------

std::string group_with(std::string_view lines) {
  const Config config = with_lines(lines);
  return config.destinations.empty() ? "" : config.destinations[0].group;
}

std::string identity_with(std::string_view lines) {
  const Config config = with_lines(lines);
  return config.destinations.empty() ? "" : config.destinations[0].identity;
}

TEST(GroupHash, ChangesWithAllThatDecidesRecordsOrBytes) {
  const std::string plain = group_with("");
  for (const char* lines :
       {"  accounts: [x]\n", "  api_keys: {include: [x]}\n", "  api_keys: {exclude: [x]}\n",
        "  sampling_rate: 0.5\n", "  privacy_mode: true\n", "  compression: zstd\n",
        "  regions: [us]\n",
        "  filter_rules: {groups: [{rules: [{field: model, operator: exists}]}]}\n"}) {
    EXPECT_NE(group_with(lines), plain) << lines;
  }
  const auto with_rule = [](const std::string& group) {
    return group_with("  filter_rules: {groups: [{" + group + "}]}\n");
  };
  std::set<std::string> hashes;
  for (const char* group :
       {"rules: [{field: model, operator: exists}]", "rules: [{field: provider, operator: exists}]",
        "rules: [{field: model, operator: not_exists}]",
        "logic: or, rules: [{field: model, operator: exists}]",
        "rules: [{field: model, operator: equals, value: a}]",
        "rules: [{field: model, operator: equals, value: b}]",
        "rules: [{field: total_cost, operator: gt, value: 1}]",
        "rules: [{field: total_cost, operator: gt, value: 2}]"}) {
    EXPECT_TRUE(hashes.insert(with_rule(group)).second) << group;
  }
  EXPECT_NE(group_with("  sampling_rate: 0.5\n"),
            group_with("  sampling_rate: 0.5\n  sampling_salt: x\n"));
  EXPECT_NE(group_with("  privacy_mode: true\n"),
            group_with("  privacy_mode: true\n  privacy_keep: [x]\n"));
  EXPECT_NE(group_with("  api_keys: {include: [x]}\n"), group_with("  api_keys: {exclude: [x]}\n"));
  EXPECT_NE(group_with("  accounts: [ab, c]\n"), group_with("  accounts: [a, bc]\n"));
}

TEST(GroupHash, ChangesWithEveryOptionOfADialect) {
  const auto group = [](const std::string& line) {
    const auto config = parse_config(
        "destinations:\n- name: a\n  type: otlp\n  endpoint: http://localhost\n" + line, "gw.yaml");
    return config ? config->destinations[0].group : config.error().message();
  };
  std::set<std::string> groups = {group("")};
  for (const char* line :
       {"  dialect: openinference\n", "  always_hash_trace_id: true\n", "  shared_roots: true\n",
        "  tree: openrouter\n", "  gen_ai_names: development\n", "  flat_metadata: true\n",
        "  attribute_name_bytes_max: 255\n", "  attribute_bytes_max: 4095\n",
        "  attribute_list_max: 64\n", "  attributes_max: 128\n", "  service_name: other\n"}) {
    const std::string hash = group(line);
    EXPECT_EQ(hash.size(), 32U) << hash;
    EXPECT_TRUE(groups.insert(hash).second) << line;
  }
}

TEST(GroupHash, IgnoresWhatChangesNeitherRecordsNorBytes) {
  const std::string plain = group_with("");
  for (const char* lines :
       {"  headers: {X-Scope: blue}\n", "  project: other\n", "  second_key: ${env:KEY}\n",
        "  timeout: 1s\n", "  connections: 1\n", "  sampling_salt: x\n", "  privacy_keep: [x]\n",
        "  filter_rules: {enabled: false, groups: [{rules: [{field: model, operator: "
        "exists}]}]}\n"}) {
    EXPECT_EQ(group_with(lines), plain) << lines;
  }
  EXPECT_EQ(group_with("  accounts: [a, b]\n"), group_with("  accounts: [b, a, a]\n"));
}

TEST(IdentityHash, ChangesWithWhereAndWhatIsSent) {
  const std::string plain = identity_with("");
  for (const char* lines : {"  accounts: [x]\n", "  project: other\n", "  compression: zstd\n",
                            "  privacy_mode: true\n", "  headers: {X-Scope: blue}\n"}) {
    EXPECT_NE(identity_with(lines), plain) << lines;
  }
  EXPECT_NE(identity_with("  headers: {X-Scope: blue}\n"),
            identity_with("  headers: {X-Scope: red}\n"));
}

TEST(IdentityHash, IgnoresCredentialsAndHowMuchIsSent) {
  const std::string plain = identity_with("");
  for (const char* lines : {"  second_key: ${env:KEY}\n", "  timeout: 1s\n", "  connections: 1\n",
                            "  sampling_rate: 0.5\n", "  enabled: false\n"}) {
    EXPECT_EQ(identity_with(lines), plain) << lines;
  }
  EXPECT_EQ(identity_with("  headers: {Authorization: \"Bearer ${env:KEY}\"}\n"),
            identity_with("  headers: {Authorization: \"Bearer ${env:KEY2}\"}\n"));
  EXPECT_NE(identity_with("  headers: {Authorization: \"Bearer ${env:KEY}\"}\n"), plain);
}

}  // namespace
}  // namespace sidecast
