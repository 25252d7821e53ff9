// What an engine makes of what the one before it staged: a queue belongs to its destination's
// identity, whatever else was changed between the two.
#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/ledger/ledger.h"
#include "engine/ledger/paths.h"
#include "tests/support/log_capture.h"
#include "tests/unit/engine/pipeline_fixture.h"

namespace sidecast {
namespace {

class Recovery : public Pipeline {
 protected:
  // An engine that has nothing to wait for.
  bool drain_briefly(const std::string& destinations, std::string_view settings = {}) {
    auto config = parse_config(
        fmt::format("ring_dir: {}\nworkers: 2\nbatch_age_max: 50ms\nshutdown_deadline: 200ms\n{}"
                    "destinations:\n{}",
                    directory_.path(), settings, destinations),
        "test.yaml");
    EXPECT_TRUE(config) << config.error().message();
    auto engine = Engine::open(std::move(*config), {.drain = true, .version = "test"}, never_);
    EXPECT_TRUE(engine) << engine.error().message();
    return (*engine)->run(never_);
  }
  // Stages so many records for a destination that takes nothing yet.
  void stage_for(const std::string& destinations, std::size_t records, std::size_t padding = 0,
                 std::string_view settings = {}) {
    server_.set_default({.status = 503, .headers = {{"retry-after", "3600"}}});
    ASSERT_TRUE(drain_briefly(destinations, settings)) << "makes the directory";
    Gateway gateway(directory_.path());
    std::thread writer([&] { gateway.write_many(records, "acme", padding); });  // more than a ring
    while (read_stats(directory_.path())->records.read < records) {
      static_cast<void>(drain_briefly(destinations, settings));
    }
    writer.join();
    EXPECT_EQ(stats().destinations[0].pending, records);
    server_.set_default({.status = 200});
    staged_requests_ = server_.requests().size();
  }
  [[nodiscard]] std::size_t new_requests() const {
    return server_.requests().size() - staged_requests_;
  }
  static std::uint64_t dropped(const DestinationStats& destination) {
    std::uint64_t total = 0;
    for (const auto& [reason, number] : destination.dropped) total += number;
    return total;
  }

