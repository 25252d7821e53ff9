// Changes to a config's text: all else stays as it stands.
#include "tools/sidecast/config_edit.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include "tests/unit/tools/scratch.h"
#include "tools/sidecast/replace_file.h"

namespace sidecast {
namespace {

const Settings kNew = {{"name", "new"}, {"type", "otlp"}, {"endpoint", "http://h:4318"}};

std::string added(std::string_view config) {
  const auto text = add_destination_to(config, kNew);
  return text ? *text : "error: " + text.error().message();
}

TEST(ConfigEdit, ADestinationIsAddedAfterTheLastAndItsComments) {
  EXPECT_EQ(added(R"(# Ours.
destinations:
  # the first
  - name: a
    type: otlp   # why
    #timeout: 30s

  - {name: b, type: otlp}

# the end
workers: 2
)"),
            R"(# Ours.
destinations:
  # the first
  - name: a
    type: otlp   # why
    #timeout: 30s

  - {name: b, type: otlp}
  - name: new
    type: otlp
    endpoint: 'http://h:4318'

# the end
workers: 2
)");
}

TEST(ConfigEdit, DashesMayStandUnderTheKey) {
  EXPECT_EQ(added("destinations:\n- name: a\n  type: otlp"),
            "destinations:\n- name: a\n  type: otlp\n- name: new\n  type: otlp\n"
            "  endpoint: 'http://h:4318'\n");
}

TEST(ConfigEdit, AConfigWithoutDestinationsGetsItsFirst) {
  const std::string item = "  - name: new\n    type: otlp\n    endpoint: 'http://h:4318'\n";
  EXPECT_EQ(added(""), "destinations:\n" + item);
  EXPECT_EQ(added("workers: 1"), "workers: 1\ndestinations:\n" + item);
  EXPECT_EQ(added("destinations:\n\nworkers: 1\n"), "destinations:\n" + item + "\nworkers: 1\n");
  EXPECT_EQ(added("destinations: [] # none yet\nworkers: 1\n"),
            "destinations:  # none yet\n" + item + "workers: 1\n");
}

TEST(ConfigEdit, WhatCannotBeAddedToIsSaid) {
  EXPECT_EQ(added("destinations: [{name: a, type: otlp}]\n"),
            "error: its destinations are not written as lines that begin with '-'");
  EXPECT_EQ(added("destinations: 7\n"), "error: its 'destinations' is no list");
  EXPECT_EQ(added("a: [\n").substr(0, 7), "error: ");
}

TEST(ConfigEdit, HostileValuesStayValues) {
  const auto text = add_destination_to("", {{"name", "it's # a: [b]"}, {"note", "x\n- y"}});
  ASSERT_TRUE(text);
  EXPECT_NE(text->find("name: 'it''s # a: [b]'"), std::string::npos) << *text;
  EXPECT_NE(text->find(R"(note: "x\x0a- y")"), std::string::npos) << *text;
}

TEST(ConfigEdit, HostileLineBreaksAddNoLine) {
  for (const char* value : {"a\nevil: 1", "[a,\nevil: 1]", "{a: \"b\",\r\n- c}", "\\\"\n", "\n"}) {
    const auto text = add_destination_to("", {{"name", value}});
    ASSERT_TRUE(text);
    EXPECT_EQ(std::count(text->begin(), text->end(), '\n'), 2) << *text;
    EXPECT_EQ(text->find('\r'), std::string::npos) << *text;
    EXPECT_EQ(YAML::Load(*text)["destinations"][0]["name"].as<std::string>(), value) << *text;
  }
}

TEST(ConfigEdit, SealedValuesAreReplacedWhereverTheyStand) {
  const auto reversed = [](std::string_view sealed) -> Result<std::string> {
    if (sealed == "sealed:BAD") return fail("damaged");
    return "sealed:N" + std::string(sealed.substr(7));
  };
  const auto done =
      reseal_all("# sealed:... values\na: sealed:A-_1\nb: {c: 'sealed:B'}\n", reversed);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->text, "# sealed:... values\na: sealed:NA-_1\nb: {c: 'sealed:NB'}\n");
  EXPECT_EQ(done->count, 2U);
  const auto failed = reseal_all("a: 1\nb: sealed:BAD\n", reversed);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "line 2: damaged");
}

TEST(ReplaceFile, KeepsModeAndLinksAndLeavesNothingBeside) {
  const Scratch scratch;
  const std::string path = scratch.put("a.yaml", "old");
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  std::filesystem::create_symlink("a.yaml", scratch.file("link.yaml"));
  ASSERT_TRUE(replace_file(scratch.file("link.yaml"), "new"));
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_EQ(text.str(), "new");
  struct stat after {};
  ASSERT_EQ(::stat(path.c_str(), &after), 0);
  EXPECT_EQ(after.st_mode & 07777U, 0640U);
  EXPECT_TRUE(std::filesystem::is_symlink(scratch.file("link.yaml")));
  ASSERT_TRUE(replace_file(scratch.file("made.yaml"), "x"));
  ASSERT_EQ(::stat(scratch.file("made.yaml").c_str(), &after), 0);
  EXPECT_EQ(after.st_mode & 07777U, 0600U);
  EXPECT_FALSE(replace_file(scratch.file("no/such/a.yaml"), "x"));
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(scratch.file(""))) {
    static_cast<void>(entry);
    ++files;
  }
  EXPECT_EQ(files, 3U);
}

}  // namespace
}  // namespace sidecast
