// The engine as a whole, in one process with a real ring and a real local receiver: whatever the
// receiver answers, every record has exactly one fate per destination and the sums are exact.
#include <atomic>
#include <string>
#include <string_view>
#include <thread>

#include <gtest/gtest.h>

#include "tests/unit/engine/pipeline_fixture.h"

namespace sidecast {
namespace {

TEST_F(Pipeline, EveryWrittenRecordIsDeliveredOnceToEachDestination) {
  const HttpServer one;
  const HttpServer two;
  const std::string both = otlp("one", one) + otlp("two", two, ", privacy_mode: true");
  ASSERT_TRUE(drain(both));  // makes the directory
  Gateway gateway(directory_.path());
  gateway.write_many(500);
  EXPECT_TRUE(drain(both));
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.records.written, 500U);
  EXPECT_EQ(now.records.routable, 500U);
  for (const DestinationStats& destination : now.destinations) {
    EXPECT_EQ(destination.delivered, 500U) << destination.name;
  }
  EXPECT_GT(ids_in(one, "hello"), 0U);
  EXPECT_EQ(ids_in(two, "hello"), 0U) << "privacy mode let content through";
}

TEST_F(Pipeline, DestinationsOfOneGroupShareTheirBatches) {
  const HttpServer one;
  const HttpServer two;
  ASSERT_TRUE(drain(otlp("one", one) + otlp("two", two)));
  Gateway gateway(directory_.path());
  gateway.write_many(100);
  EXPECT_TRUE(drain(otlp("one", one) + otlp("two", two)));
  ASSERT_EQ(one.requests().size(), two.requests().size());
  for (std::size_t i = 0; i < one.requests().size(); ++i) {
    EXPECT_EQ(one.requests()[i].body, two.requests()[i].body);
  }
}

TEST_F(Pipeline, RecordReachesOnlyDestinationsOfItsAccount) {
  const HttpServer acme;
  const HttpServer globex;
  const std::string both =
      otlp("acme", acme, ", accounts: [acme]") + otlp("globex", globex, ", accounts: [globex]");
  ASSERT_TRUE(drain(both));
  Gateway gateway(directory_.path());
  gateway.write_many(30, "acme");
  gateway.write_many(20, "globex");
  gateway.write_many(10, "nobody");
  EXPECT_TRUE(drain(both));
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.records.unrouted, 10U);
  EXPECT_EQ(now.destinations[0].matched, 30U);
  EXPECT_EQ(now.destinations[1].matched, 20U);
  EXPECT_EQ(ids_in(acme, "gen-globex"), 0U);
  EXPECT_EQ(ids_in(globex, "gen-acme"), 0U);
}

TEST_F(Pipeline, RetryableAnswerIsTriedAgainWithTheSameBytes) {
  HttpServer server;
  ASSERT_TRUE(drain(otlp("one", server)));
  server.script({{.status = 503, .headers = {{"retry-after", "0"}}}});
  Gateway gateway(directory_.path());
  gateway.write_many(5);
  EXPECT_TRUE(drain(otlp("one", server)));
  ASSERT_EQ(server.requests().size(), 2U);
  EXPECT_EQ(server.requests()[0].body, server.requests()[1].body);
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[0].delivered, 5U);
  EXPECT_EQ(now.destinations[0].retries, 1U);
}

TEST_F(Pipeline, RefusedBatchIsRejectedAndTheNextOneGoesOn) {
  HttpServer server;
  ASSERT_TRUE(drain(otlp("one", server)));
  server.script({{.status = 400, .body = "no such field"}});
  Gateway gateway(directory_.path());
  gateway.write_many(5);
  EXPECT_TRUE(drain(otlp("one", server)));
  gateway.write_many(3);
  EXPECT_TRUE(drain(otlp("one", server)));
  const StatsSnapshot now = stats();
  EXPECT_EQ(count(now.destinations[0].rejected, "rejected"), 5U);
  EXPECT_EQ(now.destinations[0].delivered, 3U);
}

