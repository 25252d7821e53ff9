// The ledger file: slots keep their place over restarts, foreign files do no harm, and the
// identities say what is wrong.
#include "engine/ledger/ledger.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "engine/ledger/latency.h"
#include "engine/ledger/paths.h"
#include "engine/ledger/snapshot.h"
#include "tests/support/temp_dir.h"

namespace sidecast {
namespace {

std::string id(char letter) {
  return std::string(32, letter);
}

TEST(Ledger, SlotsAndCountersOutliveTheEngine) {
  const test::TempDir directory;
  const std::string path = directory.file("ledger");
  std::uint64_t epoch = 0;
  {
    auto ledger = std::move(*Ledger::open(path));
    epoch = ledger->header().epoch;
    EXPECT_EQ(*ledger->find_or_add_destination(id('a'), "one", "otlp"), 0U);
    EXPECT_EQ(*ledger->find_or_add_destination(id('b'), "two", "s3"), 1U);
    ledger->destination(1).delivered = 17;
  }
  auto ledger = std::move(*Ledger::open(path));
  EXPECT_EQ(ledger->header().epoch, epoch);
  EXPECT_EQ(ledger->destination_count(), 2U);
  EXPECT_EQ(*ledger->find_or_add_destination(id('b'), "two", "s3"), 1U);
  EXPECT_EQ(ledger->destination(1).delivered.load(), 17U);
  EXPECT_STREQ(ledger->destination(1).name.data(), "two");
}

TEST(Ledger, BitsOfAGroupNeverChangeTheirMeaning) {
  const test::TempDir directory;
  auto ledger = std::move(*Ledger::open(directory.file("ledger")));
  std::vector<DestinationIndex> slots;
  for (const char letter : {'a', 'b', 'c'}) {
    slots.push_back(*ledger->find_or_add_destination(id(letter), "d", "otlp"));
  }
  std::vector<std::uint8_t> bits;
  const GroupIndex group = *ledger->find_or_add_group(id('g'), {slots[0], slots[1]}, bits);
  EXPECT_EQ(bits, (std::vector<std::uint8_t>{0, 1}));
  // The first leaves, a third comes: the second keeps its bit, the first's is not given away.
  EXPECT_EQ(*ledger->find_or_add_group(id('g'), {slots[1], slots[2]}, bits), group);
  EXPECT_EQ(bits, (std::vector<std::uint8_t>{1, 2}));
  EXPECT_EQ(*ledger->find_or_add_group(id('g'), {slots[0]}, bits), group);
  EXPECT_EQ(bits, (std::vector<std::uint8_t>{0}));
}

TEST(Ledger, GroupWithMoreMembersThanBitsGetsAnotherSlot) {
  const test::TempDir directory;
  auto ledger = std::move(*Ledger::open(directory.file("ledger")));
  std::vector<DestinationIndex> first;
  std::vector<DestinationIndex> second;
  for (int i = 0; i < 70; ++i) {
    std::string identity = id('0');
    identity[0] = static_cast<char>('A' + i / 10);
    identity[1] = static_cast<char>('0' + i % 10);
    (i < 64 ? first : second).push_back(*ledger->find_or_add_destination(identity, "d", "otlp"));
  }
  std::vector<std::uint8_t> bits;
  const GroupIndex full = *ledger->find_or_add_group(id('g'), first, bits);
  EXPECT_NE(*ledger->find_or_add_group(id('g'), second, bits), full);
  EXPECT_EQ(bits.front(), 0);
}

TEST(Ledger, HostileForeignFileIsMovedAsideAndCountingBeginsAnew) {
  const test::TempDir directory;
  const std::string path = directory.file("ledger");
  { std::ofstream(path) << std::string(10000, 'x'); }
  auto ledger = Ledger::open(path);
  ASSERT_TRUE(ledger) << ledger.error().message();
  EXPECT_EQ((*ledger)->destination_count(), 0U);
  EXPECT_TRUE(std::filesystem::exists(path + ".foreign"));
}

TEST(Ledger, HostileFileCutShortIsMovedAsideByTheEngineAndRefusedByReaders) {
  const test::TempDir directory;
  const std::string path = directory.file("ledger");
  ASSERT_TRUE((*Ledger::open(path))->find_or_add_destination(id('a'), "one", "otlp"));
  std::filesystem::resize_file(path, 8192);
  const auto reader = Ledger::open_read_only(path);
  ASSERT_FALSE(reader);
  EXPECT_NE(reader.error().message().find("damaged"), std::string::npos);
  const auto ledger = Ledger::open(path);
  ASSERT_TRUE(ledger) << ledger.error().message();
  EXPECT_EQ((*ledger)->destination_count(), 0U);
  EXPECT_TRUE(std::filesystem::exists(path + ".foreign"));
}

TEST(Ledger, HostileFileCutShortUnderItsReaderDoesNoHarm) {
  const test::TempDir directory;
  const std::string path = directory.file("ledger");
  ASSERT_TRUE((*Ledger::open(path))->find_or_add_destination(id('a'), "one", "otlp"));
  const auto reader = std::move(*Ledger::open_read_only(path));
  std::filesystem::resize_file(path, 0);
  ASSERT_EQ(reader->destination_count(), 1U);
  EXPECT_STREQ(reader->destination(0).name.data(), "one");
}

// On a full file system in memory, the first touch of a page that is not there is a SIGBUS.
TEST(Ledger, OpeningTouchesNoPageOfAFreeSlot) {
  const test::TempDir directory;
  const std::string path = directory.file("ledger");
  const auto pages = [&] {
    struct stat info {};
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    return info.st_blocks * 512 / 4096;
  };
  ASSERT_TRUE(Ledger::open(path));
  EXPECT_EQ(pages(), 1) << "the header";
  ASSERT_TRUE(Ledger::open(path));
  ASSERT_TRUE(Ledger::open_read_only(path));
  EXPECT_EQ(pages(), 1);
}

TEST(Ledger, HostileCounterOffsetsNameNoCounter) {
  const test::TempDir directory;
  auto ledger = std::move(*Ledger::open(directory.file("ledger")));
  EXPECT_EQ(ledger->counter_at(ledger::kFileBytes), nullptr);
  EXPECT_EQ(ledger->counter_at(3), nullptr);
  EXPECT_EQ(ledger->counter_at(~std::uint64_t{0}), nullptr);
}

TEST(Stats, SayThatNoEngineEverServedTheDirectory) {
  const test::TempDir directory;
  const auto stats = read_stats(directory.path());
  ASSERT_FALSE(stats);
  EXPECT_NE(stats.error().message().find("no engine has served"), std::string::npos);
}

TEST(Stats, IdentitiesThatDoNotHoldAreNamed) {
  StatsSnapshot stats;
  stats.records = {.calls = 10, .written = 10, .read = 10, .routable = 10};
  stats.destinations.push_back(
      {.name = "d", .matched = 10, .routed = 10, .delivered = 9, .pending = 1});
  EXPECT_TRUE(check_identities(stats).empty());
  stats.destinations[0].pending = 0;
  stats.records.unread = 1;
  const std::vector<std::string> broken = check_identities(stats);
  ASSERT_EQ(broken.size(), 2U);
  EXPECT_EQ(broken[0], "written = unread + read: 10 is not 11");
  EXPECT_EQ(broken[1],
            "d: routed = delivered + rejected + dropped + pending + spooled: 10 is not 9");
}

TEST(Latency, QuantileIsTheUpperEdgeOfItsBucket) {
  std::array<std::atomic<std::uint32_t>, ledger::kLatencyBuckets> buckets{};
  EXPECT_EQ(latency_quantile_ms(buckets, 0.5), 0);
  for (int i = 0; i < 99; ++i) ++buckets[latency_bucket(std::chrono::milliseconds(10))];
  ++buckets[latency_bucket(std::chrono::seconds(3))];
  EXPECT_GE(latency_quantile_ms(buckets, 0.5), 10);
  EXPECT_LE(latency_quantile_ms(buckets, 0.5), 10 * 1.19);
  EXPECT_GE(latency_quantile_ms(buckets, 1.0), 3000);
  EXPECT_LE(latency_quantile_ms(buckets, 1.0), 3000 * 1.19);
}

}  // namespace
}  // namespace sidecast
