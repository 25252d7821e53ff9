// What happens to a writer when its process forks, loses its descriptors, or is taken for dead.
#include <algorithm>
#include <csignal>
#include <functional>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/shm/ring_fixture.h"

namespace sidecast::shm {
namespace {

class ForkTest : public testing::Test {
 protected:
  // The child's answer, 0 for yes.
  static int in_child(const std::function<bool()>& body) {
    const pid_t child = fork();
    if (child == 0) _exit(body() ? 0 : 1);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  }
  [[nodiscard]] std::vector<std::string> all_ids() const {
    std::vector<std::string> ids;
    const auto directory = open_directory(scratch_.path());
    for (const auto& ring : directory->discover()) {
      for (std::string& id : drain(*ring).ids()) ids.push_back(std::move(id));
    }
    std::sort(ids.begin(), ids.end());
    return ids;
  }

  ScratchDirectory scratch_;
};

TEST_F(ForkTest, AChildsFirstWriteMakesARingOfItsOwn) {
  const WriterHandle writer(scratch_.path());
  EXPECT_EQ(writer.write(SampleGeneration("parent")), SIDECAST_OK);
  EXPECT_EQ(in_child([&] {
              const bool had_ring = writer.counters().has_ring != 0;
              return !had_ring && writer.write(SampleGeneration("child")) == SIDECAST_OK &&
                     writer.counters().written == 1;
            }),
            0);
  EXPECT_EQ(writer.write(SampleGeneration("parent again")), SIDECAST_OK);
  EXPECT_EQ(scratch_.names(".ring").size(), 2u);
  EXPECT_EQ(all_ids(), (std::vector<std::string>{"child", "parent", "parent again"}));
}

TEST_F(ForkTest, AGrandchildHasItsOwnRingToo) {
  const WriterHandle writer(scratch_.path());
  EXPECT_EQ(in_child([&] {
              if (writer.write(SampleGeneration("child")) != SIDECAST_OK) return false;
              return in_child([&] {
                       return writer.write(SampleGeneration("grandchild")) == SIDECAST_OK;
                     }) == 0;
            }),
            0);
  EXPECT_EQ(scratch_.names(".ring").size(), 3u);
  EXPECT_EQ(all_ids(), (std::vector<std::string>{"child", "grandchild"}));
}

TEST_F(ForkTest, WithNoRetryAChildWritesOnlyAfterRefresh) {
  const WriterHandle writer(scratch_.path(), 1 << 20, 4, SIDECAST_OPEN_NO_RETRY);
  EXPECT_EQ(in_child([&] {
              return writer.write(SampleGeneration("a")) == SIDECAST_DISABLED &&
                     sidecast_refresh(writer.get()) == SIDECAST_OK &&
                     writer.write(SampleGeneration("b")) == SIDECAST_OK;
            }),
            0);
}

TEST_F(ForkTest, AChildThatOnlyClosesLeavesTheParentAlone) {
  WriterHandle writer(scratch_.path());
  EXPECT_EQ(in_child([&] {
              writer.close();
              return true;
            }),
            0);
  EXPECT_EQ(writer.write(SampleGeneration("parent")), SIDECAST_OK);
  const auto directory = open_directory(scratch_.path());
  EXPECT_FALSE(directory->discover().at(0)->try_retire());
}

// The parent is killed while a child of it lives on and holds copies of all its descriptors.
TEST_F(ForkTest, AParentsDeathIsSeenWhileItsIdleChildrenLiveOn) {
  int ready[2];
  int hold[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(hold), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    const WriterHandle writer(scratch_.path());
    const bool is_written = writer.write(SampleGeneration("parent")) == SIDECAST_OK;
    if (fork() == 0) {
      char byte = 0;
      close(hold[1]);
      static_cast<void>(!read(hold[0], &byte, 1));  // until the test closes its end
      _exit(0);
    }
    static_cast<void>(!write(ready[1], is_written ? "y" : "n", 1));
    raise(SIGKILL);
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  waitpid(parent, nullptr, 0);
  const auto directory = open_directory(scratch_.path());
  const auto ring = directory->discover().at(0);
  EXPECT_TRUE(ring->try_retire());
  EXPECT_EQ(drain(*ring).ids(), std::vector<std::string>{"parent"});
  for (const int end : {ready[0], ready[1], hold[0], hold[1]}) close(end);
}

// closefrom() in a gateway drops the lock and looks like death.
TEST_F(ForkTest, AWriterWronglyThoughtDeadMakesANewRing) {
  EXPECT_EQ(in_child([&] {
              WriterHandle writer(scratch_.path());
              if (writer.write(SampleGeneration("before")) != SIDECAST_OK) return false;
              closefrom(3);
              // Somebody else's file now has the number that the lock had.
              const int foreign = dup(STDERR_FILENO);
              const auto directory = open_directory(scratch_.path());
              const auto ring = directory->discover().at(0);
              if (!ring->try_retire()) return false;
              if (drain(*ring).ids().size() != 1) return false;
              ring->remove();
              // The ten seconds since the first ring are not over: dropped until asked for.
              if (writer.write(SampleGeneration("too early")) != SIDECAST_DISABLED) return false;
              if (sidecast_refresh(writer.get()) != SIDECAST_OK) return false;
              if (writer.write(SampleGeneration("after")) != SIDECAST_OK) return false;
              if (fcntl(foreign, F_GETFD) < 0) return false;
              const auto again = directory->discover();
              const bool is_found = again.size() == 1 && drain(*again[0]).ids().at(0) == "after";
              writer.close();
              return is_found && fcntl(foreign, F_GETFD) >= 0;
            }),
            0);
}

}  // namespace
}  // namespace sidecast::shm
