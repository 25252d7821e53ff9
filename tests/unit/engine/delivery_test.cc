// What becomes of batches that a destination does not simply take: a real engine and a receiver
// that misbehaves by script.
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "engine/base/sha256.h"
#include "engine/model/ids.h"
#include "tests/support/log_capture.h"
#include "tests/unit/engine/pipeline_fixture.h"
#include "tests/unit/exporters/destinations/service_account.h"

namespace sidecast {
namespace {

class Delivery : public Pipeline {
 protected:
  // Waits, under one generous watchdog, until that is true of the first destination.
  void wait_for(const std::function<bool(const DestinationStats&)>& is_so) const {
    const Instant deadline = monotonic_now() + std::chrono::seconds(30);
    while (monotonic_now() < deadline) {
      const auto now = read_stats(directory_.path());
      if (now && is_so(now->destinations.at(0))) return;
      std::this_thread::yield();
    }
    ADD_FAILURE() << "it never came to that";
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
  wait_for([](const DestinationStats& now) { return now.state == "backing off"; });
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

TEST_F(Delivery, RejectionsAreToldOnceWithTheirCauseAndCountedAtTheEnd) {
  for (const std::string_view answer : {"", R"({"partialSuccess":{"rejectedSpans":1}})"}) {
    directory_.renew();
    HttpServer server;
    server.set_default({.status = answer.empty() ? 500 : 200, .body = std::string(answer)});
    Gateway gateway(directory_.path());
    gateway.write_many(20);
    const test::LogCapture log;
    EXPECT_TRUE(drain(otlp("one", server, ", batch_records_max: 1")));
    const std::string cause = answer.empty() ? "HTTP 500" : "HTTP 200; rejected spans: 1";
    EXPECT_EQ(
        log.lines_with("one: refuses records for good, they are counted as rejected: " + cause), 1U)
        << log.text();
    EXPECT_EQ(log.lines_with("one: refuses no more; it has cost 20 records"), 1U) << log.text();
  }
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

TEST_F(Delivery, ObjectsOfS3CarryTheHashOfTheirBytes) {
  const HttpServer server;
  const std::string bucket = fmt::format(
      "  - {{name: bucket, type: s3, endpoint: \"{}\", bucket: b, access_key_id: a, "
      "secret_access_key: s}}\n",
      server.url());
  ASSERT_TRUE(drain(bucket));
  Gateway gateway(directory_.path());
  gateway.write_many(3);
  EXPECT_TRUE(drain(bucket));
  ASSERT_EQ(server.requests().size(), 3U);
  for (const auto& request : server.requests()) {
    EXPECT_EQ(request.header("x-amz-content-sha256"), to_hex(as_bytes(sha256(request.body))));
  }
}

// ---- Refused batches ----------------------------------------------------------------------------

HttpServer::Rule refuse_larger_than(std::size_t bytes) {
  return [bytes](const test::ReceivedRequest& request) -> std::optional<test::ScriptedReply> {
    if (request.body.size() <= bytes) return std::nullopt;
    return test::ScriptedReply{.status = 413};
  };
}

HttpServer::Rule refuse_bodies_with(const std::string& word) {
  return [word](const test::ReceivedRequest& request) -> std::optional<test::ScriptedReply> {
    if (request.body.find(word) == std::string::npos) return std::nullopt;
    return test::ScriptedReply{.status = 400};
  };
}

TEST_F(Delivery, RecordThatIsRefusedForItsSizeIsFoundInFewRequestsAndShortened) {
  HttpServer server;
  ASSERT_TRUE(drain(otlp("one", server)));
  server.set_rule(refuse_larger_than(300'000));
  Gateway gateway(directory_.path());
  gateway.write_many(40);
  gateway.write("the-large-one", {}, 400U << 10U);
  gateway.write_many(23);
  EXPECT_TRUE(drain(otlp("one", server)));
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[0].delivered, 64U);
  EXPECT_EQ(now.destinations[0].shrunk, 1U);
  EXPECT_GE(ids_in(server, "[shortened from 409,605 bytes]"), 1U);
  EXPECT_LE(server.requests().size(), 1U + 2 * 6 + 8 + 4);
}

TEST_F(Delivery, RecordThatIsRefusedHoweverSmallItIsMadeIsRejectedAfterAFewRequests) {
  HttpServer server;
  ASSERT_TRUE(drain(otlp("one", server)));
  server.set_rule([](const test::ReceivedRequest& request) -> std::optional<test::ScriptedReply> {
    if (request.body.find("the-large-one") == std::string::npos) return std::nullopt;
    return test::ScriptedReply{.status = 413};
  });
  Gateway gateway(directory_.path());
  gateway.write_many(10);
  ASSERT_TRUE(drain(otlp("one", server)));
  gateway.write("the-large-one", {}, 400U << 10U);
  EXPECT_TRUE(drain(otlp("one", server)));
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[0].delivered, 10U);
  EXPECT_EQ(count(now.destinations[0].rejected, "too_large"), 1U);
  EXPECT_EQ(now.destinations[0].shrunk, 0U);
  EXPECT_LE(server.requests().size(), 1U + 1U + 4U);
}

TEST_F(Delivery, WhatWasLearntOfSizesOutlivesARestart) {
  HttpServer server;
  const std::string one = otlp("one", server, ", connections: 1, batch_records_max: 64");
  ASSERT_TRUE(drain(one));
  server.set_rule(refuse_larger_than(300'000));
  Gateway gateway(directory_.path());
  gateway.write_many(64, {}, 16U << 10U);
  gateway.write("large-1", {}, 400U << 10U);
  ASSERT_TRUE(drain(one));
  const std::size_t before = server.requests().size();
  gateway.write_many(64, {}, 16U << 10U);
  gateway.write("large-2", {}, 400U << 10U);
  ASSERT_TRUE(drain(one));
  EXPECT_EQ(stats().destinations[0].delivered, 130U);
  EXPECT_EQ(stats().destinations[0].shrunk, 2U);
  const auto requests = server.requests();
  std::size_t refused = 0;
  for (std::size_t i = before; i < requests.size(); ++i) {
    refused += requests[i].body.size() > 300'000 ? 1U : 0U;
  }
  EXPECT_EQ(refused, 0U) << "batches are cut and records shortened before they are sent";
}

TEST_F(Delivery, ServerThatTakesNothingEndsTheBisectAndTheNextBatchIsNotSearched) {
  HttpServer server;
  const std::string one = otlp("one", server, ", connections: 1, batch_records_max: 64");
  ASSERT_TRUE(drain(one));
  server.set_default({.status = 413});
  Gateway gateway(directory_.path());
  gateway.write_many(64);
  gateway.write_many(64);
  EXPECT_TRUE(drain(one));
  EXPECT_EQ(count(stats().destinations[0].rejected, "too_large"), 128U);
  EXPECT_LE(server.requests().size(), 1U + 2 * 6 + 8 + 3);
}

TEST_F(Delivery, LearntLimitCutsLaterBatches) {
  HttpServer server;
  const std::string one = otlp("one", server, ", connections: 1, batch_records_max: 64");
  ASSERT_TRUE(drain(one));
  server.set_rule(refuse_larger_than(300'000));
  Gateway gateway(directory_.path());
  gateway.write_many(256, {}, 16U << 10U);  // more than 1 MiB each
  EXPECT_TRUE(drain(one));
  EXPECT_EQ(stats().destinations[0].delivered, 256U);
  std::size_t refused = 0;
  for (const auto& request : server.requests()) refused += request.body.size() > 300'000 ? 1U : 0U;
  // Without a memory each of the four batches would be refused, and its halves.
  EXPECT_LE(refused, 4U);
}

TEST_F(Delivery, BatchThatWasUnderWayWhenTheLimitWasLearntIsCutToo) {
  HttpServer server;
  const std::string one = otlp("one", server, ", connections: 2, batch_records_max: 64");
  ASSERT_TRUE(drain(one));
  server.set_rule([](const test::ReceivedRequest& request) -> std::optional<test::ScriptedReply> {
    if (request.body.size() <= 300'000) return std::nullopt;
    const bool is_held = request.body.size() > 900'000 &&
                         request.body.find("of-the-held-batch") != std::string::npos;
    return test::ScriptedReply{.status = 413,
                               .manner = is_held ? test::ScriptedReply::Manner::kHeld
                                                 : test::ScriptedReply::Manner::kWhole};
  });
  Gateway gateway(directory_.path());
  gateway.write_many(64);  // room for two requests
  gateway.write("of-the-held-batch", {}, 16U << 10U);
  gateway.write_many(63 + 64, {}, 16U << 10U);
  std::thread engine([&] { EXPECT_TRUE(drain(one)); });
  wait_for([](const DestinationStats& now) { return now.delivered == 128; });
  server.release();
  engine.join();
  EXPECT_EQ(stats().destinations[0].delivered, 192U);
}

TEST_F(Delivery, RecordThatIsRefusedForItsContentLeavesItsNeighboursAlone) {
  HttpServer server;
  const std::string one = otlp("one", server, ", connections: 1, batch_records_max: 16");
  ASSERT_TRUE(drain(one));
  server.set_rule(refuse_bodies_with("poison-pill"));
  Gateway gateway(directory_.path());
  gateway.write_many(16);  // it takes such requests
  gateway.write_many(5);
  gateway.write("poison-pill");
  gateway.write_many(10);
  EXPECT_TRUE(drain(one));
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[0].delivered, 31U);
  EXPECT_EQ(count(now.destinations[0].rejected, "rejected"), 1U);
  EXPECT_LE(server.requests().size(), 2U + 2 * 4 + 8);
}

TEST_F(Delivery, BatchIsRejectedWholeWhenBothHalvesAreRefusedForTheirContent) {
  HttpServer server;
  const std::string one = otlp("one", server, ", connections: 1, batch_records_max: 16");
  ASSERT_TRUE(drain(one));
  server.script({{.status = 200}});
  server.set_default({.status = 400});
  Gateway gateway(directory_.path());
  gateway.write_many(48);
  EXPECT_TRUE(drain(one));
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[0].delivered + count(now.destinations[0].rejected, "rejected"), 48U);
  EXPECT_LE(server.requests().size(), 1U + 3U + 4U) << "one search, then whole batches";
}

TEST_F(Delivery, BisectOutlivesAnOutageInItsMiddle) {
  HttpServer server;
  ASSERT_TRUE(drain(otlp("one", server)));
  server.script({{.status = 413},
                 {.status = 503, .headers = {{"retry-after", "0"}}},
                 {.status = 413},
                 {.status = 200, .manner = test::ScriptedReply::Manner::kReset}});
  Gateway gateway(directory_.path());
  gateway.write_many(8);
  EXPECT_TRUE(drain(otlp("one", server)));
  EXPECT_EQ(stats().destinations[0].delivered, 8U);
}

// The records of a PutRecordBatch, by the base64 text of each.
std::vector<std::string> firehose_records(const test::ReceivedRequest& request) {
  std::vector<std::string> records;
  constexpr std::string_view kData = R"({"Data":")";
  for (std::size_t at = 0; (at = request.body.find(kData, at)) != std::string::npos;) {
    at += kData.size();
    records.push_back(request.body.substr(at, request.body.find('"', at) - at));
  }
  return records;
}

TEST_F(Delivery, OnlyRecordsThatAnAnswerNamesAreSentAgain) {
  HttpServer server;
  const std::string one = fmt::format(
      "  - {{name: one, type: firehose, endpoint: \"{}\", stream: s, access_key_id: a, "
      "secret_access_key: b}}\n",
      server.url());
  ASSERT_TRUE(drain(one));
  std::minstd_rand random(20260102);
  std::mutex mutex;  // over the two below
  std::map<std::string, int> stored;
  std::set<std::string> failures;
  server.set_rule([&](const test::ReceivedRequest& request) {
    const std::lock_guard lock(mutex);
    std::string responses;
    std::size_t failed = 0;
    for (const std::string& record : firehose_records(request)) {
      const bool fails = random() % 4 == 0 && failures.insert(record).second;
      failed += fails ? 1 : 0;
      if (!fails) ++stored[record];
      responses +=
          fails ? R"({"ErrorCode":"InternalFailure","ErrorMessage":"m"},)" : R"({"RecordId":"r"},)";
    }
    responses.pop_back();
    return test::ScriptedReply{
        .status = 200,
        .headers = {},
        .body =
            fmt::format(R"({{"FailedPutCount":{},"RequestResponses":[{}]}})", failed, responses)};
  });
  Gateway gateway(directory_.path());
  gateway.write_many(300);
  EXPECT_TRUE(drain(one));
  const StatsSnapshot now = stats();
  EXPECT_EQ(now.destinations[0].delivered, 300U);
  EXPECT_GT(failures.size(), 0U) << "the receiver did refuse some";
  EXPECT_EQ(stored.size(), 300U);
  for (const auto& [record, times] : stored) EXPECT_EQ(times, 1) << "sent again though taken";
}

// The ids of the rows of an insertAll.
std::vector<std::string> insert_ids(const test::ReceivedRequest& request) {
  std::vector<std::string> ids;
  constexpr std::string_view kId = R"({"insertId":")";
  for (std::size_t at = 0; (at = request.body.find(kId, at)) != std::string::npos;) {
    at += kId.size();
    ids.push_back(request.body.substr(at, request.body.find('"', at) - at));
  }
  return ids;
}

TEST_F(Delivery, EveryRowEndsInTheFateThatTheAnswerGaveIt) {
  HttpServer server;
  const std::string one = fmt::format(
      "  - {{name: one, type: bigquery, endpoint: \"{}\", project_id: p, compression: none, "
      "service_account_key: '{}'}}\n",
      server.url(), test::service_account_key("me@example.com", server.url() + "/token"));
  ASSERT_TRUE(drain(one));
  std::minstd_rand random(20260103);
  std::mutex mutex;                  // over the three below
  std::map<std::string, int> fates;  // how often each was stored or refused for good
  std::set<std::string> failures;
  std::size_t refused = 0;
  std::size_t tokens = 0;
  server.set_rule([&](const test::ReceivedRequest& request) -> test::ScriptedReply {
    const std::lock_guard lock(mutex);
    if (request.target == "/token") {
      ++tokens;
      return {.status = 200, .headers = {}, .body = R"({"access_token":"t","expires_in":3600})"};
    }
    EXPECT_EQ(request.header("authorization"), "Bearer t");
    std::string errors;
    std::size_t index = 0;
    for (const std::string& id : insert_ids(request)) {
      const auto dice = random() % 8;
      const bool fails = dice == 0 && failures.insert(id).second;
      const bool is_refused = !fails && dice == 1;
      if (!fails) ++fates[id];
      if (is_refused) ++refused;
      if (fails || is_refused) {
        errors += fmt::format(R"({}{{"index":{},"errors":[{{"reason":"{}"}}]}})",
                              errors.empty() ? "" : ",", index, fails ? "backendError" : "invalid");
      }
      ++index;
    }
    return {.status = 200, .headers = {}, .body = R"({"insertErrors":[)" + errors + "]}"};
  });
  Gateway gateway(directory_.path());
  gateway.write_many(300);
  EXPECT_TRUE(drain(one));
  const StatsSnapshot now = stats();
  EXPECT_GT(refused, 0U);
  EXPECT_GT(failures.size(), 0U);
  EXPECT_EQ(tokens, 1U) << "one is good for an hour";
  EXPECT_EQ(now.destinations[0].delivered, 300U - refused);
  EXPECT_EQ(count(now.destinations[0].rejected, "partial"), refused);
  EXPECT_EQ(fates.size(), 300U);
  for (const auto& [id, times] : fates) EXPECT_EQ(times, 1) << id;
}

TEST_F(Delivery, WithoutATokenNothingIsSentAndEverythingKept) {
  HttpServer server;
  const std::string one = fmt::format(
      "  - {{name: one, type: bigquery, endpoint: \"{}\", project_id: p, "
      "service_account_key: '{}'}}\n",
      server.url(), test::service_account_key("me@example.com", server.url() + "/token"));
  ASSERT_TRUE(drain(one));
  server.set_default({.status = 400, .headers = {}, .body = R"({"error":"invalid_grant"})"});
  Gateway gateway(directory_.path());
  gateway.write_many(5);
  EXPECT_FALSE(drain(one));
  EXPECT_EQ(stats().destinations.back().state, "paused");
  EXPECT_EQ(stats().destinations.back().pending, 5U);
  ASSERT_EQ(server.requests().size(), 1U);
  EXPECT_EQ(server.requests()[0].target, "/token");
}

TEST_F(Delivery, AStatementThatStillRunsIsFollowedToItsEnd) {
  HttpServer server;
  const std::string one = fmt::format(
      "  - {{name: one, type: snowflake, endpoint: \"{}\", account: a, token: t}}\n", server.url());
  ASSERT_TRUE(drain(one));
  const std::string running = R"({"code":"333334","statementHandle":"01-ab"})";
  server.script({{.status = 202, .headers = {}, .body = running},
                 {.status = 200, .headers = {}, .body = "{}"}});
  Gateway gateway(directory_.path());
  gateway.write_many(3);
  EXPECT_TRUE(drain(one));
  EXPECT_EQ(stats().destinations[0].delivered, 3U);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[1].method, "GET");
  EXPECT_EQ(requests[1].target, "/api/v2/statements/01-ab");
  EXPECT_EQ(requests[1].header("authorization"), "Bearer t");
}

}  // namespace
}  // namespace sidecast