TEST_F(Pipeline, PartialSuccessCountsTheRejectedRecords) {
  HttpServer server;
  ASSERT_TRUE(drain(otlp("one", server)));
  server.script({{.status = 200,
                  .headers = {{"content-type", "application/json"}},
                  .body = R"({"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}})"}});
  Gateway gateway(directory_.path());
  gateway.write_many(5);
  EXPECT_TRUE(drain(otlp("one", server)));
  const StatsSnapshot now = stats();
  EXPECT_EQ(count(now.destinations[0].rejected, "partial"), 2U);
  EXPECT_EQ(now.destinations[0].rejected_spans, 2U);
  EXPECT_EQ(now.destinations[0].delivered, 3U);
  EXPECT_EQ(server.requests().size(), 1U) << "partial success must not be sent again";
}

TEST_F(Pipeline, TooLargeBatchIsHalvedUntilItFits) {
  HttpServer server;
  ASSERT_TRUE(drain(otlp("one", server)));
  // 8 records -> 413; halves: 4 -> 413, 4 -> 200; quarters of the first: 2 -> 200, 2 -> 200.
  server.script({{.status = 413}, {.status = 413}});
  Gateway gateway(directory_.path());
  gateway.write_many(8);
  EXPECT_TRUE(drain(otlp("one", server)));
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[0].delivered, 8U);
  EXPECT_EQ(server.requests().size(), 5U);
}

TEST_F(Pipeline, SingleRecordThatIsTooLargeIsRejectedAloneAndKeepsItsNeighbours) {
  HttpServer server;
  ASSERT_TRUE(drain(otlp("one", server)));
  server.script({{.status = 413}, {.status = 413}});  // both records, then one of them
  Gateway gateway(directory_.path());
  gateway.write_many(2);
  EXPECT_TRUE(drain(otlp("one", server)));
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[0].delivered, 1U);
  EXPECT_EQ(count(now.destinations[0].rejected, "too_large"), 1U);
}

TEST_F(Pipeline, WhatIsNotDeliveredWaitsForTheNextEngine) {
  HttpServer server;
  ASSERT_TRUE(drain(otlp("one", server)));
  server.set_default({.status = 503, .headers = {{"retry-after", "3600"}}});
  Gateway gateway(directory_.path());
  gateway.write_many(50);
  EXPECT_FALSE(drain(otlp("one", server))) << "something is left";
  EXPECT_EQ(stats().destinations[0].pending, 50U);
  EXPECT_EQ(stats().records.unread, 0U) << "the ring's room was given back";
  server.set_default({.status = 200});
  EXPECT_TRUE(drain(otlp("one", server)));
  EXPECT_EQ(stats().destinations[0].delivered, 50U);
}

TEST_F(Pipeline, DeadDestinationCostsTheLivingOneNothingAndMemoryStaysBounded) {
  HttpServer dead;
  const HttpServer alive;
  dead.set_default({.status = 503, .headers = {{"retry-after", "3600"}}});
  const std::string both = otlp("dead", dead) + otlp("alive", alive);
  constexpr std::string_view kSettings = "memory_limit: 64MiB\n";
  ASSERT_TRUE(drain(both, kSettings));
  Gateway gateway(directory_.path());
  std::thread writer([&] { gateway.write_many(400, {}, 256U << 10U); });  // 200 MiB of spans
  std::atomic<bool> stop{false};
  auto engine = open(both, kSettings);
  std::thread running([&] { static_cast<void>(engine->run(stop)); });
  writer.join();
  stop = true;
  running.join();
  engine.reset();
  EXPECT_FALSE(drain(both, kSettings)) << "the dead one's last batches are left";
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.records.written, 400U);
  EXPECT_EQ(now.destinations[1].delivered, 400U);
  EXPECT_EQ(now.destinations[1].pending, 0U);
  EXPECT_EQ(now.destinations[0].delivered, 0U);
  EXPECT_GT(count(now.destinations[0].dropped, "budget"), 0U);
  EXPECT_LE(now.engine.stage_bytes, 64U << 20U);
}

TEST_F(Pipeline, SecondEngineWaitsForTheFirstOnesLock) {
  const HttpServer server;
  auto first = open(otlp("one", server));
  std::atomic<bool> opened{false};
  std::thread second([&] {
    const auto engine = open(otlp("one", server));
    opened = true;
  });
  EXPECT_TRUE(first->run(never_));
  EXPECT_FALSE(opened) << "the first still holds the lock";
  first.reset();
  second.join();
  EXPECT_TRUE(opened);
}

}  // namespace
}  // namespace sidecast
