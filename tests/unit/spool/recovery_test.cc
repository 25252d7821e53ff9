// What the next start makes of a spool: with its states, exactly what was; without, everything that
// the disk still holds; damaged, all that is sound. The sums close every time.
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/spool/spool_fixture.h"

namespace sidecast::spool {
namespace {

using ledger::DropReason;
namespace fs = std::filesystem;

class SpoolRecovery : public ::testing::Test {
 protected:
  [[nodiscard]] std::string disk() const { return directory_.file("disk"); }
  [[nodiscard]] std::string memory() const { return directory_.file("memory"); }
  // A reboot: only the disk is left.
  void reboot() const { fs::remove_all(memory()); }
  test::TempDir directory_;
};

TEST_F(SpoolRecovery, AKilledEngineLeavesWhatItHadCommitted) {
  {
    World world(memory(), disk());
    Sample sample;
    world.put(sample, 2);
    world.deliver(world.put(sample, 1), 1);
    sample.for_destinations(1);
    ASSERT_TRUE(world.write(sample));  // and never committed: its records are still the stage's
  }
  World world(memory(), disk());
  EXPECT_EQ(world.found.records, 2 * kRecords);
  EXPECT_EQ(world.found.adopted, 0U);
  EXPECT_EQ(world.spooled(0), kRecords);
  EXPECT_EQ(world.spooled(1), kRecords);
  world.expect_sums();
  // Nor is it taken for anybody's after a reboot.
  { World again(memory(), disk() + "-elsewhere"); }
}

TEST_F(SpoolRecovery, WhatWasNeverCommittedIsNobodysAfterAReboot) {
  {
    World world(memory(), disk());
    Sample sample;
    world.put(sample);
    ASSERT_TRUE(world.write(sample));
  }
  { const World killed(memory(), disk()); }
  reboot();
  World world(memory(), disk());
  EXPECT_EQ(world.found.adopted, kRecords);
}

TEST_F(SpoolRecovery, AfterARebootWhatIsNotDoneIsAdopted) {
  {
    World world(memory(), disk());
    Sample sample;
    world.put(sample, 2);
    world.deliver(world.put(sample, 2), 1);
  }
  reboot();
  World world(memory(), disk());
  EXPECT_EQ(world.found.adopted, 3 * kRecords);
  EXPECT_EQ(world.spooled(0), kRecords);
  EXPECT_EQ(world.spooled(1), 2 * kRecords);
  EXPECT_EQ(world.ledger->destination(world.slot(1)).adopted.load(), 2 * kRecords);
  world.expect_sums();
}

TEST_F(SpoolRecovery, WhatIsAdoptedIsAdoptedOnce) {
  {
    World world(memory(), disk());
    Sample sample;
    world.put(sample);
  }
  reboot();
  { const World first(memory(), disk()); }
  World second(memory(), disk());
  EXPECT_EQ(second.found.adopted, 0U);
  EXPECT_EQ(second.ledger->destination(second.slot(0)).adopted.load(), kRecords);
  EXPECT_EQ(second.spooled(0), kRecords);
  second.expect_sums();
}

TEST_F(SpoolRecovery, ADamagedFrameAtTheEndIsSetAsideAndNotCutOff) {
  {
    World world(memory(), disk());
    Sample sample;
    for (int i = 0; i < 3; ++i) world.put(sample, 1);
  }
  const std::string segment = segments_in(disk()).front();
  const std::uint64_t last =
      SegmentFile::open(segment, SegmentFile::Access::kRead).value()->scan()->frames.back().offset;
  std::fstream file(segment, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(last + 8));
  file.put('\xA5');
  file.close();
  World world(memory(), disk());
  EXPECT_EQ(world.found.set_aside, 1U);
  EXPECT_GT(fs::file_size(segment), last);
  world.expect_sums();
}

TEST_F(SpoolRecovery, ALostSegmentIsACountedLoss) {
  {
    World world(memory(), disk());
    Sample sample;
    world.put(sample, 2);
  }
  for (const std::string& path : segments_in(disk())) fs::remove(path);
  World world(memory(), disk());
  EXPECT_EQ(world.found.lost, 2 * kRecords);
  EXPECT_EQ(world.dropped(0, DropReason::kDamaged), kRecords);
  EXPECT_EQ(world.spooled(0), 0U);
  EXPECT_TRUE(files_of(memory() + "/states", ".state")->empty());
  world.expect_sums();
}

TEST_F(SpoolRecovery, WhatWasReadBackIsNotDoneOnDiskBeforeItIsSettledInTheStage) {
  {
    World world(memory(), disk());
    Sample sample;
    const FrameRef ref = world.put(sample);
    world.spool.note_left(*world.redo, ref, 1);  // back in the stage
    world.redo->commit();
  }
  {
    const World killed(memory(), disk(), 64U << 20U, World::Stage::kHoldsWhatWasReadBack);
    EXPECT_EQ(killed.found.records, 0U);
    EXPECT_EQ(segments_in(disk()).size(), 1U);
  }
  const std::string saved = directory_.file("saved");
  fs::copy(disk(), saved);
  {
    World power_cut(directory_.file("elsewhere"), saved);
    EXPECT_EQ(power_cut.found.adopted, kRecords);
  }
  // Once the stage has settled it, it is over.
  World world(memory(), disk(), 64U << 20U, World::Stage::kHoldsWhatWasReadBack);
  EXPECT_EQ(segments_in(disk()).size(), 1U);
  world.spool.settle_recovered();
  EXPECT_TRUE(segments_in(disk()).empty());
}

TEST_F(SpoolRecovery, OtherVersionsAreLeftWhereTheyAre) {
  {
    World world(memory(), disk());
    Sample sample;
    world.put(sample);
  }
  const std::string segment = segments_in(disk()).front();
  for (std::size_t i = 0; i < 20; ++i) {
    const std::string other = fmt::format("{}/{:016x}-{:016x}.spool", disk(), 100 + i, i + 1);
    fs::copy_file(segment, other);
    std::fstream file(other, std::ios::in | std::ios::out | std::ios::binary);
    // A later version of the header, or of everything.
    file.seekp(i % 2 == 0 ? offsetof(SegmentHeader, version) : offsetof(SegmentHeader, magic) + 7);
    file.put('2');
  }
  World world(memory(), disk());
  EXPECT_EQ(world.found.left, 20U);
  EXPECT_EQ(world.found.set_aside, 0U);
  EXPECT_NE(world.found.first_left.find("version"), std::string::npos) << world.found.first_left;
  EXPECT_EQ(segments_in(disk()).size(), 21U);
  EXPECT_EQ(world.spooled(0), kRecords);
  world.expect_sums();
  // Nor does a new one take the place of any.
  Sample sample;
  EXPECT_EQ(world.put(sample).sequence, 120U);
}

TEST_F(SpoolRecovery, WhatCannotBeOpenedStaysSpooled) {
  {
    World world(memory(), disk());
    Sample sample;
    world.put(sample);
  }
  // root may open everything: as somebody else, then.
  const bool is_root = geteuid() == 0;
  constexpr uid_t kNobody = 65534;
  if (is_root) {
    for (const std::string& path : {directory_.path(), memory(), disk()}) {
      ASSERT_EQ(chown(path.c_str(), kNobody, kNobody), 0);
      for (const auto& one : fs::recursive_directory_iterator(path)) {
        ASSERT_EQ(chown(one.path().c_str(), kNobody, kNobody), 0);
      }
    }
    ASSERT_EQ(seteuid(kNobody), 0);
  }
  const std::string segment = segments_in(disk()).front();
  fs::permissions(segment, fs::perms::none);
  {
    World world(memory(), disk());
    EXPECT_EQ(world.found.left, 1U);
    EXPECT_EQ(world.found.lost, 0U);
    EXPECT_EQ(world.spooled(0), kRecords);
  }
  fs::permissions(segment, fs::perms::owner_read | fs::perms::owner_write);
  {
    World world(memory(), disk());
    EXPECT_EQ(world.found.adopted, 0U);
    EXPECT_EQ(world.found.records, kRecords);
    world.expect_sums();
  }
  if (is_root) {
    ASSERT_EQ(seteuid(0), 0);
  }
}

TEST_F(SpoolRecovery, ASequenceThatTwoSegmentsHaveIsNoDamage) {
  for (const char* const engine : {"one", "other"}) {
    World world(directory_.file(engine), disk() + "-" + engine);
    Sample sample;
    world.put(sample);
  }
  fs::create_directory(disk());
  for (const char* const engine : {"one", "other"}) {
    const std::string segment = segments_in(disk() + "-" + engine).front();
    fs::copy_file(segment, disk() + "/" + fs::path(segment).filename().string());
  }
  World world(memory(), disk());
  EXPECT_EQ(world.found.adopted, 2 * kRecords);
  EXPECT_EQ(world.found.set_aside, 0U);
  world.expect_sums();
  while (const auto ref = world.spool.oldest(world.slot(0))) world.deliver(*ref, 1);
  EXPECT_TRUE(segments_in(disk()).empty());
  world.expect_sums();
}

TEST_F(SpoolRecovery, ACopyOfASegmentIsNotDeliveredTwice) {
  {
    World world(memory(), disk());
    Sample sample;
    world.put(sample);
  }
  fs::copy_file(segments_in(disk()).front(), disk() + "/ffffffffffffffff-0000000000000000.spool");
  World world(memory(), disk());
  EXPECT_EQ(world.found.set_aside, 1U);
  EXPECT_EQ(world.spooled(0), kRecords);
  world.expect_sums();
}

TEST_F(SpoolRecovery, ASegmentThatNeverGotItsNameIsNoDamage) {
  fs::create_directory(disk());
  std::ofstream(disk() + "/0000000000000001-0000000000000001.spool.draft") << "begun";
  const World world(memory(), disk());
  EXPECT_TRUE(world.found.first_flaw.empty()) << world.found.first_flaw;
  EXPECT_EQ(files_of(disk(), kDraftExtension)->size(), 0U);
}

TEST_F(SpoolRecovery, HostileFilesAreSetAsideAndStopNoStart) {
  {
    World world(memory(), disk());
    Sample sample;
    world.put(sample);
  }
  std::ofstream(disk() + "/0000000000000000-0000000000000000.spool") << "not a segment at all";
  std::ofstream(disk() + "/ffffffffffffffff-0000000000000000.spool");
  fs::create_directory(disk() + "/directory.spool");
  World world(memory(), disk());
  EXPECT_EQ(world.found.set_aside, 3U);
  EXPECT_FALSE(world.found.first_flaw.empty());
  EXPECT_EQ(world.spooled(0), kRecords);
  EXPECT_EQ(segments_in(disk()).size(), 1U);
  world.expect_sums();
}

TEST_F(SpoolRecovery, APowerCutAtEveryByteOfASegmentLosesOnlyWhatWasNotWhole) {
  std::vector<std::uint64_t> ends;
  {
    World world(memory(), disk());
    Sample sample;
    for (int i = 0; i < 3; ++i) {
      world.put(sample, 2);
      ends.push_back(i == 0 ? kFramesAt : ends.back());
      ends.back() += frame_bytes(sample.frame);
    }
  }
  const std::string segment = segments_in(disk()).front();
  for (std::uint64_t cut = 0; cut <= ends.back(); ++cut) {
    reboot();
    const std::string copy = directory_.file("copy");
    fs::remove_all(copy);
    fs::create_directory(copy);
    const std::string cut_file = copy + "/" + fs::path(segment).filename().string();
    fs::copy_file(segment, cut_file);
    // Two ways to look after a power cut: cut short, or whole with zeros where nothing came to be.
    fs::resize_file(cut_file, cut);
    if (cut % 2 == 0) fs::resize_file(cut_file, ends.back() + 4096);
    World world(memory(), copy);
    const auto whole = static_cast<std::uint64_t>(
        std::count_if(ends.begin(), ends.end(), [&](std::uint64_t end) { return end <= cut; }));
    // The padding behind a frame is nothing that can be lost; a torn body shows when it is read.
    EXPECT_GE(world.found.adopted, whole * 2 * kRecords) << cut;
    world.expect_sums();
    while (const auto ref = world.spool.oldest(world.slot(0))) {
      const auto bytes = world.spool.read(*ref);
      const bool is_sound = bytes && world.spool.parse(*ref, *bytes);
      if (is_sound) {
        world.deliver(*ref, 3);
      } else {
        world.spool.drop(*ref, 3, DropReason::kDamaged, *world.redo);
      }
    }
    EXPECT_GE(world.ledger->destination(world.slot(0)).delivered.load(), whole * kRecords) << cut;
    EXPECT_LE(world.ledger->destination(world.slot(0)).delivered.load(), (whole + 1) * kRecords)
        << cut;
    world.expect_sums();
    if (HasFailure()) return;
  }
}

TEST_F(SpoolRecovery, APowerCutAtEveryByteOfADoneLogDeliversRatherTwiceThanNever) {
  {
    World world(memory(), disk());
    Sample sample;
    for (int i = 0; i < 3; ++i) world.put(sample, 1);
    for (std::uint32_t i = 0; i < 2; ++i) world.deliver({.sequence = 1, .ordinal = i}, 1);
  }
  const std::string log = files_of(disk(), ".done")->front();
  const std::string whole = directory_.file("done");
  fs::copy_file(log, whole);
  for (std::uint64_t cut = 0; cut <= fs::file_size(whole); ++cut) {
    reboot();
    fs::copy_file(whole, log, fs::copy_options::overwrite_existing);
    fs::resize_file(log, cut);
    World world(memory(), disk());
    EXPECT_EQ(world.found.adopted, (3 - cut / sizeof(DoneEntry)) * kRecords) << cut;
    world.expect_sums();
  }
}

TEST_F(SpoolRecovery, HostileDamageAnywhereKeepsTheSumsAndTheOthers) {
  {
    World world(memory(), disk());
    Sample sample;
    for (int i = 0; i < 3; ++i) world.put(sample, 1);
  }
  const std::string segment = segments_in(disk()).front();
  const std::uint64_t used =
      SegmentFile::open(segment, SegmentFile::Access::kRead).value()->scan()->end;
#ifdef __SANITIZE_THREAD__
  constexpr std::uint64_t kStep = 39;  // each start costs a tenth of a second there
#else
  constexpr std::uint64_t kStep = 3;
#endif
  for (std::uint64_t at = kFramesAt; at < used; at += kStep) {
    reboot();
    const std::string copy = directory_.file("copy");
    fs::remove_all(copy);
    fs::create_directory(copy);
    const std::string damaged = copy + "/" + fs::path(segment).filename().string();
    fs::copy_file(segment, damaged);
    std::fstream file(damaged, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file.put('\xA5');
    file.close();
    World world(memory(), copy);
    EXPECT_GE(world.found.adopted, 2 * kRecords) << at;
    world.expect_sums();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace sidecast::spool
