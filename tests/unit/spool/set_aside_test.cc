// What was set aside is kept within a bound, the newest of it.
#include "engine/base/set_aside.h"

#include <chrono>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace sidecast {
namespace {

TEST(SetAside, TheOldestFilesGo) {
  const test::TempDir directory;
  const auto now = std::filesystem::file_time_type::clock::now();
  for (int i = 0; i < 30; ++i) {
    const std::string path = directory.file(fmt::format("{:02}.damaged", i));
    std::ofstream(path) << "x";
    std::filesystem::last_write_time(path, now + std::chrono::seconds(i));
  }
  std::ofstream(directory.file("other")) << "x";
  bound_set_aside(directory.path(), ".damaged");
  EXPECT_FALSE(std::filesystem::exists(directory.file("13.damaged")));
  EXPECT_TRUE(std::filesystem::exists(directory.file("14.damaged")));
  EXPECT_TRUE(std::filesystem::exists(directory.file("29.damaged")));
  EXPECT_TRUE(std::filesystem::exists(directory.file("other")));
}

TEST(SetAside, LargeFilesGoEvenIfTheyAreFew) {
  const test::TempDir directory;
  for (const char* const name : {"a.damaged", "b.damaged"}) {
    std::ofstream(directory.file(name)) << "x";
    std::filesystem::resize_file(directory.file(name), 48U << 20U);  // sparse
  }
  std::filesystem::last_write_time(
      directory.file("a.damaged"),
      std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  bound_set_aside(directory.path(), ".damaged");
  EXPECT_FALSE(std::filesystem::exists(directory.file("a.damaged")));
  EXPECT_TRUE(std::filesystem::exists(directory.file("b.damaged")));
}

}  // namespace
}  // namespace sidecast
