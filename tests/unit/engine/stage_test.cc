// Segments and the stage: what is committed survives, what is damaged is set aside, what is settled
// is used again.
#include "engine/stage/stage.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace sidecast::stage {
namespace {

constexpr std::uint64_t kEpoch = 42;
constexpr std::uint64_t kCapacity = 64U << 10U;

EntryFields fields_for(Text generation_id) {
  EntryFields fields;
  fields.pending = 0b101;
  fields.group = 7;
  fields.span_count = 3;
  fields.trace_id.bytes = {1, 2, 3};
  fields.start_ns = 1'700'000'000'000'000'000;
  fields.sequence = 99;
  fields.lane = 2;
  fields.generation_id = generation_id;
  fields.api_key_name = "team-a";
  fields.account = "acme";
  return fields;
}

class SegmentTest : public ::testing::Test {
 protected:
  std::unique_ptr<Segment> make() {
    auto made = Segment::create(path_, {.worker = 1, .sequence = 5}, kEpoch, kCapacity);
    EXPECT_TRUE(made) << made.error().message();
    return std::move(*made);
  }
  test::TempDir directory_;
  std::string path_ = directory_.file("w1-5.seg");
};

TEST_F(SegmentTest, CommittedEntryReadsBackWholeAfterReopening) {
  {
    const auto segment = make();
    const Entry* const entry = segment->append(0, fields_for("gen-1"), "the spans");
    segment->commit(entry->size_bytes);
  }
  const auto reopened = Segment::open(path_);
  ASSERT_TRUE(reopened) << reopened.error().message();
  EXPECT_EQ((*reopened)->key(), (SegmentKey{.worker = 1, .sequence = 5}));
  EXPECT_EQ((*reopened)->epoch(), kEpoch);
  const Entry* const entry = (*reopened)->entry_at(0);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->generation_id(), "gen-1");
  EXPECT_EQ(entry->api_key_name(), "team-a");
  EXPECT_EQ(entry->account(), "acme");
  EXPECT_EQ(entry->encoded(), "the spans");
  EXPECT_EQ(entry->pending.load(), 0b101U);
  EXPECT_EQ(entry->group, 7U);
  EXPECT_EQ(entry->span_count, 3U);
  EXPECT_EQ(entry->trace_id.bytes[2], 3);
  EXPECT_EQ(entry->start_ns, 1'700'000'000'000'000'000);
  EXPECT_EQ(entry->sequence, 99U);
  EXPECT_EQ(entry->lane, 2U);
  EXPECT_EQ((*reopened)->head(), entry->size_bytes);
}

TEST_F(SegmentTest, EntryThatWasNotCommittedIsNotThereAfterReopening) {
  {
    const auto segment = make();
    segment->append(0, fields_for("gen-1"), "the spans");
  }
  const auto reopened = Segment::open(path_);
  ASSERT_TRUE(reopened) << reopened.error().message();
  EXPECT_EQ((*reopened)->head(), 0U);
  EXPECT_EQ((*reopened)->entry_at(0), nullptr);
}

TEST_F(SegmentTest, ChangedPendingBitsDoNotSpoilTheChecksum) {
  {
    const auto segment = make();
    Entry* const entry = segment->append(0, fields_for("gen-1"), "the spans");
    segment->commit(entry->size_bytes);
    entry->pending = 0;
  }
  EXPECT_TRUE(Segment::open(path_));
}

TEST_F(SegmentTest, HostileDamagedByteInAnEntryIsFoundAtOpen) {
  {
    const auto segment = make();
    const Entry* const entry = segment->append(0, fields_for("gen-1"), "the spans");
    segment->commit(entry->size_bytes);
    const_cast<char*>(entry->encoded().data())[3] ^= 1;
  }
  const auto reopened = Segment::open(path_);
  ASSERT_FALSE(reopened);
  EXPECT_NE(reopened.error().message().find("damaged at entry offset 0"), std::string::npos);
}