  HttpServer server_;
  std::size_t staged_requests_ = 0;
};

class ChangedSettings : public Recovery, public ::testing::WithParamInterface<const char*> {};

TEST_P(ChangedSettings, ThatShapeNoBytesDeliverWhatWasStagedBefore) {
  stage_for(otlp("one", server_), 20);
  EXPECT_TRUE(drain(otlp("one", server_, GetParam())));
  const StatsSnapshot now = stats();
  ASSERT_EQ(now.destinations.size(), 1U) << "one identity";
  EXPECT_EQ(now.destinations[0].delivered, 20U);
  EXPECT_EQ(dropped(now.destinations[0]), 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Each, ChangedSettings,
    ::testing::Values(", sampling_rate: 0.01", ", sampling_rate: 0.5, sampling_salt: pepper",
                      ", api_keys: {include: [team-a]}", ", api_keys: {exclude: [team-b]}",
                      ", timeout: 5s", ", batch_records_max: 7, batch_bytes_max: 1MiB",
                      ", retry_statuses: \"408\"", ", authorization: Bearer new"));

TEST_F(Recovery, NewCredentialsApplyToOldBatches) {
  stage_for(otlp("one", server_, ", authorization: Bearer old"), 3);
  EXPECT_TRUE(drain(otlp("one", server_, ", authorization: Bearer new, sampling_rate: 0.5")));
  EXPECT_EQ(server_.requests().back().header("authorization"), "Bearer new");
}

TEST_F(Recovery, DestinationsThatLeftTheirCommonGroupEachGetTheirOwn) {
  HttpServer other;
  other.set_default({.status = 503, .headers = {{"retry-after", "3600"}}});
  stage_for(otlp("one", server_) + otlp("two", other), 20);
  other.set_default({.status = 200});
  EXPECT_TRUE(drain(otlp("two", other, ", sampling_rate: 0.5") + otlp("one", server_)));
  const StatsSnapshot now = stats();
  ASSERT_EQ(now.destinations.size(), 2U);
  EXPECT_EQ(now.destinations[0].delivered, 20U);
  EXPECT_EQ(now.destinations[1].delivered, 20U);
}

TEST_F(Recovery, BatchOfAnEarlierGroupThatIsTooLargeIsHalvedToo) {
  stage_for(otlp("zero", server_) + otlp("one", server_), 8);
  server_.script({{.status = 413}, {.status = 413}});
  EXPECT_TRUE(drain(otlp("one", server_, ", sampling_rate: 0.5") + otlp("zero", server_)));
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[0].delivered, 8U);
  EXPECT_EQ(now.destinations[1].delivered, 8U);
}

TEST_F(Recovery, ChangedDestinationNeverSeesWhatWasStagedForTheOldOne) {
  const HttpServer after;
  stage_for(otlp("one", server_), 20);
  EXPECT_FALSE(drain_briefly(otlp("one", after))) << "held, so left";
  EXPECT_EQ(after.requests().size(), 0U);
  EXPECT_EQ(new_requests(), 0U);
  const StatsSnapshot now = stats();
  ASSERT_EQ(now.destinations.size(), 2U);
  EXPECT_EQ(now.destinations[0].pending, 20U);
  EXPECT_EQ(now.destinations[0].state, "removed");
}

TEST_F(Recovery, ChangeUndoneInTimeLosesNothing) {
  HttpServer after;
  stage_for(otlp("one", server_), 20);
  EXPECT_FALSE(drain_briefly(otlp("one", after)));
  EXPECT_FALSE(drain_briefly(otlp("one", server_, ", enabled: false")));
  EXPECT_FALSE(drain_briefly(otlp("another", after)));
  EXPECT_TRUE(drain(otlp("one", server_)));
  EXPECT_EQ(stats().destinations[0].delivered, 20U);
  EXPECT_EQ(dropped(stats().destinations[0]), 0U);
}

TEST_F(Recovery, HeldRecordsAreDroppedAfterGiveUpAfterHoweverOftenTheEngineStarts) {
  const HttpServer after;
  stage_for(otlp("one", server_), 20);
  constexpr std::string_view kGiveUp = "give_up_after: 1s\n";
  EXPECT_FALSE(drain_briefly(otlp("one", after), kGiveUp));
  std::size_t starts = 1;
  for (; stats().destinations[0].pending > 0; ++starts) {  // ends by the test's own time limit
    static_cast<void>(drain_briefly(otlp("one", after), kGiveUp));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_GT(starts, 2U) << "each start was too short to wait";
  EXPECT_EQ(count(stats().destinations[0].dropped, "policy_changed"), 20U);
  EXPECT_TRUE(drain(otlp("one", after), kGiveUp)) << "nothing is left";
  EXPECT_EQ(after.requests().size(), 0U);
}

TEST_F(Recovery, HeldRecordsGoFirstWhenMemoryIsWanted) {
  const HttpServer alive;
  stage_for(otlp("one", server_), 60, 256U << 10U, "memory_limit: 64MiB\n");  // 15 MiB of spans
  constexpr std::string_view kSettings = "memory_limit: 24MiB\n";  // less than what is held
  Gateway gateway(directory_.path());
  std::thread writer([&] { gateway.write_many(100, "acme", 256U << 10U); });
  while (read_stats(directory_.path())->records.read < 160) {
    static_cast<void>(drain(otlp("alive", alive), kSettings));
  }
  writer.join();
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[1].delivered, 100U);
  EXPECT_EQ(dropped(now.destinations[1]), 0U);
  EXPECT_GT(count(now.destinations[0].dropped, "budget"), 0U);
}

TEST_F(Recovery, DrainDoesNotCountARingThatCameAfterItHadFinished) {
  const HttpServer alive;
  const std::string ledger_path = EnginePaths(directory_.path()).ledger;
  ASSERT_TRUE(drain(otlp("one", alive)));
  for (int round = 0; round < 10; ++round) {
    const test::TempDir elsewhere;  // made there and moved in one step, to be in time
    Gateway late(elsewhere.path());
    late.write("late");
    std::atomic<bool> ended{false};
    auto engine = open(otlp("one", alive));
    std::thread gateway([&] {
      while (!ended && (*Ledger::open_read_only(ledger_path))->header().state.load() !=
                           ledger::EngineState::kStopping) {
        std::this_thread::yield();
      }
      for (const auto& file : std::filesystem::directory_iterator(elsewhere.path())) {
        std::filesystem::rename(file.path(),
                                std::filesystem::path(directory_.path()) / file.path().filename());
      }
    });
    EXPECT_TRUE(engine->run(never_)) << "round " << round;
    ended = true;
    gateway.join();
    engine.reset();
    EXPECT_TRUE(drain(otlp("one", alive))) << "and the next one reads it";
  }
  EXPECT_EQ(stats().destinations[0].delivered, 10U);
}

// Cuts off half of a file of the stage.
TEST_F(Recovery, DamagedSegmentBecomesACountedDropAndTheRestIsDelivered) {
  stage_for(otlp("one", server_), 200, 64U << 10U);
  const std::string stage = EnginePaths(directory_.path()).stage;
  std::vector<std::filesystem::path> segments;
  for (const auto& file : std::filesystem::directory_iterator(stage)) {
    segments.push_back(file.path());
  }
  ASSERT_GT(segments.size(), 1U);
  std::filesystem::resize_file(segments[0], std::filesystem::file_size(segments[0]) / 2);
  EXPECT_TRUE(drain(otlp("one", server_)));
  EXPECT_TRUE(std::filesystem::exists(segments[0].string() + ".damaged"));
  for (int start = 0; start < 2; ++start) {
    const DestinationStats one = stats().destinations[0];
    EXPECT_GT(one.delivered, 0U);
    EXPECT_GT(count(one.dropped, "damaged"), 0U);
    EXPECT_EQ(one.delivered + count(one.dropped, "damaged"), 200U);
    EXPECT_TRUE(drain(otlp("one", server_))) << "again";
  }
}

TEST_F(Recovery, SegmentThatWasDeletedBecomesACountedDropToo) {
  stage_for(otlp("one", server_), 200, 64U << 10U);
  const std::string stage = EnginePaths(directory_.path()).stage;
  const auto first = std::filesystem::directory_iterator(stage)->path();
  std::filesystem::remove(first);
  EXPECT_TRUE(drain(otlp("one", server_)));
  const DestinationStats one = stats().destinations[0];
  EXPECT_GT(count(one.dropped, "damaged"), 0U);
  EXPECT_EQ(one.delivered + count(one.dropped, "damaged"), 200U);
  EXPECT_TRUE(check_identities(stats()).empty());
}

TEST_F(Recovery, LedgerThatIsYoungerThanItsRingsAddsUp) {
  const HttpServer alive;
  ASSERT_TRUE(drain(otlp("one", alive)));
  Gateway gateway(directory_.path());
  gateway.write_many(20);
  ASSERT_TRUE(drain(otlp("one", alive)));
  std::filesystem::remove(EnginePaths(directory_.path()).ledger);
  gateway.write_many(3);
  ASSERT_TRUE(drain(otlp("one", alive)));
  EXPECT_EQ(stats().records.read, 3U);
  EXPECT_EQ(stats().records.written, 3U);
}

TEST_F(Recovery, RecordsStagedUnderALostLedgerAreNotToldAsNone) {
  stage_for(otlp("one", server_), 20, 1U << 10U);
  std::filesystem::remove(EnginePaths(directory_.path()).ledger);
  const test::LogCapture log;
  EXPECT_TRUE(drain(otlp("one", server_)));
  EXPECT_EQ(log.lines_with("no count says how many are lost"), 1U) << log.text();
  EXPECT_EQ(log.lines_with("0 records in them"), 0U) << log.text();
}

}  // namespace
}  // namespace sidecast
