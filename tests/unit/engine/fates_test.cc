// The file of recent fates: what is written is read back, what is torn, overwritten or hostile is
// not.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/fates/fate_log.h"
#include "engine/fates/fate_reader.h"
#include "engine/stage/segment.h"
#include "tests/support/temp_dir.h"

namespace sidecast::fates {
namespace {

constexpr std::uint64_t kEpoch = 77;
constexpr std::array<unsigned char, 16> kRing = {1, 2, 3};

class Fates : public ::testing::Test {
 protected:
  Fates() {
    auto made = stage::Segment::create(directory_.path() + "/w0.seg", {}, kEpoch, 1U << 20U);
    EXPECT_TRUE(made);
    segment_ = std::move(*made);
  }
  std::unique_ptr<FateFile> open(std::uint64_t bytes = 1U << 20U, std::uint32_t sections = 2,
                                 std::uint64_t epoch = kEpoch) {
    auto file = FateFile::open(path_, bytes, sections, epoch);
    EXPECT_TRUE(file) << file.error().message();
    return std::move(*file);
  }
  History read() const {
    auto history = read_fates(path_);
    EXPECT_TRUE(history) << history.error().message();
    return std::move(*history);
  }
  std::string bytes() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void write_record(FateLog& log, std::uint64_t sequence, Text id, Text session = {}) {
    const Decision decisions[] = {{.group = 3, .outcome = 2}, {.group = 4, .outcome = 0}};
    log.record({.ring = &kRing,
                .lane = 1,
                .sequence = sequence,
                .pid = 42,
                .process = "gateway",
                .http_status = 200,
                .flags = kShed,
                .generation_id = id,
                .account = "acme",
                .session_id = session},
               decisions);
  }
  stage::EntryRef stage_entry(std::uint64_t sequence) {
    stage::Entry* const entry =
        segment_->append(staged_, {.ring = kRing, .sequence = sequence, .lane = 1}, "spans");
    staged_ += entry->size_bytes;
    return {segment_.get(), entry};
  }

  test::TempDir directory_;
  std::string path_ = directory_.path() + "/fates";
  std::unique_ptr<stage::Segment> segment_;
  std::uint64_t staged_ = 0;
};

TEST_F(Fates, WhatIsWrittenIsReadBack) {
  const auto file = open();
  FateLog worker = file->log(0);
  FateLog delivery = file->log(1);
  write_record(worker, 7, "gen-7", "session-1");
  const std::vector<stage::EntryRef> entries = {stage_entry(6), stage_entry(7)};
  const std::uint64_t batch = worker.batch(3, 1234, 1, entries);
  const PartNote part{.batch = batch, .first = 1, .count = 1, .destination = 9};
  delivery.sent(part, 2, 555);
  delivery.answered(part, 2, 15, 3000, "HTTP 503");
  delivery.settled(part, Fate::kDropped, 1);

  const History history = read();
  EXPECT_EQ(history.ledger_epoch, kEpoch);
  EXPECT_EQ(history.oldest_ns, 0) << "nothing was overwritten";
  ASSERT_EQ(history.records.size(), 1U);
  const RecordEvent& record = history.records[0];
  EXPECT_EQ(record.generation_id, "gen-7");
  EXPECT_EQ(record.account, "acme");
  EXPECT_EQ(record.process, "gateway");
  EXPECT_EQ(record.body.pid, 42);
  EXPECT_EQ(record.body.flags, kShed);
  ASSERT_EQ(record.decisions.size(), 2U);
  EXPECT_EQ(record.decisions[1].group, 4U);
  ASSERT_EQ(history.batches.size(), 1U);
  EXPECT_EQ(history.batches[0].body.bytes, 1234U);
  EXPECT_EQ(history.batches[0].body.shrink_attempt, 1U);
  ASSERT_EQ(history.batches[0].keys.size(), 2U);
  EXPECT_EQ(history.batches[0].keys[1], record.body.record) << "the way from record to batch";
  ASSERT_EQ(history.sent.size(), 1U);
  EXPECT_EQ(history.sent[0].part.batch, batch);
  EXPECT_EQ(history.sent[0].part.number, 2U);
  ASSERT_EQ(history.answered.size(), 1U);
  EXPECT_EQ(history.answered[0].why, "HTTP 503");
  EXPECT_EQ(history.answered[0].body.retry_ms, 3000);
  ASSERT_EQ(history.settled.size(), 1U);
  EXPECT_EQ(history.settled[0].fate, Fate::kDropped);
}

TEST_F(Fates, RecordIsFoundByEachOfItsIdsAndNoOther) {
  const auto file = open();
  FateLog worker = file->log(0);
  const TraceId trace_id = hash_trace_id("my trace");
  worker.record({.ring = &kRing,
                 .generation_id = "gen-1",
                 .session_id = "session-1",
                 .trace_id_text = "my trace",
                 .trace_id = trace_id},
                {});
  const History history = read();
  ASSERT_EQ(history.records.size(), 1U);
  for (const std::string& id : {std::string("gen-1"), std::string("session-1"),
                                std::string("my trace"), to_hex(trace_id.view())}) {
    EXPECT_TRUE(has_id(history.records[0], id, history.seed)) << id;
  }
  for (const Text id : {"gen-2", "", "my trac", "00000000000000000000000000000001"}) {
    EXPECT_FALSE(has_id(history.records[0], id, history.seed)) << id;
  }
}

TEST_F(Fates, RingKeepsTheNewestAndSaysHowFarItReachesBack) {
  const auto file = open(kSectionsAt + kSectionBytesMin, 1);
  FateLog worker = file->log(0);
  constexpr std::uint64_t kRecords = 1000;
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    write_record(worker, i, fmt::format("generation-{}", std::string(i % 60, 'x')));
  }
  const History history = read();
  ASSERT_GT(history.records.size(), kSectionBytesMin / 300);
  EXPECT_GT(history.oldest_ns, 0);
  const std::uint64_t oldest = kRecords - history.records.size();
  for (std::size_t i = 0; i < history.records.size(); ++i) {
    EXPECT_EQ(history.records[i].body.sequence, oldest + i) << "without a gap, in order";
  }
}

TEST_F(Fates, LargeBatchTakesSeveralEvents) {
  const auto file = open();
  FateLog worker = file->log(0);
  std::vector<stage::EntryRef> entries;
  for (std::uint64_t i = 0; i < 2 * kKeysMax + 5; ++i) entries.push_back(stage_entry(i));
  const std::uint64_t batch = worker.batch(1, 1, 0, entries);
  const History history = read();
  ASSERT_EQ(history.batches.size(), 3U);
  EXPECT_EQ(history.batches[2].body.batch, batch);
  EXPECT_EQ(history.batches[2].body.first, 2 * kKeysMax);
  EXPECT_EQ(history.batches[2].keys.size(), 5U);
}

TEST_F(Fates, NextEngineGoesOnAndNeverNumbersABatchTwice) {
  const std::vector<stage::EntryRef> entries = {stage_entry(1)};
  std::uint64_t first = 0;
  {
    const auto file = open();
    FateLog worker = file->log(0);
    write_record(worker, 1, "before");
    first = worker.batch(1, 1, 0, entries);
  }
  {
    const auto file = open();
    FateLog worker = file->log(0);
    write_record(worker, 2, "after");
    EXPECT_NE(worker.batch(1, 1, 0, entries), first);
    EXPECT_EQ(read().records.size(), 2U);
  }
  const auto other_ledger = open(1U << 20U, 2, kEpoch + 1);
  EXPECT_EQ(read().records.size(), 0U) << "its slots mean something else";
}

TEST_F(Fates, LogWithoutAFileDoesNothing) {
  FateLog log;
  write_record(log, 1, "gen-1");
  const std::vector<stage::EntryRef> entries = {stage_entry(1)};
  EXPECT_EQ(log.batch(1, 1, 0, entries), 0U);
  log.sent({}, 1, 1);
  log.answered({}, 1, 1, 1, "why");
  log.settled({}, Fate::kDelivered, 0);
}

TEST_F(Fates, ReaderNeverSeesHalfAnEventWhileTheyAreWritten) {
  const auto file = open(kSectionsAt + kSectionBytesMin, 1);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    FateLog worker = file->log(0);
    for (std::uint64_t i = 0; !stop; ++i) write_record(worker, i, fmt::format("generation-{}", i));
  });
  for (int round = 0; round < 50; ++round) {
    for (const RecordEvent& record : read().records) {
      EXPECT_EQ(record.generation_id, fmt::format("generation-{}", record.body.sequence));
    }
  }
  stop = true;
  writer.join();
}