TEST_F(SegmentTest, HostileHeaderOrSizeIsRefused) {
  { std::ofstream(path_) << "short"; }
  EXPECT_FALSE(Segment::open(path_));
  { std::ofstream(path_) << std::string(8192, 'x'); }
  EXPECT_FALSE(Segment::open(path_));
  std::filesystem::remove(path_);
  make();
  std::filesystem::resize_file(path_, 8192);
  EXPECT_FALSE(Segment::open(path_));
}

TEST_F(SegmentTest, HostileOffsetsPointAtNothing) {
  const auto segment = make();
  const Entry* const entry = segment->append(0, fields_for("gen-1"), "the spans");
  segment->commit(entry->size_bytes);
  EXPECT_EQ(segment->entry_at(4), nullptr);                  // not aligned
  EXPECT_EQ(segment->entry_at(8), nullptr);                  // inside an entry
  EXPECT_EQ(segment->entry_at(entry->size_bytes), nullptr);  // the head
  EXPECT_EQ(segment->entry_at(~std::uint64_t{7}), nullptr);  // far outside
}

class StageTest : public ::testing::Test {
 protected:
  EntryRef stage_one(StageWriter& writer, Text id, Bytes encoded) {
    const EntryFields fields = fields_for(id);
    EXPECT_TRUE(writer.reserve(Segment::entry_bytes(fields, encoded)));
    return writer.append(fields, encoded);
  }
  test::TempDir directory_;
  Stage stage_{directory_.path(), kEpoch, {.bytes_max = 16U << 20U}};
};

TEST_F(StageTest, LimitRefusesAnotherSegmentAndSettlingGivesRoomBack) {
  Stage small(directory_.path(), kEpoch, {.bytes_max = 5U << 20U});  // one segment
  StageWriter writer(small, 0);
  const std::string large(3U << 20U, 'x');
  const EntryRef first = stage_one(writer, "a", large);
  EXPECT_EQ(small.unsettled(), 1U);
  EXPECT_FALSE(writer.reserve(large.size() + 4096));
  EXPECT_GT(small.missing_bytes(), 0U);
  first.entry->pending = 0;
  small.settled(*first.segment);
  EXPECT_EQ(small.unsettled(), 0U);
  EXPECT_EQ(small.missing_bytes(), 0U) << "emptied, but not yet collected";
  writer.collect();
  EXPECT_EQ(small.missing_bytes(), 0U) << "a spare";
  EXPECT_TRUE(writer.reserve(large.size() + 4096));
  EXPECT_FALSE(small.is_short());
}

TEST_F(StageTest, SegmentThatIsWrittenToStaysWhileNobodyWaits) {
  StageWriter writer(stage_, 0);
  const EntryRef only = stage_one(writer, "a", "the spans");
  only.entry->pending = 0;
  stage_.settled(*only.segment);
  writer.collect();
  const EntryRef next = stage_one(writer, "b", "the spans");
  EXPECT_EQ(next.segment, only.segment);
  EXPECT_GT(next.entry, only.entry);
}

// One segment; the first worker has settled all it wrote and writes no more.
TEST_F(StageTest, IdleWorkerDoesNotSitOnTheRoomAnotherNeeds) {
  Stage small(directory_.path(), kEpoch, {.bytes_max = 5U << 20U});
  StageWriter idle(small, 0);
  StageWriter busy(small, 1);
  const EntryRef written = stage_one(idle, "a", "the spans");
  written.entry->pending = 0;
  small.settled(*written.segment);
  EXPECT_FALSE(busy.reserve(4096));
  EXPECT_TRUE(small.is_short());
  idle.collect();
  const EntryRef entry = stage_one(busy, "b", "the spans");
  EXPECT_EQ(entry.segment->key().worker, 1U);
  EXPECT_EQ(small.bytes(), entry.segment->file_bytes());
}

