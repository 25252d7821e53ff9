// The spool while an engine runs: who waits for what, and how it stays within its bounds.
#include "engine/spool/spool.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "engine/spool/directory_lock.h"
#include "tests/unit/spool/spool_fixture.h"

namespace sidecast::spool {
namespace {

using ledger::DropReason;

class SpoolTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string disk() const { return directory_.file("disk"); }
  test::TempDir directory_;
};

TEST_F(SpoolTest, GivesEachDestinationItsOldestFirst) {
  World world(directory_.path(), disk());
  Sample sample;
  sample.frame.sealed_ns = 2'000;
  const FrameRef second = world.put(sample, 2);
  sample.frame.sealed_ns = 1'000;  // came later, and is older
  const FrameRef first = world.put(sample, 1);
  EXPECT_EQ(world.spool.oldest(world.slot(0))->ordinal, first.ordinal);
  EXPECT_EQ(world.spool.oldest(world.slot(1))->ordinal, second.ordinal);
  world.deliver(first, 1);
  EXPECT_EQ(world.spool.oldest(world.slot(0))->ordinal, second.ordinal);
  world.deliver(second, 1);
  EXPECT_FALSE(world.spool.oldest(world.slot(0)));
  EXPECT_EQ(world.spooled(1), kRecords);
  world.expect_sums();
}

TEST_F(SpoolTest, ASegmentGoesWhenAllItsBatchesAreDone) {
  World world(directory_.path(), disk());
  Sample sample;
  const FrameRef one = world.put(sample, 2);
  const FrameRef other = world.put(sample, 1);
  world.deliver(one, 3);
  world.spool.rest();
  EXPECT_EQ(segments_in(disk()).size(), 1U);
  world.deliver(other, 1);
  world.spool.rest();
  EXPECT_TRUE(segments_in(disk()).empty());
  EXPECT_TRUE(files_of(disk(), ".done")->empty());
  EXPECT_TRUE(files_of(directory_.file("states"), ".state")->empty());
  EXPECT_EQ(world.spool.figures().bytes, 0U);
  world.expect_sums();
}

TEST_F(SpoolTest, AtItsLimitTheOldestMakeRoom) {
  constexpr std::uint64_t kLimit = 4U << 20U;
  World world(directory_.path(), disk(), kLimit);
  Sample sample(Compression::kNone, 100'000);  // 300 KB each
  std::size_t written = 0;
  for (; written < 40; ++written) {
    world.put(sample);
    ASSERT_LE(world.spool.figures().bytes, kLimit);
  }
  EXPECT_GT(world.dropped(0, DropReason::kBudget), 0U);
  EXPECT_GT(world.spooled(0), 0U);
  EXPECT_EQ(world.spooled(0) + world.dropped(0, DropReason::kBudget), written * kRecords);
  EXPECT_EQ(world.spool.take_dropped_for_room(), world.dropped(0, DropReason::kBudget));
  world.expect_sums();
}

TEST_F(SpoolTest, ABatchLargerThanTheLimitIsRefused) {
  World world(directory_.path(), disk(), 4U << 20U);
  Sample sample(Compression::kNone, 2U << 20U);
  sample.for_destinations(1);
  Sample small;
  world.put(small);
  EXPECT_FALSE(world.write(sample));
  // Nothing made room for it in vain.
  EXPECT_EQ(world.spooled(0), kRecords);
  EXPECT_EQ(world.spool.take_dropped_for_room(), 0U);
  world.put(small);
  world.expect_sums();
}

TEST_F(SpoolTest, AtItsLimitWhatOnlyMovesIsRefusedAndCostsNothing) {
  constexpr std::uint64_t kLimit = 4U << 20U;
  World world(directory_.path(), disk(), kLimit);
  Sample sample(Compression::kNone, 100'000);  // 300 KB each
  sample.for_destinations(1);
  std::size_t written = 0;
  while (const auto ref = world.write(sample, Spool::AtLimit::kRefuse)) {
    world.commit(*ref, 1);
    ASSERT_LE(++written, 40U);
  }
  const auto refused = world.write(sample, Spool::AtLimit::kRefuse);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message().starts_with(kNoRoomAtLimit)) << refused.error().message();
  EXPECT_EQ(world.spooled(0), written * kRecords);
  EXPECT_EQ(world.spool.take_dropped_for_room(), 0U);
  world.expect_sums();
}

TEST_F(SpoolTest, WhatIsGivenBackWaitsAgainAtItsOldPlace) {
  World world(directory_.path(), disk());
  Sample sample;
  const FrameRef old = world.put(sample, 2);
  ++sample.frame.sealed_ns;
  const FrameRef young = world.put(sample, 2);
  const auto before = world.spool.figures();
  for (const std::uint64_t bits : {1U, 2U, 3U, 1U}) {
    world.leave(old, bits);
    EXPECT_EQ(world.spool.oldest(world.slot(0)), bits == 2 ? old : young);
    world.give_back(old, bits);
    EXPECT_EQ(world.spool.oldest(world.slot(0)), old);
    EXPECT_EQ(world.spool.oldest(world.slot(1)), old);
    EXPECT_EQ(world.spool.figures().batches, before.batches);
    EXPECT_EQ(world.spool.figures().records, before.records);
    world.expect_sums();
  }
  for (const FrameRef ref : {old, young}) world.deliver(ref, 3);
  EXPECT_FALSE(world.spool.oldest(world.slot(0)));
  EXPECT_FALSE(world.spool.oldest(world.slot(1)));
  EXPECT_EQ(world.spool.figures().batches, 0U);
}

TEST_F(SpoolTest, WhileAFrameIsGivenBackNobodyElseTouchesIt) {
  World world(directory_.path(), disk());
  Sample sample;
  sample.frame.sealed_ns -= Nanoseconds(std::chrono::hours(25)).count();
  const FrameRef ref = world.put(sample, 2);
  world.leave(ref, 1);
  world.spool.begin_giving_back(ref, 1);
  EXPECT_FALSE(world.spool.oldest(world.slot(1)));
  EXPECT_EQ(world.spool.drop_overdue(*world.redo, wall_now()).expired, 0U);
  world.spool.end_giving_back(ref, 1, false);  // it stays in the stage
  EXPECT_EQ(world.spool.oldest(world.slot(1)), ref);
  EXPECT_EQ(world.spool.drop_overdue(*world.redo, wall_now()).expired, kRecords);
  EXPECT_EQ(world.spool.figures().segments, 1U);
  world.spool.settled(ref, 1);
  EXPECT_EQ(world.spool.figures().batches, 0U);
}

TEST_F(SpoolTest, WhatWasGivenBackIsThereAtTheNextStart) {
  {
    World world(directory_.path(), disk());
    Sample sample;
    const FrameRef ref = world.put(sample, 2);
    world.leave(ref, 3);
    world.give_back(ref, 2);
    world.spool.settled(ref, 1);
  }
  World next(directory_.path(), disk());
  EXPECT_FALSE(next.spool.oldest(next.slot(0)));
  ASSERT_TRUE(next.spool.oldest(next.slot(1)));
  EXPECT_EQ(next.spooled(1), kRecords);
  EXPECT_EQ(next.spool.figures().records, kRecords);
}

TEST_F(SpoolTest, TheDirectoryIsMadeForUsAloneAndRefusedWhenOthersMayWrite) {
  namespace fs = std::filesystem;
  const std::string made = disk() + "/deeper";
  { const World world(directory_.path(), made); }
  EXPECT_EQ(fs::status(made).permissions(), fs::perms::owner_all);
  for (const fs::perms more : {fs::perms::group_write, fs::perms::others_write}) {
    fs::permissions(made, fs::perms::owner_all | more);
    const auto lock = lock_directory(made);
    ASSERT_FALSE(lock);
    EXPECT_NE(lock.error().message().find("by others"), std::string::npos);
  }
}

TEST_F(SpoolTest, WhatIsTooOldIsDroppedAndNothingElse) {
  World world(directory_.path(), disk());
  Sample sample;
  world.put(sample);
  sample.frame.sealed_ns -= Nanoseconds(std::chrono::hours(25)).count();
  world.put(sample);
  const auto overdue = world.spool.drop_overdue(*world.redo, wall_now());
  EXPECT_EQ(overdue.expired, kRecords);
  EXPECT_EQ(world.dropped(0, DropReason::kExpired), kRecords);
  EXPECT_EQ(world.spooled(0), kRecords);
  world.expect_sums();
}

TEST_F(SpoolTest, WhatWaitsForARemovedDestinationIsHeldAndThenDropped) {
  World world(directory_.path(), disk());
  Sample sample;
  sample.frame.sealed_ns += Nanoseconds(std::chrono::hours(48)).count();
  world.put(sample, 2);
  world.ledger->destination(world.slot(1)).state = ledger::DestinationState::kRemoved;
  const Timestamp now = wall_now();
  EXPECT_EQ(world.spool.drop_overdue(*world.redo, now).policy_changed, 0U);
  EXPECT_EQ(world.spool.drop_overdue(*world.redo, now + std::chrono::hours(23)).policy_changed, 0U);
  EXPECT_EQ(world.spool.drop_overdue(*world.redo, now + std::chrono::hours(25)).policy_changed,
            kRecords);
  EXPECT_EQ(world.dropped(1, DropReason::kPolicyChanged), kRecords);
  EXPECT_EQ(world.spooled(0), kRecords);
  world.expect_sums();
}

TEST_F(SpoolTest, ADirectoryHasOneUser) {
  World world(directory_.path(), disk());
  Spool other({.directory = disk()}, directory_.file("states"), *world.ledger);
  const Status opened = other.open();
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message().find("in use"), std::string::npos);
}

}  // namespace
}  // namespace sidecast::spool
