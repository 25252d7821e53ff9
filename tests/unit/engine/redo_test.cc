// Redo records: whatever instant a process is killed at, either nothing of a transaction is visible
// or, after recovery, all of it.
#include "engine/stage/redo.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/test_point.h"
#include "engine/ledger/ledger.h"
#include "engine/stage/segment.h"
#include "tests/support/log_capture.h"
#include "tests/support/temp_dir.h"

namespace sidecast::stage {
namespace {

constexpr std::size_t kOperations = 64;
const std::string kIdentity(32, 'a');

struct World {
  explicit World(const test::TempDir& directory) {
    ledger = std::move(*Ledger::open(directory.file("ledger")));
    redo = std::move(*RedoLog::open(directory.file("redo"), kOperations));
    slot = *ledger->find_or_add_destination(kIdentity, "d", "otlp");
    const std::string path = directory.file("segment");
    auto opened = Segment::open(path);
    segment = opened ? std::move(*opened) : std::move(*Segment::create(path, {0, 1}, 1, 65536));
  }
  [[nodiscard]] RedoTargets targets() const {
    return {.ledger = ledger.get(),
            .segment =
                [this](SegmentKey key) { return key == segment->key() ? segment.get() : nullptr; },
            .ring = [](const shm::RingUuid&) { return nullptr; }};
  }
  [[nodiscard]] ledger::DestinationSlot& destination() const { return ledger->destination(slot); }

  std::unique_ptr<Ledger> ledger;
  std::unique_ptr<RedoLog> redo;
  std::unique_ptr<Segment> segment;
  DestinationIndex slot = 0;
};

// One transaction that stages an entry: head and counter agree.
void stage_one(World& world) {
  EntryFields fields;
  fields.pending = 1;
  const std::uint64_t offset = world.segment->head();
  const Entry* const entry = world.segment->append(offset, fields, "spans");
  auto& routed = world.destination().route[0].routed;
  world.redo->set_counter(*world.ledger, routed, routed.load() + 1);
  world.redo->set_head(*world.segment, offset + entry->size_bytes);
  world.redo->commit();
}

// One transaction that settles it: bit and counter agree.
void settle(World& world, Entry& entry) {
  auto& delivered = world.destination().delivered;
  world.redo->clear_pending(*world.segment, entry, 0);
  world.redo->set_counter(*world.ledger, delivered, delivered.load() + 1);
  world.redo->commit();
}

std::uint64_t staged_entries(World& world) {
  std::uint64_t count = 0;
  for (std::uint64_t offset = 0; offset < world.segment->head(); ++count) {
    offset += world.segment->entry_at(offset)->size_bytes;
  }
  return count;
}

TEST(Redo, WhatIsNoFileInItsPlaceIsMovedAside) {
  const test::TempDir directory;
  ASSERT_TRUE(std::filesystem::create_directory(directory.file("redo")));
  const test::LogCapture log;
  EXPECT_TRUE(RedoLog::open(directory.file("redo"), kOperations));
  EXPECT_TRUE(std::filesystem::is_directory(directory.file("redo.foreign")));
  EXPECT_EQ(log.lines_with("is no file; moved to"), 1U);
}

TEST(Redo, WhatCannotBeMovedAsideIsNamedWithWhatToDo) {
  const test::TempDir directory;
  for (const char* name : {"redo", "redo.foreign"}) {
    ASSERT_TRUE(std::filesystem::create_directories(directory.file(name) + "/full"));
  }
  const auto opened = RedoLog::open(directory.file("redo"), kOperations);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message().find("remove it and start again"), std::string::npos)
      << opened.error().message();
}

TEST(Redo, CommitAppliesEveryOperationAndForgetsThem) {
  const test::TempDir directory;
  World world(directory);
  stage_one(world);
  EXPECT_TRUE(world.redo->empty());
  EXPECT_EQ(world.destination().route[0].routed.load(), 1U);
  ASSERT_EQ(staged_entries(world), 1U);
  settle(world, *world.segment->entry_at(0));
  EXPECT_EQ(world.destination().delivered.load(), 1U);
  EXPECT_EQ(world.segment->entry_at(0)->pending.load(), 0U);
  EXPECT_FALSE(world.redo->recover(world.targets())) << "nothing is left to redo";
}

#ifdef SIDECAST_TEST_POINTS
// Kills a child at the named point of the N-th transaction and looks at what it left.
class RedoCrash : public ::testing::TestWithParam<const char*> {};

TEST_P(RedoCrash, CountersAndStageAgreeAfterDeathAtEveryPoint) {
  for (int visit = 1; visit <= 4; ++visit) {
    const test::TempDir directory;
    const pid_t child = fork();
    if (child == 0) {
      const std::string point = std::string(GetParam()) + ":" + std::to_string(visit);
      kill_at_for_test(point.c_str());
      World world(directory);
      for (int i = 0; i < 3; ++i) {
        stage_one(world);
        settle(world, *world.segment->entry_at(0));
      }
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << GetParam() << " was not visited " << visit << " times";

    World world(directory);
    world.redo->recover(world.targets());
    EXPECT_EQ(world.destination().route[0].routed.load(), staged_entries(world)) << visit;
    const bool settled_once = world.destination().delivered.load() > 0;
    if (staged_entries(world) > 0) {
      EXPECT_EQ(world.segment->entry_at(0)->pending.load() == 0, settled_once) << visit;
    }
    EXPECT_FALSE(world.redo->recover(world.targets())) << "a second recovery finds nothing";
  }
}

INSTANTIATE_TEST_SUITE_P(Points, RedoCrash,
                         ::testing::Values("redo.before_seal", "redo.sealed", "redo.applying",
                                           "redo.applied"));
#endif

TEST(Redo, RecoveryIgnoresWhatIsGone) {
  const test::TempDir directory;
  {
    World world(directory);
    stage_one(world);
  }
  World world(directory);
  RedoTargets nothing = world.targets();
  nothing.segment = [](SegmentKey) { return nullptr; };
  EXPECT_FALSE(world.redo->recover(nothing));
  EXPECT_EQ(staged_entries(world), 1U);
}

TEST(Redo, LogOfAnEngineWithMoreDestinationsStaysReadable) {
  const test::TempDir directory;
  ASSERT_TRUE(RedoLog::open(directory.file("redo"), 4096));
  EXPECT_TRUE(RedoLog::open(directory.file("redo"), 16));
}

}  // namespace
}  // namespace sidecast::stage
