// Configs that are wrong: the exact message of each mistake, with line and column.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/config/config.h"
#include "tests/unit/config/fake_destination.h"

namespace sidecast {
namespace {

using Lines = std::vector<std::string>;

Lines errors_of(std::string_view text) {
  ConfigSources sources;
  sources.environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "KEY") return "s3cret-value";
    if (name == "TWO_LINES") return "one\ntwo";
    if (name == "EMPTY") return "";
    return std::nullopt;
  };
  sources.read_file = [](const std::string& path) -> Result<std::string> {
    return fail("cannot open " + path + ": No such file or directory");
  };
  const ConfigReport report = check_config(text, "gw.yaml", test::kFakeTypes, sources);
  EXPECT_EQ(report.config.has_value(), report.errors.empty());
  Lines lines;
  for (const ConfigProblem& error : report.errors) lines.push_back(problem_line("gw.yaml", error));
  return lines;
}

// The lines from 6 on of a config whose one destination is right up to there.
Lines errors_in_destination(std::string_view lines) {
  std::string text = "destinations:\n- name: a\n  type: fake\n  endpoint: https://a.example\n";
  text += "  api_key: ${env:KEY}\n";
  text += lines;
  return errors_of(text);
}

struct Case {
  std::string_view text;
  std::string_view error;
};

TEST(ConfigErrors, OfTheEngineSettingsSayWhereAndWhat) {
  const std::vector<Case> cases = {
      {"memroy_limit: 1GiB\n",
       "gw.yaml:1:1: unknown key 'memroy_limit'; did you mean 'memory_limit'?"},
      {"destinatoins: []\n",
       "gw.yaml:1:1: unknown key 'destinatoins'; did you mean 'destinations'?"},
      {"\n  colour: red\n",
       "gw.yaml:2:3: unknown key 'colour'; known here: ring_dir, memory_limit, workers, "
       "id_characters_max, batch_age_max, core_dumps, shutdown_deadline, give_up_after, spool, "
       "explain, "
       "writers, seal_key_file, egress, destinations_dir, destinations"},
      {"egress: {allow: [10.0.0.0/40]}\n",
       "gw.yaml:1:10: '10.0.0.0/40' needs a number from 0 to 32 after its /"},
      {"egress: {allow: [intranet]}\n",
       "gw.yaml:1:10: 'intranet' is not a range of addresses such as 10.1.0.0/16 or fd12::/16"},
      {"memory_limit: lots\n",
       "gw.yaml:1:15: 'memory_limit' must be a size from 16MiB to 1TiB, like 64MiB, not 'lots'"},
      {"memory_limit: 1KiB\n",
       "gw.yaml:1:15: 'memory_limit' must be a size from 16MiB to 1TiB, like 64MiB, not '1KiB'"},
      {"memory_limit: [1GiB]\n",
       "gw.yaml:1:15: 'memory_limit' must be a single value, but it is a list"},
      {"memory_limit:\n", "gw.yaml:2:1: 'memory_limit' must be a single value, but it is empty"},
      {"memory_limit: ${env:LIMIT}\n",
       "gw.yaml:1:15: 'memory_limit': environment variable LIMIT is not set"},
      {"memory_limit: ${env:KEY}\n",
       "gw.yaml:1:15: 'memory_limit' must be a size from 16MiB to 1TiB, like 64MiB, not "
       "'${env:KEY}'"},
      {"workers: 1.5\n", "gw.yaml:1:10: 'workers' must be a whole number from 0 to 256, not '1.5'"},
      {"workers: -1\n", "gw.yaml:1:10: 'workers' must be a whole number from 0 to 256, not '-1'"},
      {"batch_age_max: 5\n",
       "gw.yaml:1:16: 'batch_age_max' must be a duration from 10ms to 1h, like 500ms, not '5'"},
      {"ring_dir: rings\n", "gw.yaml:1:11: 'ring_dir' must be an absolute path"},
      {"writers: {lanes: 99}\n",
       "gw.yaml:1:18: 'lanes' must be a whole number from 1 to 16, not '99'"},
      {"writers: {enabled: yes}\n", "gw.yaml:1:20: 'enabled' must be true or false, not 'yes'"},
      {"writers: fast\n", "gw.yaml:1:10: 'writers' must be a map, but it is a single value"},
      {"workers: 1\nworkers: 2\n", "gw.yaml:2:1: 'workers' stands here twice; keep one of them"},
      {"- workers\n", "gw.yaml:1:1: a config is a map of 'key: value' lines"},
      {"destinations: {a: b}\n", "gw.yaml:1:15: 'destinations' must be a list, but it is a map"},
      {"destinations: [a]\n", "gw.yaml:1:16: a destination must be a map with 'name' and 'type'"},
  };
  for (const Case& c : cases) EXPECT_EQ(errors_of(c.text), Lines{std::string(c.error)}) << c.text;
}

