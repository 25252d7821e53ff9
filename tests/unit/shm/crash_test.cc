// Writers that are killed: at every named point, and anywhere, while the engine's side drains.
// Bodies describe themselves, so that a torn record is seen; what a writer logged after each write
// returned must all be there, in order, and nothing twice.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/test_point.h"
#include "tests/unit/shm/ring_fixture.h"

namespace sidecast::shm {
namespace {

// What a writer tells about itself from beyond the grave.
class SharedCount {
 public:
  SharedCount()
      : count_(new (mmap(nullptr, sizeof(std::atomic<std::uint64_t>), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0)) std::atomic<std::uint64_t>(0)) {}
  ~SharedCount() { munmap(count_, sizeof *count_); }
  SharedCount(const SharedCount&) = delete;
  SharedCount& operator=(const SharedCount&) = delete;
  [[nodiscard]] std::atomic<std::uint64_t>& get() const noexcept { return *count_; }

 private:
  std::atomic<std::uint64_t>* count_;
};

// Every byte of the body is a function of the record's number.
void fill_body(std::string& body, std::uint64_t number) {
  std::memset(body.data(), static_cast<int>(number % 251), body.size());
}

// Writes numbered records until it is killed. Waits for room, so that nothing is shed.
[[noreturn]] void write_until_killed(const std::string& path, std::size_t body_bytes,
                                     std::uint64_t ring_bytes,
                                     std::atomic<std::uint64_t>& written) {
  const WriterHandle writer(path, ring_bytes);
  std::string body(body_bytes, ' ');
  for (std::uint64_t number = 0;;) {
    fill_body(body, number);
    const std::string id = std::to_string(number);
    SampleGeneration sample(id, body);
    sample.c.flags = SIDECAST_WRITE_ALL_OR_NOTHING;
    if (writer.write(sample) != SIDECAST_OK) continue;
    written.store(++number);
  }
}

// What the engine's side has read of one ring.
struct Account {
  std::vector<std::uint64_t> numbers;
  std::uint64_t torn = 0;
  bool is_hostile = false;

  void drain_once(Ring& ring) {
    const Drained drained = drain(ring);
    is_hostile = is_hostile || drained.last != PeekStatus::kEmpty;
    for (const std::string& record : drained.records) {
      RecordView view;
      if (parse_record(record, view) != RecordError::kNone) {
        ++torn;
        continue;
      }
      const std::uint64_t number =
          std::strtoull(std::string(view.generation_id).c_str(), nullptr, 10);
      const auto fill = static_cast<char>(number % 251);
      const bool is_whole = std::all_of(view.request.begin(), view.request.end(),
                                        [&](char byte) { return byte == fill; });
      torn += is_whole ? 0 : 1;
      numbers.push_back(number);
    }
  }
  // All that the writer logged, each once, and at most the one whose write did not return.
  void check(std::uint64_t logged) {
    EXPECT_EQ(torn, 0u);
    EXPECT_FALSE(is_hostile);
    std::sort(numbers.begin(), numbers.end());
    for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], i);
    EXPECT_GE(numbers.size(), logged);
    EXPECT_LE(numbers.size(), logged + 1);
  }
};

class CrashTest : public testing::Test {
 protected:
  // Drains what the dead writer left, and removes it.
  void bury(RingDirectory& directory, std::shared_ptr<Ring> ring, Account& account,
            std::uint64_t logged) {
    if (ring == nullptr) {
      const auto found = directory.discover();
      if (found.empty()) {
        EXPECT_EQ(logged, 0u);
        return;
      }
      ring = found[0];
    }
    ASSERT_TRUE(ring->try_retire());
    account.drain_once(*ring);
    account.check(logged);
    EXPECT_EQ(ring->counters().written, account.numbers.size());
    EXPECT_EQ(ring->counters().shed, 0u);
    ring->remove();
  }
  ScratchDirectory scratch_;
};

