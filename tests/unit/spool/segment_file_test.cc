// A segment's file: what was written is found, what was torn or damaged is skipped and said.
#include "engine/spool/segment_file.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/spool/spool_fixture.h"

namespace sidecast::spool {
namespace {

using Access = SegmentFile::Access;

class SegmentFileTest : public ::testing::Test {
 protected:
  // Three frames; its path.
  std::string write_three() {
    auto file = SegmentFile::create(directory_.path(), 1, 64U << 10U, 1);
    EXPECT_TRUE(file) << file.error().message();
    for (std::uint32_t i = 0; i < 3; ++i) {
      offsets_.push_back((*file)->tail());
      EXPECT_TRUE((*file)->append(sample_.frame, i));
    }
    return (*file)->path();
  }
  static void damage(const std::string& path, std::uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put('!');
  }
  void SetUp() override { sample_.for_destinations(1); }

  test::TempDir directory_;
  Sample sample_;
  std::vector<std::uint64_t> offsets_;
};

TEST_F(SegmentFileTest, FramesAreFoundAgain) {
  auto file = SegmentFile::open(write_three(), Access::kRead);
  ASSERT_TRUE(file) << file.error().message();
  const auto scan = (*file)->scan();
  ASSERT_TRUE(scan);
  EXPECT_TRUE(scan->flaws.empty()) << scan->flaws.front();
  ASSERT_EQ(scan->frames.size(), 3U);
  EXPECT_EQ(scan->frames[2].offset, offsets_[2]);
  EXPECT_EQ(scan->frames[2].head.ordinal, 2U);
}

TEST_F(SegmentFileTest, HostileDamageCostsOneFrame) {
  const std::string path = write_three();
  damage(path, offsets_[1] + 20);
  auto file = SegmentFile::open(path, Access::kRead);
  const auto scan = (*file)->scan();
  EXPECT_EQ(scan->flaws.size(), 1U);
  EXPECT_FALSE(scan->is_torn);
  ASSERT_EQ(scan->frames.size(), 2U);
  EXPECT_EQ(scan->frames[1].head.ordinal, 2U);
}

// A disk that gives no bytes just now has lost none.
TEST_F(SegmentFileTest, WhatCannotBeReadIsNotCalledDamaged) {
  const std::string path = write_three();
  auto file = SegmentFile::open(path, Access::kRead);
  ASSERT_TRUE(file);
  int its = -1;
  for (int fd = 3; fd < 256 && its < 0; ++fd) {
    std::error_code none;
    const auto target = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), none);
    if (!none && target == path) its = fd;
  }
  ASSERT_GE(its, 0);
  const int folder = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::dup3(folder, its, O_CLOEXEC), its);  // reads of it fail: EISDIR
  ::close(folder);
  EXPECT_FALSE((*file)->scan());
}

TEST_F(SegmentFileTest, AFutureVersionIsNamed) {
  const std::string path = write_three();
  damage(path, offsetof(SegmentHeader, version));
  const auto file = SegmentFile::open(path, Access::kChange);
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message().find("of version"), std::string::npos) << file.error().message();
}

TEST_F(SegmentFileTest, TheDoneLogSurvivesATornEnd) {
  const std::string path = write_three();
  {
    auto file = SegmentFile::open(path, Access::kChange);
    ASSERT_TRUE((*file)->note_done(0, 1));
    std::ofstream log((*file)->done_path(), std::ios::app | std::ios::binary);
    log << "torn";
  }
  auto file = SegmentFile::open(path, Access::kChange);
  EXPECT_TRUE((*file)->check_done().is_torn);
  EXPECT_EQ((*(*file)->read_done())[0], 1U);
  ASSERT_TRUE((*file)->note_done(2, 3));
  EXPECT_FALSE((*file)->check_done().is_torn);
  EXPECT_EQ((*(*file)->read_done())[0], 1U);
  EXPECT_EQ((*(*file)->read_done())[2], 3U);
}

TEST_F(SegmentFileTest, HostilePipesKeepNobodyWaiting) {
  const std::string pipe = directory_.file("pipe.spool");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const Access access : {Access::kRead, Access::kChange}) {
    SegmentFile::Unusable why = SegmentFile::Unusable::kUnreachable;
    EXPECT_FALSE(SegmentFile::open(pipe, access, &why));
    EXPECT_EQ(why, SegmentFile::Unusable::kDamaged);
  }
  auto file = SegmentFile::open(write_three(), Access::kChange);
  ASSERT_EQ(mkfifo((*file)->done_path().c_str(), 0600), 0);
  EXPECT_EQ((*(*file)->read_done())[0], 0U);
  EXPECT_FALSE((*file)->note_done(0, 1));
}

TEST_F(SegmentFileTest, ADirectoryThatTakesNothingIsAnError) {
  const auto file = SegmentFile::create("/proc/self/fd", 1, 4096, 1);
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message().find("create"), std::string::npos);
}

}  // namespace
}  // namespace sidecast::spool