TEST_F(Fates, HostileDamagedEventIsNoneAndItsNeighboursAreRead) {
  const auto file = open(kSectionsAt + kSectionBytesMin, 1);
  FateLog worker = file->log(0);
  for (std::uint64_t i = 0; i < 3; ++i) write_record(worker, i, fmt::format("generation-{}", i));
  const std::string whole = bytes();
  const std::size_t size = 16 + sizeof(RecordBody) + 12 + 4 + 7 + 2 * sizeof(Decision) + 1;
  for (std::size_t at = 0; at < size - 1; ++at) {
    std::string damaged = whole;
    damaged[kSectionsAt + size + at] ^= 1;
    const auto history = parse_fates(damaged);
    ASSERT_TRUE(history);
    const bool is_padding = at == 15;  // of the event's header: says nothing
    ASSERT_EQ(history->records.size(), is_padding ? 3U : 2U) << "byte " << at;
    EXPECT_EQ(history->records.front().generation_id, "generation-0");
    EXPECT_EQ(history->records.back().generation_id, "generation-2");
  }
}

TEST_F(Fates, HostileFilesAreRefusedOrReadWithoutHarm) {
  const auto file = open(kSectionsAt + 2 * kSectionBytesMin, 2);
  FateLog worker = file->log(0);
  for (std::uint64_t i = 0; i < 40; ++i) write_record(worker, i, "generation");
  const std::string whole = bytes();
  for (const std::size_t size : {0U, 7U, 40U, 4095U, 4096U, 5000U}) {
    EXPECT_FALSE(parse_fates(whole.substr(0, size))) << size;
  }
  std::mt19937 random(20'261'121);
  for (int round = 0; round < 2000; ++round) {
    std::string hostile = whole;
    const std::size_t within = round % 2 == 0 ? 64 : hostile.size();
    for (int i = 0; i < 8; ++i) hostile[random() % within] = static_cast<char>(random());
    static_cast<void>(parse_fates(hostile));
  }
}

TEST_F(Fates, HostileTextCannotPassForAnEvent) {
  // An id that holds a whole event of another file: its seed is another one.
  std::string forged;
  {
    const auto other = open(kSectionsAt + kSectionBytesMin, 1);
    FateLog worker = other->log(0);
    worker.settled({.batch = 1, .first = 0, .count = 1, .destination = 1}, Fate::kDelivered, 0);
    forged = bytes().substr(kSectionsAt, 16 + sizeof(SettledBody));
  }
  std::filesystem::remove(path_);
  const auto file = open(kSectionsAt + kSectionBytesMin, 1);
  FateLog worker = file->log(0);
  write_record(worker, 1, forged);
  EXPECT_EQ(read().settled.size(), 0U);
}

}  // namespace
}  // namespace sidecast::fates