// `SIDECAST_STORM` = number of kills per size; the default is a sample.
TEST_F(CrashTest, WritersKilledAnywhereLoseTearAndRepeatNothing) {
  const char* const wanted = std::getenv("SIDECAST_STORM");
  const int rounds = wanted != nullptr ? std::atoi(wanted) : 10;
  std::mt19937_64 random(7);
  struct Load {
    std::size_t body_bytes;
    std::uint64_t ring_bytes;
    std::uint64_t records_max;
  };
  for (const Load load : {Load{64, 256 << 10, 2000}, Load{2 << 10, 256 << 10, 500},
                          Load{64 << 10, 1 << 20, 40}, Load{1 << 20, 4 << 20, 8}}) {
    SCOPED_TRACE(load.body_bytes);
    const auto directory = open_directory(scratch_.path());
    for (int round = 0; round < rounds; ++round) {
      const SharedCount written;
      const std::uint64_t target = random() % load.records_max;
      const pid_t child = fork();
      if (child == 0) {
        write_until_killed(scratch_.path(), load.body_bytes, load.ring_bytes, written.get());
      }
      Account account;
      std::shared_ptr<Ring> ring;
      // One generous watchdog; the writer waits for us whenever its ring is full.
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
      while (written.get().load() < target && std::chrono::steady_clock::now() < deadline) {
        if (ring == nullptr) {
          const auto found = directory->discover();
          if (!found.empty()) ring = found[0];
        } else {
          account.drain_once(*ring);
        }
      }
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
      ASSERT_GE(written.get().load(), target);
      bury(*directory, ring, account, written.get().load());
      if (HasFatalFailure()) return;
    }
  }
}

#ifdef SIDECAST_TEST_POINTS
const char* fatal_point = nullptr;
int visits_left = 0;

TEST_F(CrashTest, WritersKilledAtEveryNamedPointLoseTearAndRepeatNothing) {
  for (const char* const point :
       {"ring_file.before_lock", "ring_file.after_lock", "ring_file.after_allocate",
        "ring_file.before_link", "ring_file.after_link", "writer.before_copy", "writer.after_copy",
        "lane.before_publish", "lane.after_publish"}) {
    for (const int visit : {1, 2, 30}) {
      const bool is_once = std::string_view(point).starts_with("ring_file");
      if (is_once && visit != 1) continue;
      SCOPED_TRACE(std::string(point) + " visit " + std::to_string(visit));
      const SharedCount written;
      const pid_t child = fork();
      if (child == 0) {
        fatal_point = point;
        visits_left = visit;
        test_point_hook = [](const char* name) {
          if (std::strcmp(name, fatal_point) == 0 && --visits_left == 0) raise(SIGKILL);
        };
        write_until_killed(scratch_.path(), 1000, 256 << 10, written.get());
      }
      int status = 0;
      waitpid(child, &status, 0);
      ASSERT_TRUE(WIFSIGNALED(status));
      Account account;
      const auto directory = open_directory(scratch_.path());
      bury(*directory, nullptr, account, written.get().load());
      if (HasFatalFailure()) return;
      // A half-made ring is swept up once it is old enough not to be one that is just being made.
      for (const std::string& name : scratch_.names("")) {
        const timespec long_ago[2] = {};
        utimensat(AT_FDCWD, (scratch_.path() + "/" + name).c_str(), long_ago, AT_SYMLINK_NOFOLLOW);
      }
      static_cast<void>(open_directory(scratch_.path())->discover());
      EXPECT_TRUE(scratch_.names("").empty());
    }
  }
}
#endif

// ---- The engine's side dies
// -----------------------------------------------------------------------------

#ifdef SIDECAST_TEST_POINTS
TEST_F(CrashTest, AReaderKilledAroundReleaseIsFollowedByOneThatMissesNothing) {
  const WriterHandle writer(scratch_.path(), 256 << 10);
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(writer.write(SampleGeneration(std::to_string(i))), SIDECAST_OK);
  }
  for (const char* const point : {"lane.before_release", "lane.after_release"}) {
    const pid_t child = fork();
    if (child == 0) {
      fatal_point = point;
      test_point_hook = [](const char* name) {
        if (std::strcmp(name, fatal_point) == 0) raise(SIGKILL);
      };
      const auto directory = open_directory(scratch_.path());
      const auto ring = directory->discover().at(0);
      for (std::uint32_t lane = 0; lane < ring->info().lanes; ++lane) {
        LaneCursor cursor = ring->released(lane);
        std::string bytes;
        for (int i = 0; i < 10; ++i) static_cast<void>(ring->peek(lane, cursor, bytes));
        ring->release(lane, cursor);
      }
      _exit(1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  // The first died before its release, the second after it: ten records are gone, and known to be.
  const auto directory = open_directory(scratch_.path());
  const std::vector<std::string> ids = drain(*directory->discover().at(0)).ids();
  ASSERT_EQ(ids.size(), 40u);
  EXPECT_EQ(ids.front(), "10");
  EXPECT_EQ(ids.back(), "49");
}
#endif

}  // namespace
}  // namespace sidecast::shm