TEST(ConfigErrors, OfADestinationSayWhereAndWhat) {
  const std::string long_account = "  accounts: [a, " + std::string(1025, 'b') + "]\n";
  const std::vector<Case> cases = {
      {"  privcy_mode: true\n",
       "gw.yaml:6:3: unknown key 'privcy_mode'; did you mean 'privacy_mode'?"},
      {"  api_kye: x\n", "gw.yaml:6:3: unknown key 'api_kye'; did you mean 'api_key'?"},
      {"  sampling_rate: 25\n",
       "gw.yaml:6:18: 'sampling_rate' must be a number from 0.0001 to 1, not '25'"},
      {"  sampling_rate: 0\n",
       "gw.yaml:6:18: 'sampling_rate' must be a number from 0.0001 to 1, not '0'"},
      {"  sampling_rate: nan\n",
       "gw.yaml:6:18: 'sampling_rate' must be a number from 0.0001 to 1, not 'nan'"},
      {"  accounts: acme\n", "gw.yaml:6:13: 'accounts' must be a list, but it is a single value"},
      {"  accounts: []\n",
       "gw.yaml:6:3: 'accounts' is an empty list; leave the key out to take all"},
      {"  accounts: ['*']\n",
       "gw.yaml:6:3: 'accounts' knows no patterns; leave the key out to take all"},
      {"  accounts: [a, '']\n", "gw.yaml:6:17: 'accounts' holds an empty text"},
      {long_account, "gw.yaml:6:17: 'accounts' holds a text of 1025 bytes; use at most 1024"},
      {"  accounts: [a, [b]]\n",
       "gw.yaml:6:17: 'accounts' must be a single value, but it is a list"},
      {"  api_keys: {include: []}\n",
       "gw.yaml:6:14: 'include' is an empty list; leave the key out to take all"},
      {"  api_keys: {inclde: [a]}\n",
       "gw.yaml:6:14: unknown key 'inclde'; did you mean 'include'?"},
      {"  timeout: 1h\n",
       "gw.yaml:6:12: 'timeout' must be a duration from 100ms to 10m, like 500ms, not '1h'"},
      {"  connections: 0\n",
       "gw.yaml:6:16: 'connections' must be a whole number from 1 to 64, not '0'"},
      {"  project: {a: b}\n", "gw.yaml:6:12: 'project' must be a single value, but it is a map"},
      {"  second_key: ${env:NOPE}\n",
       "gw.yaml:6:15: 'second_key': environment variable NOPE is not set"},
      {"  second_key: ${file:/nope}\n",
       "gw.yaml:6:15: 'second_key': cannot open /nope: No such file or directory"},
      {"  second_key: ${vault:x}\n",
       "gw.yaml:6:15: 'second_key': unknown reference '${vault:x}'; use ${env:NAME}, "
       "${file:PATH}, or $${ for a literal ${"},
      {"  second_key: ${env:KEY\n",
       "gw.yaml:6:15: 'second_key': '${' without '}'; write $${ for a literal ${"},
      {"  second_key: sealed:AAAA\n",
       "gw.yaml:6:15: 'second_key' of destination 'a': there is no key for sealed values; set "
       "seal_key_file, SIDECAST_SEAL_KEY_FILE or systemd's LoadCredential=sidecast-seal-key"},
      {"  project: sealed:AAAA\n",
       "gw.yaml:6:12: 'project' is no secret; only secrets and headers may be sealed"},
      {"  client_key_file: /k.pem\n", "gw.yaml:6:3: 'client_key_file' needs a 'client_cert_file'"},
      {"  proxy: proxy.example:3128\n",
       "gw.yaml:6:3: 'proxy' must be a URL such as http://proxy.example:3128"},
      {"  proxy: http://u:p@proxy.example:3128\n",
       "gw.yaml:6:3: 'proxy' holds a user or password; put it into 'proxy_credentials'"},
      {"  headers: {'a b': c}\n", "gw.yaml:6:13: not a header name; use letters, digits and '-'"},
      {"  headers: {X-A: '${env:TWO_LINES}'}\n",
       "gw.yaml:6:18: header 'X-A' holds a control character, such as a newline"},
      {"  headers: {X-A: 1, X-A: 2}\n", "gw.yaml:6:21: 'X-A' stands here twice; keep one of them"},
      {"  project: a\n  project: b\n",
       "gw.yaml:7:3: 'project' stands here twice; keep one of them"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(errors_in_destination(c.text), Lines{std::string(c.error)}) << c.text;
  }
}

TEST(ConfigErrors, OfWhatADestinationMustHave) {
  const std::vector<Case> cases = {
      {"destinations:\n- type: fake\n  endpoint: http://a\n  api_key: ${env:KEY}\n",
       "gw.yaml:2:3: a destination needs a 'name', to tell it from others"},
      {"destinations:\n- name: a\n",
       "gw.yaml:2:3: destination 'a' needs a 'type'; `sidecast destinations` lists them"},
      {"destinations:\n- name: a\n  type: fakr\n  anything: 1\n",
       "gw.yaml:3:9: unknown destination type 'fakr'; did you mean 'fake'?"},
      {"destinations:\n- name: a\n  type: carrier-pigeon\n",
       "gw.yaml:3:9: unknown destination type 'carrier-pigeon'; `sidecast destinations` lists "
       "them"},
      {"destinations:\n- name: a\n  type: fake\n  endpoint: http://a\n",
       "gw.yaml:2:3: destination 'a' needs 'api_key': Key of the project."},
      {"destinations:\n- name: a\n  type: fake\n  endpoint: http://a\n  api_key: ${env:EMPTY}\n",
       "gw.yaml:5:12: destination 'a' needs 'api_key': Key of the project."},
      {"destinations:\n- name: a\n  type: fake\n  endpoint: ftp://a\n  api_key: ${env:KEY}\n",
       "gw.yaml:4:3: destination 'a': endpoint must be an http:// or https:// URL"},
      {"destinations:\n"
       "- {name: a, type: fake, endpoint: http://a, api_key: '${env:KEY}'}\n"
       "- {name: a, type: fake, endpoint: http://b, api_key: '${env:KEY}'}\n",
       "gw.yaml:3:10: destination 'a' stands already in line 2; names must differ"},
      {"destinations:\n- name: \"\"\n  type: fake\n  endpoint: http://a\n  api_key: ${env:KEY}\n",
       "gw.yaml:2:9: 'name' must be 1 to 128 bytes on one line"},
  };
  for (const Case& c : cases) EXPECT_EQ(errors_of(c.text), Lines{std::string(c.error)}) << c.text;
}

TEST(ConfigErrors, OfASpool) {
  const std::vector<Case> cases = {
      {"spool: {limit: 10GiB}\n",
       "gw.yaml:1:1: 'spool' needs 'dir': a directory on disk for what outlives memory"},
      {"spool: {dir: spool}\n", "gw.yaml:1:14: 'dir' must be an absolute path"},
      {"spool: {dir: /x, sync: sometimes}\n",
       "gw.yaml:1:18: 'sync' must be never, always or interval"},
      {"give_up_after: 1h\nspool: {dir: /x, age_max: 2h}\n",
       "gw.yaml:2:18: 'age_max' and 'give_up_after' are the same age; set one of them"},
  };
  for (const Case& c : cases) EXPECT_EQ(errors_of(c.text), Lines{std::string(c.error)}) << c.text;
}

TEST(ConfigErrors, OfWhatIsNotBuiltYetAreNeverSilence) {
  const std::vector<Case> cases = {
      {"gateways: []\n",
       "gw.yaml:1:1: 'gateways' is not supported yet; every ring may speak for every account"},
  };
  for (const Case& c : cases) EXPECT_EQ(errors_of(c.text), Lines{std::string(c.error)}) << c.text;
}

TEST(ConfigErrors, OfFilterRulesSayWhatIsMeant) {
  const auto rule = [](const std::string& text) {
    return errors_in_destination("  filter_rules: {groups: [{rules: [" + text + "]}]}\n");
  };
  EXPECT_EQ(errors_in_destination("  filter_rules: {}\n"),
            Lines{"gw.yaml:6:17: 'filter_rules' needs 'groups'"});
  EXPECT_EQ(errors_in_destination("  filter_rules: {groups: [{rules: []}]}\n"),
            Lines{"gw.yaml:6:28: a group needs 1 to 64 'rules'"});
  EXPECT_EQ(rule("{field: modle, operator: equals, value: x}"),
            Lines{"gw.yaml:6:37: unknown field 'modle'; did you mean 'model'?"});
  EXPECT_EQ(rule("{field: model, operator: greater, value: x}"),
            Lines{"gw.yaml:6:51: 'operator' must be one of equals, not_equals, contains, "
                  "not_contains, regex, starts_with, ends_with, gt, lt, gte, lte, exists, "
                  "not_exists"});
  EXPECT_EQ(rule("{field: model, operator: gt, value: 1}"),
            Lines{"gw.yaml:6:51: this operator compares numbers, and the field is text"});
  EXPECT_EQ(rule("{field: total_cost, operator: contains, value: 1}"),
            Lines{"gw.yaml:6:56: this operator compares text, and the field is a number"});
  EXPECT_EQ(rule("{field: total_cost, operator: gt, value: much}"),
            Lines{"gw.yaml:6:70: 'value' must be a number for this field"});
  EXPECT_EQ(rule("{field: model, operator: equals}"),
            Lines{"gw.yaml:6:36: this rule needs a 'value'"});
  EXPECT_EQ(rule("{field: model, operator: exists, value: x}"),
            Lines{"gw.yaml:6:69: 'exists' and 'not_exists' take no 'value'"});
  EXPECT_EQ(rule("{operator: exists}"), Lines{"gw.yaml:6:36: a rule needs 'field'"});
  EXPECT_EQ(rule("{field: model, operator: regex, value: 'a('}"),
            Lines{"gw.yaml:6:68: 'value' is not an expression of RE2's syntax and bounds "
                  "(there is no look-around)"});
  EXPECT_EQ(rule("{field: input, operator: regex, value: '((a{100}){100}){100}'}").size(), 1U);
}

TEST(ConfigErrors, OfYamlItselfSayWhere) {
  const std::vector<Case> cases = {
      {"a: [1\nb: 2\n", "gw.yaml:2:2: not valid YAML: end of sequence flow not found"},
      {"workers: 1\n\tlanes: 2\n",
       "gw.yaml:2:1: not valid YAML: illegal tab when looking for indentation"},
      {"writers: {ring_size: ${env:X}, lanes: 1}\n",
       "gw.yaml:1:23: not valid YAML: end of map flow not found; inside {...} and [...] a ${...} "
       "needs quotes"},
      {"workers: 1\n---\nworkers: 2\n",
       "gw.yaml:2:1: a config is one YAML document; remove the second '---'"},
      {"workers: !secret 1\n", "gw.yaml:1:10: YAML tags have no meaning here; remove it"},
      {"[a]: b\n", "gw.yaml:1:1: a key must be text"},
      {"a: &x [*x]\n", "gw.yaml:1:8: the alias names something that contains it"},
      {"workers: 1\x04\n", "gw.yaml:1:11: control character 0x04; remove it"},
      {"a: 1\nb: \xff\n", "gw.yaml:2:1: this line is not UTF-8; save the file as UTF-8"},
  };
  for (const Case& c : cases) EXPECT_EQ(errors_of(c.text), Lines{std::string(c.error)}) << c.text;
}

TEST(ConfigErrors, ComeAllAtOnceAndInTheOrderOfTheFile) {
  EXPECT_EQ(
      errors_of("destinations:\n"
                "- {name: a, type: nope}\n"
                "workers: many\n"
                "wrokers: 1\n"),
      (Lines{"gw.yaml:2:19: unknown destination type 'nope'; `sidecast destinations` lists them",
             "gw.yaml:3:10: 'workers' must be a whole number from 0 to 256, not 'many'",
             "gw.yaml:4:1: unknown key 'wrokers'; did you mean 'workers'?"}));
}

TEST(ConfigErrors, NeverShowAValueThatCameFromOutside) {
  for (const char* key : {"sampling_rate", "timeout", "privacy_mode", "type", "name"}) {
    const std::string text =
        std::string("destinations:\n- {api_key: a, ") + key + ": '${env:KEY}'}\n";
    for (const std::string& line : errors_of(text)) {
      EXPECT_EQ(line.find("s3cret-value"), std::string::npos) << line;
    }
  }
}

TEST(ConfigErrors, AreOnePrintableLineWhateverTheFileHolds) {
  EXPECT_EQ(errors_of("\"a\\nb\\e[31m\": 1\n")[0].find("gw.yaml:1:1: unknown key 'a b [31m'; "),
            0U);
  const std::string reference = "workers: ${vault:" + std::string(100'000, 'x') + "}\n";
  const Lines errors = errors_of(reference);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_LT(errors[0].size(), 1000U);
}

TEST(ConfigErrors, HostileTextIsRefusedWithinBounds) {
  EXPECT_EQ(errors_of(std::string(kConfigBytesMax + 1, ' ')),
            Lines{"gw.yaml: larger than 16MiB; split it"});
  EXPECT_EQ(errors_of(std::string(100'000, '[')).size(), 1U);

  std::string many_mistakes;
  for (int i = 0; i < 5000; ++i) many_mistakes += "k" + std::to_string(i) + ": 1\n";
  EXPECT_EQ(errors_of(many_mistakes).size(), 100U);

  // Aliases of aliases: 2^60 values if anybody copied them.
  std::string doubling = "a0: &a0 [x]\n";
  for (int i = 1; i < 60; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    doubling += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before + ", " +
                before + "]\n";
  }
  EXPECT_EQ(errors_of(doubling + "destinations: *a59\n").size(), 62U);
}

}  // namespace
}  // namespace sidecast