TEST_F(StageTest, SparesMakeRoomForARecordLargerThanASegment) {
  Stage small(directory_.path(), kEpoch, {.bytes_max = 6U << 20U, .segment_bytes = 1U << 20U});
  StageWriter writer(small, 0);
  std::vector<EntryRef> entries;
  for (int i = 0; i < 6; ++i)
    entries.push_back(stage_one(writer, "a", std::string(900U << 10U, 'x')));
  for (const EntryRef& ref : entries) {
    ref.entry->pending = 0;
    small.settled(*ref.segment);
  }
  writer.collect();
  EXPECT_EQ(small.bytes(), 6U << 20U);
  EXPECT_TRUE(writer.reserve(4U << 20U));
  EXPECT_LE(small.bytes(), 6U << 20U);
}

// Two segments, both full. The first in line needs as much as both.
TEST_F(StageTest, WhoNeedsLittleDoesNotOvertakeWhoNeedsMuch) {
  Stage small(directory_.path(), kEpoch, {.bytes_max = 2U << 20U, .segment_bytes = 1U << 20U});
  StageWriter much(small, 0);
  StageWriter little(small, 1);
  const EntryRef first = stage_one(much, "a", std::string(900U << 10U, 'x'));
  const EntryRef second = stage_one(little, "b", std::string(900U << 10U, 'x'));
  const auto settle = [&](const EntryRef& ref) {
    ref.entry->pending = 0;
    small.settled(*ref.segment);
    much.collect();
    little.collect();
  };
  EXPECT_FALSE(much.reserve(3U << 19U));
  settle(first);
  EXPECT_FALSE(little.reserve(900U << 10U));
  settle(second);
  EXPECT_FALSE(little.reserve(900U << 10U));
  EXPECT_TRUE(much.reserve(3U << 19U));
  EXPECT_FALSE(little.reserve(900U << 10U)) << "there is not enough left";
  EXPECT_TRUE(small.is_short());
  little.forgo();
  EXPECT_FALSE(small.is_short());
  EXPECT_EQ(small.missing_bytes(), 0U);
}

TEST_F(StageTest, SettledSegmentIsUsedAgainInsteadOfAllocatingAnother) {
  StageWriter writer(stage_, 0);
  const std::string large(3U << 20U, 'x');
  const EntryRef first = stage_one(writer, "a", large);
  const EntryRef second = stage_one(writer, "b", large);
  ASSERT_NE(first.segment, second.segment);
  const std::uint64_t bytes = stage_.bytes();
  first.entry->pending = 0;
  stage_.settled(*first.segment);
  writer.collect();
  const EntryRef third = stage_one(writer, "c", large);
  EXPECT_EQ(stage_.bytes(), bytes);
  EXPECT_EQ(third.entry->generation_id(), "c");
}

TEST_F(StageTest, RecoverySetsDamagedAndForeignSegmentsAside) {
  ASSERT_TRUE(Segment::create(directory_.file("w0-1.seg"), {0, 1}, kEpoch, kCapacity));
  ASSERT_TRUE(Segment::create(directory_.file("w0-2.seg"), {0, 2}, kEpoch + 1, kCapacity));
  { std::ofstream(directory_.file("w0-3.seg")) << "torn"; }
  { std::ofstream(directory_.file("w0-4.seg.new")) << "half made"; }
  const auto recovered = stage_.recover();
  ASSERT_TRUE(recovered) << recovered.error().message();
  ASSERT_EQ(recovered->size(), 1U);
  EXPECT_EQ(recovered->front()->key().sequence, 1U);
  EXPECT_EQ(stage_.damaged().size(), 2U);
  EXPECT_TRUE(std::filesystem::exists(directory_.file("w0-2.seg"))) << "until it is counted";
  stage_.set_damaged_aside();
  EXPECT_TRUE(std::filesystem::exists(directory_.file("w0-2.seg.damaged")));
  EXPECT_TRUE(std::filesystem::exists(directory_.file("w0-3.seg.damaged")));
  EXPECT_FALSE(std::filesystem::exists(directory_.file("w0-4.seg.new")));
}

}  // namespace
}  // namespace sidecast::stage
