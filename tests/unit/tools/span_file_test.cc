#include "tools/receiver/span_file.h"

#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/tools/scratch.h"

namespace sidecast::receiver {
namespace {

class SpanFileTest : public testing::Test {
 protected:
  void put(std::string_view text) const { std::ofstream(path_, std::ios::binary) << text; }
  [[nodiscard]] std::string text() const {
    std::stringstream all;
    all << std::ifstream(path_, std::ios::binary).rdbuf();
    return all.str();
  }

  const Scratch scratch_;
  const std::string path_ = scratch_.file("spans.jsonl");
};

TEST_F(SpanFileTest, AppendsToWhatIsThere) {
  put("{\"old\":1}\n");
  auto file = SpanFile::open(path_);
  ASSERT_TRUE(file);
  EXPECT_TRUE((*file)->append("{\"new\":1}\n"));
  EXPECT_EQ(text(), "{\"old\":1}\n{\"new\":1}\n");
}

TEST_F(SpanFileTest, TakesATornLineOffAtOpen) {
  for (const std::string& torn : {std::string("x"), std::string(200'000, 'x')}) {
    put("{\"whole\":1}\n" + torn);
    ASSERT_TRUE(SpanFile::open(path_));
    EXPECT_EQ(text(), "{\"whole\":1}\n");
    put(torn);
    ASSERT_TRUE(SpanFile::open(path_));
    EXPECT_EQ(text(), "");
  }
}

TEST_F(SpanFileTest, NewFilesArePrivate) {
  ASSERT_TRUE(SpanFile::open(path_));
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(SpanFileTest, LinesOfManyThreadsStayWhole) {
  auto file = SpanFile::open(path_);
  ASSERT_TRUE(file);
  std::vector<std::thread> threads;
  for (char letter = 'a'; letter < 'e'; ++letter) {
    threads.emplace_back([&, letter] {
      for (int i = 0; i < 50; ++i) EXPECT_TRUE((*file)->append(std::string(5'000, letter) + "\n"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::ifstream stream(path_);
  int count = 0;
  for (std::string line; std::getline(stream, line); ++count) {
    ASSERT_EQ(line, std::string(5'000, line.front()));
  }
  EXPECT_EQ(count, 200);
}

TEST_F(SpanFileTest, FailuresAreTold) {
  EXPECT_FALSE(SpanFile::open(scratch_.file("missing/file")));
  auto full = SpanFile::open("/dev/full");
  ASSERT_TRUE(full) << full.error().message();
  EXPECT_FALSE((*full)->append("x\n"));
}

}  // namespace
}  // namespace sidecast::receiver
