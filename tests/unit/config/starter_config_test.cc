// The config that `sidecast init` writes: right as it stands, and right when all is uncommented.
#include "tools/sidecast/starter_config.h"

#include <array>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "engine/config/config.h"
#include "tests/unit/config/fake_destination.h"

namespace sidecast {
namespace {

// A type whose defaults would mean something else to YAML if they were not quoted.
constexpr std::array<Option, 3> kAwkwardOptions = {{
    {.name = "endpoint", .fallback = "", .help = "Where to send.", .required = true},
    {.name = "path_template", .fallback = "{date}/it's: #${x}", .help = "Names of objects."},
    {.name = "empty", .fallback = "", .help = "Nothing by default."},
}};
constexpr Destination kAwkward{.name = "awkward",
                               .summary = "For tests of quoting.",
                               .options = kAwkwardOptions,
                               .make = &test::make_fake};

std::string starter() {
  const std::array<StarterDestination, 2> destinations = {
      {{&test::kFake, {{"endpoint", "http://127.0.0.1:4318"}}},
       {&kAwkward, {{"endpoint", "http://localhost/x"}}}}};
  return starter_config(destinations);
}

// Every "#setting" made a setting; "# prose" and "#" stay.
std::string uncommented(const std::string& text) {
  std::istringstream lines(text);
  std::string result;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t mark = line.find_first_not_of(' ');
    const bool is_setting = mark != std::string::npos && line[mark] == '#' &&
                            mark + 1 < line.size() &&
                            (line[mark + 1] != ' ' || line.substr(mark).starts_with("#  "));
    const bool is_prose = line.starts_with("#     ");  // the table of common keys
    if (is_setting && !is_prose) line.erase(mark, 1);
    result += line + '\n';
  }
  return result;
}

Config must_read(const std::string& text) {
  const std::array<const Destination*, 2> types = {&test::kFake, &kAwkward};
  ConfigSources sources;
  sources.environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "FAKE_API_KEY" || name == "FAKE_SECOND_KEY") return "k";
    return std::nullopt;
  };
  ConfigReport report = check_config(text, "starter.yaml", types, sources);
  for (const ConfigProblem& error : report.errors) {
    ADD_FAILURE() << problem_line("starter.yaml", error) << "\n" << text;
  }
  EXPECT_TRUE(report.warnings.empty());
  return report.config ? *std::move(report.config) : Config{};
}

TEST(StarterConfig, IsValidAsItStands) {
  const Config config = must_read(starter());
  ASSERT_EQ(config.destinations.size(), 2U);
  EXPECT_EQ(config.destinations[0].options.get("endpoint"), "http://127.0.0.1:4318");
  EXPECT_EQ(config.destinations[0].secrets.at("api_key").reveal(), "k");
  EXPECT_FALSE(config.destinations[0].secrets.contains("second_key"));
}

TEST(StarterConfig, UncommentedSaysWhatTheDefaultsAre) {
  const Config config = must_read(uncommented(starter()));
  const Config defaults = must_read(starter());
  EXPECT_EQ(config.ring_dir, defaults.ring_dir);
  EXPECT_EQ(config.memory_limit_bytes, defaults.memory_limit_bytes);
  EXPECT_EQ(config.workers, defaults.workers);
  EXPECT_EQ(config.batch_age_max, defaults.batch_age_max);
  EXPECT_EQ(config.shutdown_deadline, defaults.shutdown_deadline);
  EXPECT_EQ(config.give_up_after, defaults.give_up_after);
  EXPECT_EQ(config.id_characters_max, defaults.id_characters_max);
  EXPECT_EQ(config.writers_off, defaults.writers_off);
  EXPECT_EQ(config.ring_bytes, 16ULL << 20U) << "the writers' block was not uncommented";
  ASSERT_EQ(config.destinations.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(config.destinations[i].options.values, defaults.destinations[i].options.values);
    EXPECT_EQ(config.destinations[i].identity, defaults.destinations[i].identity);
  }
  EXPECT_EQ(config.destinations[1].options.get("path_template"), "{date}/it's: #${x}");
}

TEST(StarterConfig, NamesWhatOnlyTheUserKnows) {
  const StarterDestination destination{&test::kFake, {}};
  const std::string text = starter_config(std::span(&destination, 1));
  EXPECT_NE(text.find("    endpoint: CHANGE-ME\n"), std::string::npos);
}

}  // namespace
}  // namespace sidecast
