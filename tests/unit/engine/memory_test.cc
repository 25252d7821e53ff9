// An engine with little memory: nothing wedges it, nobody starves, and only what does not fit is
// lost.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include <gtest/gtest.h>

#include "engine/ledger/ledger.h"
#include "engine/ledger/paths.h"
#include "tests/support/log_capture.h"
#include "tests/unit/engine/pipeline_fixture.h"

namespace sidecast {
namespace {

using test::ScriptedReply;

constexpr std::size_t kKiB = 1U << 10U;

class Memory : public Pipeline {
 protected:
  // An engine in a thread of its own, until stop().
  class Running {
   public:
    explicit Running(std::unique_ptr<Engine> engine)
        : engine_(std::move(engine)), thread_([this] { static_cast<void>(engine_->run(stop_)); }) {}
    ~Running() { stop(); }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    void stop() {
      stop_ = true;
      if (thread_.joinable()) thread_.join();
      engine_.reset();  // and its lock
    }

   private:
    std::unique_ptr<Engine> engine_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
  };

  StatsSnapshot numbers() const { return std::move(*read_stats(directory_.path())); }
  template <typename Condition>
  static void wait_until(const Condition& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(condition());
  }
  // Until workers have stopped reading although there is something to read.
  void wait_until_workers_wait() const {
    std::uint64_t read_before = 0;
    for (int unchanged = 0; unchanged < 20; ++unchanged) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      const RecordStats records = numbers().records;
      if (records.read != read_before || records.unread == 0) unchanged = 0;
      read_before = records.read;
    }
  }
};

// Every batch is split down to single records, and what is split comes back to workers that wait
// for the very room it holds.
TEST_F(Memory, DestinationThatFindsEveryBatchTooLargeDoesNotWedgeTheEngine) {
  HttpServer server;
  server.set_default({.status = 413});
  constexpr std::string_view kSettings = "memory_limit: 16MiB\n";
  ASSERT_TRUE(drain(otlp("one", server), kSettings));
  Running engine(open(otlp("one", server), kSettings, false));
  Gateway gateway(directory_.path());
  gateway.write_many(400, {}, 64 * kKiB);  // 25 MiB: returns only if the engine goes on reading
  engine.stop();
  ASSERT_TRUE(drain(otlp("one", server), kSettings));
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.records.routable, 400U);
  EXPECT_EQ(count(now.destinations[0].rejected, "too_large") +
                count(now.destinations[0].dropped, "budget"),
            400U);
}

TEST_F(Memory, WorkersWithLittleMemoryDoNotStarveEachOther) {
  const HttpServer server;
  constexpr std::string_view kSettings = "memory_limit: 16MiB\n";
  ASSERT_TRUE(drain(otlp("one", server), kSettings));
  Running engine(open(otlp("one", server), kSettings, false));
  std::vector<std::thread> gateways;
  for (int i = 0; i < 4; ++i) {
    gateways.emplace_back([this, i] {
      Gateway gateway(directory_.path());
      gateway.write_many(100, std::to_string(i), 64 * kKiB);
    });
  }
  for (std::thread& gateway : gateways) gateway.join();
  engine.stop();
  ASSERT_TRUE(drain(otlp("one", server), kSettings));
  EXPECT_EQ(stats().destinations[0].delivered, 400U);
}

TEST_F(Memory, DestinationThatDeliversIsSparedWhileTheRingHasRoom) {
  HttpServer server;
  constexpr std::string_view kSettings = "memory_limit: 32MiB\n";
  ASSERT_TRUE(drain(otlp("one", server), kSettings));
  server.set_default({.status = 200, .manner = ScriptedReply::Manner::kHeld});
  Running engine(open(otlp("one", server), kSettings, false));
  Gateway gateway(directory_.path());
  gateway.write_many(260, {}, 64 * kKiB);  // more than bodies and open batches may take
  wait_until_workers_wait();
  server.release();
  engine.stop();
  ASSERT_TRUE(drain(otlp("one", server), kSettings));
  EXPECT_EQ(stats().destinations[0].delivered, 260U);
}

// Both hold the same batches, and the other one is about to take them: dropping the dead one's part
// would free nothing.
TEST_F(Memory, DeadDestinationLosesNothingWhileAnotherOneHoldsTheSameRoom) {
  HttpServer dead;
  HttpServer slow;
  constexpr std::string_view kSettings = "memory_limit: 32MiB\n";
  const std::string both = otlp("dead", dead) + otlp("slow", slow);
  ASSERT_TRUE(drain(both, kSettings));
  dead.set_default({.status = 503, .headers = {{"retry-after", "3600"}}});
  slow.set_default({.status = 200, .manner = ScriptedReply::Manner::kHeld});
  {
    Running engine(open(both, kSettings, false));
    Gateway gateway(directory_.path());
    gateway.write_many(260, {}, 64 * kKiB);  // bodies may take about 150 of them
    wait_until_workers_wait();
    EXPECT_EQ(count(numbers().destinations[0].dropped, "budget"), 0U);
    slow.release();
    wait_until([this] { return numbers().destinations[1].delivered == 260; });
  }
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[0].pending + count(now.destinations[0].dropped, "budget"), 260U);
  EXPECT_GE(now.destinations[0].pending, 90U);
}

