// The writer behind the C functions: the ladder from whole over shed to dropped, large records, the
// off switch, threads, and rings that cannot be made.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <fstream>
#include <set>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/layout.h"
#include "shm/settings.h"
#include "shm/test_point.h"
#include "tests/unit/shm/ring_fixture.h"

namespace sidecast::shm {
namespace {

class WriterTest : public testing::Test {
 protected:
  ScratchDirectory scratch_;
};

// ---- The ladder
// ------------------------------------------------------------------------------------------

TEST_F(WriterTest, AFullRingShedsBodiesThenKeepsSmallRecordsThenDrops) {
  const WriterHandle writer(scratch_.path(), 1 << 20);
  const std::string body(10'000, 'b');
  const SampleGeneration with_bodies("with", body, body);
  const SampleGeneration without("without");
  std::uint64_t whole = 0;
  std::uint64_t shed = 0;
  while (writer.write(with_bodies) == SIDECAST_OK) ++whole;
  ++shed;  // the one that ended the loop
  EXPECT_GT(whole, 30u);
  EXPECT_EQ(writer.counters().shed, shed);
  sidecast_status status;
  while ((status = writer.write(with_bodies)) == SIDECAST_SHED) ++shed;
  EXPECT_EQ(status, SIDECAST_DROPPED_FULL);
  // What is too little for a shed record still takes small ones without bodies.
  std::uint64_t small = 0;
  while ((status = writer.write(without)) == SIDECAST_OK) ++small;
  EXPECT_EQ(status, SIDECAST_DROPPED_FULL);
  EXPECT_GT(small, 0u);
  const sidecast_counters counters = writer.counters();
  EXPECT_EQ(counters.written, whole + shed + small);
  EXPECT_EQ(counters.shed, shed);
  EXPECT_EQ(counters.dropped_full, 2u);
  EXPECT_EQ(counters.dropped_busy, 0u);

  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  EXPECT_EQ(ring->counters().written, counters.written);
  EXPECT_EQ(ring->counters().shed, shed);
  EXPECT_EQ(ring->counters().dropped_full, 2u);
  EXPECT_EQ(drain(*ring).records.size(), counters.written);
  EXPECT_EQ(writer.write(with_bodies), SIDECAST_OK);
}

TEST_F(WriterTest, FailedRequestsMayUseTheReserveUpTo64KiB) {
  const WriterHandle writer(scratch_.path(), 4 << 20);
  const std::string body(30'000, 'b');
  SampleGeneration sample("g", body);
  while (writer.write(sample) == SIDECAST_OK) {
  }
  sample.c.http_status = 500;
  EXPECT_EQ(writer.write(sample), SIDECAST_OK);
  sample.c.http_status = 0;
  sample.c.error_type = text("timeout");
  EXPECT_EQ(writer.write(sample), SIDECAST_OK);
  const std::string large(66'000, 'b');
  SampleGeneration large_sample("g", large);
  large_sample.c.http_status = 500;
  EXPECT_EQ(writer.write(large_sample), SIDECAST_SHED);
}

TEST_F(WriterTest, AllOrNothingNeverShedsAndIsNotCountedAsADrop) {
  const WriterHandle writer(scratch_.path(), 1 << 20);
  const std::string body(20'000, 'b');
  SampleGeneration sample("g", body, body);
  sample.c.flags = SIDECAST_WRITE_ALL_OR_NOTHING;
  while (writer.write(sample) == SIDECAST_OK) {
  }
  EXPECT_EQ(writer.write(sample), SIDECAST_DROPPED_FULL);
  EXPECT_EQ(writer.counters().shed, 0u);
  EXPECT_EQ(writer.counters().dropped_full, 0u);
  const std::string endless(2 << 20, 'b');
  SampleGeneration too_large("g", endless);
  too_large.c.flags = SIDECAST_WRITE_ALL_OR_NOTHING;
  EXPECT_EQ(writer.write(too_large), SIDECAST_DROPPED_TOO_LARGE);  // waiting would not help
}

TEST_F(WriterTest, ALargeRecordGoesToTheWideLane) {
  const WriterHandle writer(scratch_.path(), 4 << 20);
  const std::string body((2 << 20) * 7 / 8 - 20'000, 'b');
  EXPECT_EQ(writer.write(SampleGeneration("large", body)), SIDECAST_OK);
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  EXPECT_EQ(ring->released(0).position, 0u);
  LaneCursor cursor;
  std::string bytes;
  EXPECT_EQ(ring->peek(0, cursor, bytes), PeekStatus::kRecord);
}

TEST_F(WriterTest, ARecordTooLargeForAnyLaneIsShedAtOnce) {
  const WriterHandle writer(scratch_.path(), 1 << 20);
  const std::string body(3 << 20, 'b');
  EXPECT_EQ(writer.write(SampleGeneration("g", body, body)), SIDECAST_SHED);
  const std::string name(1 << 20, 'n');
  EXPECT_EQ(writer.write(SampleGeneration(name)), SIDECAST_DROPPED_TOO_LARGE);
  EXPECT_EQ(writer.counters().dropped_too_large, 1u);
}

TEST_F(WriterTest, TheLargestRecordIsASetting) {
  const auto directory = open_directory(scratch_.path());
  std::string error;
  ASSERT_TRUE(
      directory->publish({.ring_bytes = 2 << 20, .lanes = 6, .record_bytes_max = 4096}, error))
      << error;
  const WriterHandle writer(scratch_.path(), 0, 0);
  EXPECT_EQ(writer.counters().ring_bytes, 2u << 20);
  EXPECT_EQ(writer.counters().lanes, 6u);
  const std::string body(5000, 'b');
  EXPECT_EQ(writer.write(SampleGeneration("g", body)), SIDECAST_SHED);
  EXPECT_EQ(writer.write(SampleGeneration("g", "small")), SIDECAST_OK);
}

// ---- Off switch, threads, signals
// ----------------------------------------------------------------------

TEST_F(WriterTest, TheOffSwitchWorksOnRingsThatExistAndOnNewOnes) {
  const WriterHandle writer(scratch_.path());
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  std::string error;
  ASSERT_TRUE(directory->publish({.switched_off = true}, error)) << error;
  EXPECT_EQ(writer.write(SampleGeneration("g")), SIDECAST_SWITCHED_OFF);
  EXPECT_EQ(writer.counters().disabled, 1u);
  const WriterHandle later(scratch_.path());
  EXPECT_EQ(later.write(SampleGeneration("g")), SIDECAST_SWITCHED_OFF);
  const auto later_ring = directory->discover().at(0);
  ASSERT_TRUE(directory->publish({}, error)) << error;
  EXPECT_EQ(writer.write(SampleGeneration("g")), SIDECAST_OK);
  EXPECT_EQ(later.write(SampleGeneration("g")), SIDECAST_OK);
}

TEST_F(WriterTest, ASettingsPageThatIsNoneIsIgnoredAndReplaced) {
  std::ofstream(scratch_.path() + "/settings") << std::string(40, 'x');
  const WriterHandle writer(scratch_.path());
  EXPECT_EQ(writer.opened(), SIDECAST_OK);
  const auto directory = open_directory(scratch_.path());
  std::string error;
  EXPECT_TRUE(directory->publish({}, error)) << error;
}

TEST_F(WriterTest, ASettingsPageThatSaysTheSameIsLeftAlone) {
  const auto directory = open_directory(scratch_.path());
  std::string error;
  ASSERT_TRUE(directory->publish({.lanes = 6}, error)) << error;
  // What a full file system does to another page.
  std::filesystem::create_directory(scratch_.path() + "/.settings.new");
  EXPECT_TRUE(directory->publish({.lanes = 6}, error)) << error;
  EXPECT_FALSE(directory->publish({.lanes = 7}, error));
}

TEST_F(WriterTest, TheOffSwitchReachesRingsEvenWhenThePageCannotBeWritten) {
  const WriterHandle writer(scratch_.path());
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  std::filesystem::create_directory(scratch_.path() + "/.settings.new");
  std::string error;
  EXPECT_FALSE(directory->publish({.switched_off = true}, error));
  EXPECT_EQ(writer.write(SampleGeneration("g")), SIDECAST_SWITCHED_OFF);
}

TEST_F(WriterTest, ManyThreadsLoseAndRepeatNothing) {
  constexpr int kThreads = 8;
  constexpr int kEach = 2000;
  const WriterHandle writer(scratch_.path(), 16 << 20, 4);
  std::atomic<std::uint64_t> written{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string id = std::to_string(t) + "-" + std::to_string(i);
        if (writer.write(SampleGeneration(id, "request")) == SIDECAST_OK) written.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  const std::vector<std::string> ids = drain(*ring).ids();
  EXPECT_EQ(ids.size(), written.load());
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), ids.size());
  const sidecast_counters counters = writer.counters();
  EXPECT_EQ(counters.written, written.load());
  EXPECT_EQ(counters.written + counters.dropped_busy, std::uint64_t{kThreads} * kEach);
}

#ifdef SIDECAST_TEST_POINTS
// Every lane but one is held by writes that were interrupted half-way, each by a signal handler
// that writes: the innermost of as many as there are lanes finds them all busy.
int handler_depth = 0;
sidecast_writer* handler_writer = nullptr;
int handler_statuses[SIDECAST_SWITCHED_OFF + 1];  // how often each came back

TEST_F(WriterTest, AWriteFromASignalHandlerFindsTheLaneBusyAndTakesAnother) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer delivers signals later";
#endif
  const WriterHandle writer(scratch_.path(), 1 << 20, 4);
  handler_writer = writer.get();
  handler_depth = 0;
  std::fill(std::begin(handler_statuses), std::end(handler_statuses), 0);
  struct sigaction action = {};
  action.sa_handler = [](int) {
    const SampleGeneration sample("inner", "request");
    ++handler_statuses[sidecast_write_generation(handler_writer, &sample.c)];
  };
  action.sa_flags = SA_NODEFER;
  struct sigaction previous = {};
  ASSERT_EQ(sigaction(SIGUSR1, &action, &previous), 0);
  test_point_hook = [](const char* name) {
    if (std::string_view(name) == "writer.after_copy" && ++handler_depth <= 6) raise(SIGUSR1);
  };
  EXPECT_EQ(writer.write(SampleGeneration("outer", "request")), SIDECAST_OK);
  test_point_hook = nullptr;
  sigaction(SIGUSR1, &previous, nullptr);
  EXPECT_EQ(handler_statuses[SIDECAST_OK], 3);
  EXPECT_EQ(handler_statuses[SIDECAST_DROPPED_BUSY], 1);
  const auto directory = open_directory(scratch_.path());
  EXPECT_EQ(drain(*directory->discover().at(0)).records.size(), 4u);
}
#endif

// ---- Rings that cannot be made
// -------------------------------------------------------------------------

TEST_F(WriterTest, AMissingDirectoryDisablesTheWriterUntilItIsThere) {
  const std::string path = scratch_.path() + "/later";
  const WriterHandle writer(path);
  EXPECT_EQ(writer.opened(), SIDECAST_DISABLED);
  ASSERT_NE(writer.get(), nullptr);
  EXPECT_EQ(writer.write(SampleGeneration("g")), SIDECAST_DISABLED);
  EXPECT_NE(std::string(writer.counters().reason).find("No such file"), std::string::npos);
  const auto directory = open_directory(path);
  EXPECT_EQ(writer.write(SampleGeneration("g")), SIDECAST_DISABLED);  // not before ten seconds
  EXPECT_EQ(sidecast_refresh(writer.get()), SIDECAST_OK);
  EXPECT_EQ(writer.write(SampleGeneration("g")), SIDECAST_OK);
  EXPECT_EQ(writer.counters().disabled, 2u);
  EXPECT_EQ(directory->discover().size(), 1u);
}

TEST_F(WriterTest, AFileOrALinkInTheDirectorysPlaceDisables) {
  const std::string path = scratch_.path() + "/in-the-way";
  std::ofstream(path) << "x";
  EXPECT_EQ(WriterHandle(path).opened(), SIDECAST_DISABLED);
  ASSERT_EQ(unlink(path.c_str()), 0);
  ASSERT_EQ(symlink("/tmp", path.c_str()), 0);
  const WriterHandle writer(path);
  EXPECT_EQ(writer.opened(), SIDECAST_DISABLED);
  EXPECT_NE(std::string(writer.counters().reason).find("not a directory"), std::string::npos);
}

TEST_F(WriterTest, AnEngineOfAnotherLayoutVersionDisables) {
  SettingsPage page{};
  page.magic = kSettingsMagic;
  page.layout_version_min = page.layout_version_max = kLayoutVersion + 1;
  std::string error;
  const int directory = open(scratch_.path().c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(publish_settings(directory, page, error)) << error;
  close(directory);
  const WriterHandle writer(scratch_.path());
  EXPECT_EQ(writer.opened(), SIDECAST_DISABLED);
  EXPECT_NE(std::string(writer.counters().reason).find("upgrade the engine"), std::string::npos);
}

// Runs `body` in a child, whose exit status says whether it held. For what would change this
// process.
template <typename Body>
bool holds_in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_F(WriterTest, WithoutPermissionTheWriterIsDisabledAndNothingIsLeftBehind) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  ASSERT_EQ(chmod(scratch_.path().c_str(), 0755), 0);
  EXPECT_TRUE(holds_in_child([&] {
    if (setuid(65534) != 0) return false;
    const WriterHandle writer(scratch_.path());
    return writer.opened() == SIDECAST_DISABLED &&
           std::string(writer.counters().reason).find("Permission denied") != std::string::npos;
  }));
  EXPECT_TRUE(scratch_.names("").empty());
}

TEST_F(WriterTest, AGatewayOfAnotherUserCanWriteButNeitherListNorReadNorRemove) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  const WriterHandle ours(scratch_.path());
  const std::string name = scratch_.path() + "/" + scratch_.names(".ring").at(0);
  EXPECT_TRUE(holds_in_child([&] {
    if (setgid(65534) != 0 || setuid(65534) != 0) return false;
    const WriterHandle writer(scratch_.path());
    return writer.write(SampleGeneration("g")) == SIDECAST_OK &&
           open(scratch_.path().c_str(), O_RDONLY | O_DIRECTORY) < 0 &&
           open(name.c_str(), O_RDONLY) < 0 && unlink(name.c_str()) != 0;
  }));
  EXPECT_EQ(open_directory(scratch_.path())->discover().size(), 2u);
}

TEST_F(WriterTest, ASmallFileSystemIsNeverFilledByGatewaysThatDieInALoop) {
  if (geteuid() != 0 || mount("tmpfs", scratch_.path().c_str(), "tmpfs", 0, "size=8m,mode=3733")) {
    GTEST_SKIP() << "needs root to mount a small file system";
  }
  {
    const WriterHandle writer(scratch_.path(), 16 << 20);
    EXPECT_EQ(writer.opened(), SIDECAST_OK);
    EXPECT_LE(writer.counters().ring_bytes, 2u << 20);
    EXPECT_NE(std::string(writer.counters().reason).find("smaller ring"), std::string::npos);
  }
  int opened = 1;
  while (opened < 100) {
    const WriterHandle writer(scratch_.path(), 16 << 20);
    if (writer.opened() != SIDECAST_OK) {
      EXPECT_NE(std::string(writer.counters().reason).find("no space"), std::string::npos);
      break;
    }
    ++opened;
  }
  EXPECT_LT(opened, 20);
  EXPECT_GE(std::filesystem::space(scratch_.path()).available, 512u << 10);
  EXPECT_TRUE(scratch_.names(".ring").size() == scratch_.names(".lock").size());
  umount2(scratch_.path().c_str(), MNT_DETACH);
}

TEST_F(WriterTest, ALimitOnFileSizesMakesASmallerRingAndNoSignal) {
  EXPECT_TRUE(holds_in_child([&] {
    const rlimit limit = {1 << 20, 1 << 20};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    const WriterHandle writer(scratch_.path(), 16 << 20);
    return writer.opened() == SIDECAST_OK && writer.counters().ring_bytes <= 1 << 20;
  }));
}

// ---- Arguments
// -------------------------------------------------------------------------------------------

TEST_F(WriterTest, WrongArgumentsAreAnAnswerNotACrash) {
  EXPECT_EQ(sidecast_open(nullptr, nullptr), SIDECAST_INVALID);
  sidecast_options options = {};
  sidecast_writer* writer = nullptr;
  EXPECT_EQ(sidecast_open(&options, &writer), SIDECAST_INVALID);  // struct_size 0
  EXPECT_EQ(writer, nullptr);
  const SampleGeneration sample("g");
  EXPECT_EQ(sidecast_write_generation(nullptr, &sample.c), SIDECAST_DISABLED);
  EXPECT_EQ(sidecast_refresh(nullptr), SIDECAST_DISABLED);
  sidecast_close(nullptr);
  const WriterHandle handle(scratch_.path());
  EXPECT_EQ(sidecast_write_generation(handle.get(), nullptr), SIDECAST_INVALID);
  SampleGeneration no_size("g");
  no_size.c.struct_size = 0;
  EXPECT_EQ(handle.write(no_size), SIDECAST_INVALID);
  SampleGeneration no_times("g");
  no_times.c.start_ns = 0;
  EXPECT_EQ(handle.write(no_times), SIDECAST_INVALID);
  EXPECT_EQ(sidecast_stats(handle.get(), nullptr), SIDECAST_INVALID);
  EXPECT_EQ(handle.counters().written, 0u);
}

TEST_F(WriterTest, AStructOfAnOlderHeaderIsCompletedWithNothing) {
  const WriterHandle writer(scratch_.path());
  SampleGeneration sample("g");
  sample.c.error_type = text("must not be read");
  sample.c.struct_size = offsetof(sidecast_generation, error_type);
  EXPECT_EQ(writer.write(sample), SIDECAST_OK);
  const auto directory = open_directory(scratch_.path());
  RecordView view;
  const auto ring = directory->discover().at(0);
  const Drained drained = drain(*ring);
  ASSERT_EQ(parse_record(drained.records.at(0), view), RecordError::kNone);
  EXPECT_EQ(view.generation_id, "g");
  EXPECT_EQ(view.error_type, "");
}

}  // namespace
}  // namespace sidecast::shm
