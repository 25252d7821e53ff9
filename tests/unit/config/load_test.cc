// Configs from real files, against the real destination types.
#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "engine/config/config.h"
#include "exporters/registry.h"
#include "tools/sidecast/starter_config.h"

namespace sidecast {
namespace {

class LoadConfig : public ::testing::Test {
 protected:
  LoadConfig() {
    std::string pattern = (std::filesystem::temp_directory_path() / "config-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~LoadConfig() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = folder_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }

  std::filesystem::path folder_;
};

TEST_F(LoadConfig, FilesOfSecretsAreFoundBesideTheConfig) {
  write("key", "Bearer s3cret\n");
  const std::string path = write("gw.yaml",
                                 "destinations:\n"
                                 "- name: a\n"
                                 "  type: otlp\n"
                                 "  endpoint: http://127.0.0.1:4318\n"
                                 "  authorization: ${file:key}\n");
  const auto config = load_config(path);
  ASSERT_TRUE(config) << config.error().message();
  ASSERT_EQ(config->destinations.size(), 1U);
  EXPECT_EQ(config->destinations[0].secrets.at("authorization").reveal(), "Bearer s3cret");
  EXPECT_TRUE(config->warnings.empty());
}

TEST_F(LoadConfig, RingDirIsFoundWithoutTheSecretsAndWhateverElseIsWrong) {
  const std::string path = write("gw.yaml",
                                 "ring_dir: /run/rings\n"
                                 "workesr: 3\n"
                                 "destinations:\n"
                                 "- name: a\n"
                                 "  type: otlp\n"
                                 "  authorization: ${env:SIDECAST_TEST_NO_SUCH}\n");
  EXPECT_FALSE(load_config(path));
  const auto ring_dir = load_ring_dir(path);
  ASSERT_TRUE(ring_dir) << ring_dir.error().message();
  EXPECT_EQ(*ring_dir, "/run/rings");
  EXPECT_EQ(*load_ring_dir(write("none.yaml", "workers: 1\n")), Config{}.ring_dir);
  EXPECT_FALSE(load_ring_dir(write("relative.yaml", "ring_dir: rings\n")));
  EXPECT_FALSE(load_ring_dir(write("broken.yaml", "ring_dir: [\n")));
}

TEST_F(LoadConfig, AnErrorHasOneLinePerMistake) {
  const std::string path = write("gw.yaml", "workers: many\nworkesr: 3\n");
  const auto config = load_config(path);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message(),
            path + ":1:10: 'workers' must be a whole number from 0 to 256, not 'many'\n" + path +
                ":2:1: unknown key 'workesr'; did you mean 'workers'?");
}

TEST_F(LoadConfig, WhatCannotBeReadIsNamed) {
  const std::string missing = (folder_ / "missing.yaml").string();
  const auto config = load_config(missing);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message(), "cannot open " + missing + ": No such file or directory");
  EXPECT_FALSE(load_config(folder_.string()));

  const std::string secret = write("big", std::string(100'000, 'x'));
  const std::string path = write("gw.yaml", "ring_dir: ${file:big}\n");
  const auto with_big_secret = load_config(path);
  ASSERT_FALSE(with_big_secret);
  EXPECT_EQ(with_big_secret.error().message(),
            path + ":1:11: 'ring_dir': " + secret + " is larger than 64KiB");
}

TEST_F(LoadConfig, TheStarterForACollectorIsValid) {
  const Destination* const otlp = find_destination_type("otlp");
  ASSERT_NE(otlp, nullptr);
  const StarterDestination destination{otlp, {{"endpoint", "http://127.0.0.1:4318"}}};
  const auto config =
      load_config(write("starter.yaml", starter_config(std::span(&destination, 1))));
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->destinations.size(), 1U);
}

}  // namespace
}  // namespace sidecast