TEST_F(Memory, DeadDestinationIsDroppedFromBeforeTheRingFills) {
  HttpServer dead;
  HttpServer alive;
  dead.set_default({.status = 503, .headers = {{"retry-after", "3600"}}});
  constexpr std::string_view kSettings = "memory_limit: 16MiB\n";
  const std::string both = otlp("dead", dead) + otlp("alive", alive, ", privacy_mode: true");
  ASSERT_TRUE(drain(both, kSettings));
  {
    Running engine(open(both, kSettings, false));
    Gateway gateway(directory_.path());
    gateway.write_many(600, {}, 64 * kKiB);
    wait_until([this] { return numbers().destinations[1].delivered == 600; });
  }
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[1].delivered, 600U);
  EXPECT_EQ(now.destinations[0].pending + count(now.destinations[0].dropped, "budget"), 600U);
  // Bodies are what it runs out of first: 4.8 MiB. Most of them are still there.
  EXPECT_GE(now.destinations[0].pending, 40U);
}

// Nine failures in a row are backed off from for more than a minute; meanwhile all that comes is
// lost. The wait for the end is far shorter.
TEST_F(Memory, DestinationIsAskedAgainSoonWhileWaitingCostsRecords) {
  HttpServer dead;
  constexpr std::string_view kSettings = "memory_limit: 16MiB\n";
  ASSERT_TRUE(drain(otlp("dead", dead), kSettings));
  dead.script(std::vector<ScriptedReply>(9, {.status = 503}));
  std::atomic<bool> is_over{false};
  Running engine(open(otlp("dead", dead), kSettings, false));
  std::thread writer([&] {
    Gateway gateway(directory_.path());
    while (!is_over) {
      gateway.write_many(1, {}, 64 * kKiB);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  wait_until([this] { return numbers().destinations[0].delivered > 0; });
  is_over = true;
  writer.join();
  EXPECT_GT(count(numbers().destinations[0].dropped, "budget"), 0U);
}

TEST_F(Memory, RecordThatWaitsForRoomIsNotSuspectedWhenTheEngineIsKilled) {
  HttpServer server;
  constexpr std::string_view kSettings = "memory_limit: 32MiB\n";
  ASSERT_TRUE(drain(otlp("one", server), kSettings));
  server.set_default({.status = 200, .manner = ScriptedReply::Manner::kHeld});
  Running engine(open(otlp("one", server), kSettings, false));
  Gateway gateway(directory_.path());
  gateway.write_many(260, {}, 64 * kKiB);
  wait_until_workers_wait();
  // Another worker may be busy with its own record for a moment yet; one that waits stays as it is.
  wait_until([&] {
    const auto ledger = Ledger::open_read_only(EnginePaths(directory_.path()).ledger);  // as of now
    if (!ledger) return false;
    const auto& workers = (*ledger)->header().workers;
    return std::all_of(std::begin(workers), std::end(workers), [](const auto& worker) {
      return worker.in_hand.state.load() == ledger::kNothingInHand;
    });
  });
  server.release();
}

TEST_F(Memory, RecordTooLargeForTheStageIsShortenedAndSaidOnce) {
  const HttpServer server;
  constexpr std::string_view kSettings = "memory_limit: 16MiB\nwriters: {ring_size: 64MiB}\n";
  ASSERT_TRUE(drain(otlp("one", server), kSettings));
  Gateway gateway(directory_.path());
  gateway.write_many(2);
  gateway.write_many(3, {}, 6 * kKiB * kKiB);
  gateway.write_many(2);
  const test::LogCapture log;
  EXPECT_TRUE(drain(otlp("one", server), kSettings));
  EXPECT_EQ(log.lines_with("content of such records is shortened"), 1U) << log.text();
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.records.oversized, 0U);
  EXPECT_EQ(now.records.malformed, 0U);
  EXPECT_EQ(now.records.routable, 7U);
  EXPECT_EQ(now.destinations[0].delivered, 7U);
  EXPECT_EQ(now.destinations[0].shrunk, 3U);
  EXPECT_GE(ids_in(server, "[shortened from 6,291,461 bytes]"), 3U);
}

}  // namespace
}  // namespace sidecast
