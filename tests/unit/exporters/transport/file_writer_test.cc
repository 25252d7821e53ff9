// Appending, rotating and mending one file, on a real file system.
#include "exporters/transport/file_writer.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exporters/transport/rotation.h"
#include "tests/support/temp_dir.h"

namespace sidecast {
namespace {

constexpr Timestamp kNow = Timestamp(std::chrono::seconds(1'700'000'000));
constexpr std::string_view kStart = "{\"r\":[";

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void write(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

class FileWriterTest : public ::testing::Test {
 protected:
  FileWriter::Failed append(std::string_view text, const RotationRules& rules = {},
                            Timestamp now = kNow) {
    const Bytes body[] = {text.substr(0, text.size() / 2), text.substr(text.size() / 2)};
    return writer_.append(body, kStart, rules, now);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
      found.push_back(entry.path().filename());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  test::TempDir dir_;
  const std::string path_ = dir_.file("traces.jsonl");
  FileWriter writer_{path_};
};

TEST_F(FileWriterTest, AppendsWholeBodiesToAFileThatOnlyItsOwnerReads) {
  ASSERT_FALSE(append("one\n"));
  ASSERT_FALSE(append("two\n"));
  EXPECT_EQ(read(path_), "one\ntwo\n");
  struct stat found {};
  ASSERT_EQ(::stat(path_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0600U);
}

TEST_F(FileWriterTest, RotatesBeforeItGrowsOverItsSize) {
  const RotationRules rules{.bytes_max = 10};
  ASSERT_FALSE(append("12345678\n", rules));
  ASSERT_FALSE(append("next\n", rules));
  EXPECT_EQ(read(path_), "next\n");
  const std::string rotated = rotated_path(path_, kNow);
  EXPECT_EQ(std::filesystem::path(rotated).filename(), "traces-20231114T221320.000000000Z.jsonl");
  EXPECT_EQ(read(rotated), "12345678\n");
}

TEST_F(FileWriterTest, ABodyOverTheSizeStillGoesIntoAFileOfItsOwn) {
  const RotationRules rules{.bytes_max = 4};
  ASSERT_FALSE(append("much too long\n", rules));
  EXPECT_EQ(read(path_), "much too long\n");
  EXPECT_EQ(names().size(), 1U);
}

TEST_F(FileWriterTest, RotatesWhatIsOldAndKeepsSoMany) {
  const RotationRules rules{.age_max = std::chrono::hours(1), .keep = 2};
  const Timestamp later = wall_now() + std::chrono::hours(2);
  for (int i = 0; i < 5; ++i) {
    ASSERT_FALSE(append(std::to_string(i) + "\n", rules, later + std::chrono::seconds(i)));
  }
  EXPECT_EQ(read(path_), "4\n");
  EXPECT_EQ(names().size(), 3U);
  EXPECT_EQ(read(rotated_path(path_, later + std::chrono::seconds(4))), "3\n");
}

TEST_F(FileWriterTest, TouchesOnlyFilesOfItsOwnNaming) {
  const std::vector<std::string> others = {
      "traces-20231114T221320.000000000Z.jsonl.bak", "traces-2023.jsonl",
      "other-20231114T221320.000000000Z.jsonl", "traces-20231114T221320.00000000xZ.jsonl"};
  for (const std::string& name : others) write(dir_.file(name), "mine\n");
  const RotationRules rules{.bytes_max = 1, .keep = 1, .compression = Compression::kGzip};
  for (int i = 0; i < 4; ++i) {
    ASSERT_FALSE(append("x\n", rules, kNow + std::chrono::seconds(i)));
  }
  for (const std::string& name : others) EXPECT_EQ(read(dir_.file(name)), "mine\n") << name;
}

TEST_F(FileWriterTest, CompressesRotatedFilesWholeOrNotAtAll) {
  for (const Compression codec : {Compression::kGzip, Compression::kZstd}) {
    dir_.renew();
    FileWriter writer(dir_.file("traces.jsonl"));
    const std::string body(9U << 20U, 'a');  // several members or frames
    const Bytes first[] = {body, "\n"};
    const Bytes second[] = {"next\n"};
    const RotationRules rules{.bytes_max = 1, .compression = codec};
    ASSERT_FALSE(writer.append(first, kStart, rules, kNow));
    ASSERT_FALSE(writer.append(second, kStart, rules, kNow));
    const std::string path = rotated_path(dir_.file("traces.jsonl"), kNow);
    const bool is_gzip = codec == Compression::kGzip;
    EXPECT_FALSE(std::filesystem::exists(path));
    const std::string packed = read(path + (is_gzip ? ".gz" : ".zst"));
    EXPECT_LT(packed.size(), body.size() / 10);
    struct stat found {};
    ASSERT_EQ(::stat((path + (is_gzip ? ".gz" : ".zst")).c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0600U);
    const std::string command = (is_gzip ? "gzip -dc " : "zstd -dcq ") + path +
                                (is_gzip ? ".gz" : ".zst") + " | wc -c > " + dir_.file("count");
    ASSERT_EQ(std::system(command.c_str()), 0);
    EXPECT_EQ(std::stoul(read(dir_.file("count"))), body.size() + 1);
  }
}

TEST_F(FileWriterTest, ALineThatAKilledEngineLeftUnfinishedIsRemoved) {
  write(path_, "{\"r\":[1]}\n{\"r\":[2");
  ASSERT_FALSE(append("{\"r\":[2]}\n"));
  EXPECT_EQ(read(path_), "{\"r\":[1]}\n{\"r\":[2]}\n");
  write(path_, "{\"r");  // not even as far as what tells it
  ASSERT_FALSE(append("{\"r\":[3]}\n"));
  EXPECT_EQ(read(path_), "{\"r\":[3]}\n");
}

TEST_F(FileWriterTest, WhatIsNotOursIsNeverCut) {
  write(path_, "somebody's\nnotes, without an end");
  ASSERT_FALSE(append("{\"r\":[1]}\n"));
  EXPECT_EQ(read(path_), "somebody's\nnotes, without an end\n{\"r\":[1]}\n");
}

TEST_F(FileWriterTest, AnUnfinishedLineLongerThanABlockIsFoundWhole) {
  write(path_, "{\"r\":[1]}\n{\"r\":[" + std::string(300'000, '2'));
  ASSERT_FALSE(append("{\"r\":[2]}\n"));
  EXPECT_EQ(read(path_), "{\"r\":[1]}\n{\"r\":[2]}\n");
}

TEST_F(FileWriterTest, AFileThatWasMovedAwayIsBegunAnew) {
  ASSERT_FALSE(append("one\n"));
  std::filesystem::rename(path_, dir_.file("moved"));  // logrotate
  ASSERT_FALSE(append("two\n"));
  EXPECT_EQ(read(dir_.file("moved")), "one\n");
  EXPECT_EQ(read(path_), "two\n");
}

// What does not fit any more is taken back, so that a later try writes each line once.
TEST_F(FileWriterTest, WithoutRoomNothingOfABodyStays) {
  ASSERT_FALSE(append("one\n"));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{100'000, before.rlim_max};
  sigset_t signals;
  sigset_t earlier;
  sigemptyset(&signals);
  sigaddset(&signals, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &signals, &earlier);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto failed = append(std::string(300'000, 'x') + "\n");
  ::setrlimit(RLIMIT_FSIZE, &before);
  const timespec none{};
  ::sigtimedwait(&signals, nullptr, &none);
  pthread_sigmask(SIG_SETMASK, &earlier, nullptr);
  EXPECT_EQ(failed.error, EFBIG);
  EXPECT_EQ(read(path_), "one\n");
  ASSERT_FALSE(append("two\n"));
  EXPECT_EQ(read(path_), "one\ntwo\n");
}

TEST_F(FileWriterTest, HostileNamesAreRefusedInsteadOfFollowed) {
  write(dir_.file("target"), "a secret\n");
  ASSERT_EQ(::symlink(dir_.file("target").c_str(), path_.c_str()), 0);
  EXPECT_EQ(append("x\n").error, ELOOP);
  EXPECT_EQ(read(dir_.file("target")), "a secret\n");
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_NE(append("x\n").error, 0);
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
  EXPECT_EQ(append("x\n").error, EISDIR);
  FileWriter nowhere(dir_.file("no/such/folder.jsonl"));
  EXPECT_EQ(nowhere.check().error, ENOENT);
}

TEST_F(FileWriterTest, AnotherProcessThatHoldsTheLockIsWaitedForAndThenReported) {
  write(path_, "");
  const int other = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  EXPECT_EQ(append("x\n").error, EWOULDBLOCK);
  EXPECT_FALSE(writer_.check());  // a connection test asks for no lock
  ::close(other);
  EXPECT_FALSE(append("x\n"));
}

}  // namespace
}  // namespace sidecast
