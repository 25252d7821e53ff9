// What becomes of batches that a destination does not simply take: a real engine and a receiver
// that misbehaves by script.
#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/log_capture.h"
#include "tests/unit/engine/pipeline_fixture.h"

namespace sidecast {
namespace {

class Delivery : public Pipeline {
 protected:
  // Waits, under one generous watchdog, until the first destination is in that state.
  void wait_for_state(std::string_view state) const {
    const Instant deadline = monotonic_now() + std::chrono::seconds(30);
    while (monotonic_now() < deadline) {
      const auto now = read_stats(directory_.path());
      if (now && now->destinations.at(0).state == state) return;
      std::this_thread::yield();
    }
    ADD_FAILURE() << "never " << state;
  }
};

TEST_F(Delivery, RetryAfterIsKeptWhenAnOlderRequestSucceeds) {
  HttpServer server;
  const std::string one = otlp("one", server, ", batch_records_max: 1");
  ASSERT_TRUE(drain(one));
  server.script({{.status = 200},
                 {.status = 200, .manner = test::ScriptedReply::Manner::kHeld},
                 {.status = 503, .headers = {{"retry-after", "3120"}}}});
  Gateway gateway(directory_.path());
  gateway.write_many(4);
  std::thread engine([&] { EXPECT_FALSE(drain(one)) << "two records are left"; });
  EXPECT_TRUE(server.wait_for_requests(3));
  wait_for_state("backing off");
  server.release();
  engine.join();
  EXPECT_EQ(server.requests().size(), 3U);
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[0].delivered, 2U);
  EXPECT_EQ(now.destinations[0].pending, 2U);
  EXPECT_EQ(now.destinations[0].state, "backing off");
}

TEST_F(Delivery, WrongCredentialsOrAddressPauseAndKeepEveryBatch) {
  for (const int status : {401, 403, 404}) {
    SCOPED_TRACE(status);
    HttpServer server;
    const std::string one = otlp("one", server);
    ASSERT_TRUE(drain(one));
    server.set_default({.status = status});
    Gateway gateway(directory_.path());
    gateway.write_many(5);
    EXPECT_FALSE(drain(one));
    StatsSnapshot now = stats();
    EXPECT_EQ(now.destinations.back().state, "paused");
    EXPECT_EQ(now.destinations.back().pending, 5U);
    EXPECT_EQ(server.requests().size(), 1U) << "the next try is many seconds away";
    server.set_default({.status = 200});
    EXPECT_TRUE(drain(one));
    now = stats();
    EXPECT_EQ(now.destinations.back().delivered, 5U);
  }
}

TEST_F(Delivery, PausedDestinationGivesUpOnlyAfterItsTime) {
  HttpServer server;
  const std::string one = otlp("one", server);
  constexpr std::string_view kSettings = "give_up_after: 1s\n";
  ASSERT_TRUE(drain(one, kSettings));
  server.set_default({.status = 401});
  Gateway gateway(directory_.path());
  gateway.write_many(5);
  const test::LogCapture log;
  const Instant start = monotonic_now();
  EXPECT_TRUE(drain(one, kSettings)) << "nothing is left";
  EXPECT_GE(monotonic_now() - start, std::chrono::seconds(1));
  EXPECT_EQ(count(stats().destinations[0].dropped, "expired"), 5U);
  EXPECT_EQ(log.lines_with("dropped(expired)"), 2U) << log.text();
  EXPECT_EQ(log.lines_with("HTTP 401; check the credentials; mend the destination"), 1U);
  EXPECT_EQ(log.lines_with("no longer dropped(expired); it has cost 5 records"), 1U);
}

TEST_F(Delivery, LossForWantOfMemoryIsToldTwiceHoweverMuchIsLost) {
  HttpServer dead;
  dead.set_default({.status = 503, .headers = {{"retry-after", "3600"}}});
  constexpr std::string_view kSettings = "memory_limit: 64MiB\n";
  ASSERT_TRUE(drain(otlp("dead", dead), kSettings));
  Gateway gateway(directory_.path());
  const test::LogCapture log;
  auto engine = open(otlp("dead", dead), kSettings);
  std::atomic<bool> stop{false};
  std::thread running([&] { static_cast<void>(engine->run(stop)); });
  gateway.write_many(400, {}, 256U << 10U);
  stop = true;
  running.join();
  engine.reset();
  const std::uint64_t dropped = count(stats().destinations[0].dropped, "budget");
  EXPECT_GT(dropped, 1U);
  EXPECT_EQ(log.lines_with("dropped(budget)"), 2U) << log.text();
  EXPECT_EQ(log.lines_with("raise memory_limit"), 1U);
  EXPECT_EQ(log.lines_with("it has cost " + std::to_string(dropped) + " records"), 1U);
}

TEST_F(Delivery, WordsOfAServerReachNeitherLedgerNorLog) {
  const test::LogCapture log;
  HttpServer server;
  const std::string one = otlp("one", server, ", headers: {x-key: \"ab/c+d\"}");
  ASSERT_TRUE(drain(one));
  for (const int status : {400, 401, 503}) {
    server.set_default({.status = status, .body = "key ab%2Fc%2Bd may not send 'hello'"});
    Gateway gateway(directory_.path());
    gateway.write_many(1);
    static_cast<void>(drain(one));
    const StatsSnapshot now = stats();
    EXPECT_TRUE(now.destinations[0].last_error.starts_with("HTTP " + std::to_string(status)));
    EXPECT_EQ(now.destinations[0].last_error.find("key"), std::string::npos);
    EXPECT_EQ(now.destinations[0].last_error.find("hello"), std::string::npos);
  }
  EXPECT_GT(log.lines_with("HTTP 401"), 0U);
  EXPECT_EQ(log.lines_with("ab%2Fc"), 0U) << log.text();
  EXPECT_EQ(log.lines_with("hello"), 0U) << log.text();
}

}  // namespace
}  // namespace sidecast
