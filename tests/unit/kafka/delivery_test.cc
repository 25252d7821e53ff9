// The engine with a Kafka destination, over librdkafka's mock cluster with faults: every record
// ends in the right fate, and the ledger is exact.
#include <atomic>
#include <chrono>
#include <random>
#include <set>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/kafka_cluster.h"
#include "tests/unit/engine/pipeline_fixture.h"

namespace sidecast {
namespace {

using test::KafkaCluster;
using test::StoredMessage;

std::string kafka(const KafkaCluster& cluster, std::string_view more = {}) {
  return fmt::format("  - {{name: stream, type: kafka, brokers: \"{}\", encoding: otlp_json{}}}\n",
                     cluster.brokers(), more);
}

class KafkaDelivery : public Pipeline {
 protected:
  // Ids of generations, as often as the topic has them.
  static std::multiset<std::string> ids_in(const KafkaCluster& cluster) {
    std::multiset<std::string> ids;
    for (const StoredMessage& message : cluster.stored()) {
      const std::size_t at = message.value.find("\"gen-");
      if (at == std::string::npos) continue;
      ids.insert(message.value.substr(at + 1, message.value.find('"', at + 1) - at - 1));
    }
    return ids;
  }
  static std::size_t distinct(const std::multiset<std::string>& ids) {
    return std::set<std::string>(ids.begin(), ids.end()).size();
  }
  // Writes `count` records while the engine runs and `disturb` does its worst, then ends when all
  // is settled.
  template <typename Disturb>
  void run_under_load(const std::string& destinations, std::size_t count, const Disturb& disturb) {
    ASSERT_TRUE(drain(destinations));  // it is to have all of them
    auto engine = open(destinations, {}, false);
    std::atomic<bool> stop{false};
    std::thread running([&] { static_cast<void>(engine->run(stop)); });
    std::thread disturbing([&] { disturb(); });
    {
      Gateway gateway(directory_.path());
      for (std::size_t i = 0; i < count; i += 20) {
        gateway.write_many(20);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      disturbing.join();
      const Instant deadline = monotonic_now() + std::chrono::seconds(90);
      while (monotonic_now() < deadline) {
        const auto now = read_stats(directory_.path());
        if (now && now->destinations[0].routed == count && now->destinations[0].pending == 0) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    }
    stop = true;
    running.join();
    engine.reset();
  }
};

TEST_F(KafkaDelivery, EachRecordIsOneMessageOfItsTrace) {
  const KafkaCluster cluster;
  ASSERT_TRUE(drain(kafka(cluster)));
  {
    Gateway gateway(directory_.path());
    gateway.write_many(300);
  }
  ASSERT_TRUE(drain(kafka(cluster)));
  const auto destination = stats().destinations[0];
  EXPECT_EQ(destination.delivered, 300U);
  const auto stored = cluster.stored();
  EXPECT_EQ(stored.size(), 300U);
  EXPECT_EQ(distinct(ids_in(cluster)), 300U);
  for (const StoredMessage& message : stored) {
    EXPECT_EQ(message.key.size(), 32U);
    EXPECT_NE(message.value.find("\"traceId\":\"" + message.key), std::string::npos);
    EXPECT_TRUE(message.value.starts_with("{\"resourceSpans\":["));
  }
}

TEST_F(KafkaDelivery, RefusedMessagesAreRejectedAndNothingElseIs) {
  KafkaCluster cluster;
  ASSERT_TRUE(drain(kafka(cluster)));
  cluster.fail_next({RD_KAFKA_RESP_ERR_INVALID_RECORD});
  {
    Gateway gateway(directory_.path());
    gateway.write_many(200);
  }
  static_cast<void>(drain(kafka(cluster)));
  const auto destination = stats().destinations[0];
  const std::uint64_t rejected = count(destination.rejected, "rejected");
  EXPECT_GT(rejected, 0U);
  EXPECT_GT(destination.delivered, 0U);
  EXPECT_EQ(destination.delivered + rejected, 200U);
  EXPECT_EQ(cluster.stored().size(), destination.delivered);
}

TEST_F(KafkaDelivery, RandomRefusalsAreRejectedAndNothingElseIsOrIsStoredTwice) {
  KafkaCluster cluster;
  constexpr std::size_t kCount = 1000;
  std::mt19937 random(20261121);
  std::vector<rd_kafka_resp_err_t> errors;
  for (int i = 0; i < 40; ++i) {
    constexpr rd_kafka_resp_err_t kErrors[] = {
        RD_KAFKA_RESP_ERR_NO_ERROR,           RD_KAFKA_RESP_ERR_INVALID_RECORD,
        RD_KAFKA_RESP_ERR_NO_ERROR,           RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION};
    errors.push_back(kErrors[random() % std::size(kErrors)]);
  }
  cluster.fail_next(errors);
  // A broker refuses what is out of sequence, and an idempotent producer builds on it. The mock
  // cluster stores it, so that what is told as stored and what is differ by a few.
  run_under_load(kafka(cluster, ", batch_records_max: 50, idempotence: false"), kCount, [] {});
  const auto destination = stats().destinations[0];
  const std::uint64_t rejected = count(destination.rejected, "rejected");
  EXPECT_GT(rejected, 0U);
  EXPECT_EQ(destination.delivered + rejected + count(destination.rejected, "too_large"), kCount);
  const auto ids = ids_in(cluster);
  EXPECT_EQ(ids.size(), destination.delivered);
  EXPECT_EQ(distinct(ids), destination.delivered);
}

TEST_F(KafkaDelivery, RecordThatIsTooLargeIsShortenedAndItsNeighboursAreWhole) {
  const KafkaCluster cluster;
  ASSERT_TRUE(drain(kafka(cluster)));
  {
    Gateway gateway(directory_.path());
    gateway.write_many(20);
    gateway.write_many(1, "", 3'000'000);
    gateway.write_many(20);
    gateway.write_many(1, "", 1'500'000);
  }
  ASSERT_TRUE(drain(kafka(cluster)));
  const auto destination = stats().destinations[0];
  EXPECT_EQ(destination.delivered, 42U);
  EXPECT_EQ(destination.shrunk, 2U);
  std::size_t marked = 0;
  for (const StoredMessage& message : cluster.stored()) {
    EXPECT_LE(message.value.size(), 1'000'000U);
    if (message.value.find("[shortened from ") != std::string::npos) ++marked;
  }
  EXPECT_EQ(marked, 2U);
  EXPECT_EQ(distinct(ids_in(cluster)), 42U);
}

TEST_F(KafkaDelivery, BatchThatIsTooLargeForTheBrokerLosesNobody) {
  KafkaCluster cluster(1);
  ASSERT_TRUE(drain(kafka(cluster)));
  // Once: a message that is refused alone would be too large itself.
  cluster.fail_next({RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE});
  {
    Gateway gateway(directory_.path());
    gateway.write_many(100);
  }
  ASSERT_TRUE(drain(kafka(cluster)));
  EXPECT_EQ(stats().destinations[0].delivered, 100U);
  EXPECT_EQ(stats().destinations[0].shrunk, 0U);
  EXPECT_EQ(cluster.stored().size(), 100U);
}

TEST_F(KafkaDelivery, BrokersStoppedAndStartedUnderLoadLoseNothing) {
  KafkaCluster cluster;
  run_under_load(kafka(cluster, ", timeout: 2s"), 2000, [&] {
    for (int round = 0; round < 3; ++round) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      cluster.set_down(round == 1 ? 1 : -1);
      std::this_thread::sleep_for(std::chrono::milliseconds(round == 2 ? 3000 : 300));
      cluster.set_up();
    }
  });
  EXPECT_EQ(stats().destinations[0].delivered, 2000U);
  EXPECT_EQ(distinct(ids_in(cluster)), 2000U);
}

TEST_F(KafkaDelivery, LeadersThatChangeAndSlowAnswersLoseNothing) {
  KafkaCluster cluster;
  run_under_load(kafka(cluster), 2000, [&] {
    for (int round = 0; round < 20; ++round) {
      for (int partition = 0; partition < KafkaCluster::kPartitions; ++partition) {
        cluster.set_leader(partition, 1 + (round + partition) % 3);
      }
      rd_kafka_mock_broker_set_rtt(cluster.mock(), -1, round % 3 * 50);
      cluster.fail_next({RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION});
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    rd_kafka_mock_broker_set_rtt(cluster.mock(), -1, 0);
  });
  EXPECT_EQ(stats().destinations[0].delivered, 2000U);
  EXPECT_EQ(distinct(ids_in(cluster)), 2000U);
}

TEST_F(KafkaDelivery, WithoutBrokersTheRecordsWaitAndTheEngineEndsInTime) {
  KafkaCluster cluster;
  ASSERT_TRUE(drain(kafka(cluster)));
  cluster.set_down();
  {
    Gateway gateway(directory_.path());
    gateway.write_many(50);
  }
  EXPECT_FALSE(drain(kafka(cluster)));
  const auto waiting = stats().destinations[0];
  EXPECT_EQ(waiting.pending, 50U);
  EXPECT_EQ(waiting.state, "backing off");
  EXPECT_NE(waiting.last_error.find("Kafka: "), std::string::npos);
  cluster.set_up();
  EXPECT_TRUE(drain(kafka(cluster)));
  EXPECT_EQ(stats().destinations[0].delivered, 50U);
  EXPECT_EQ(distinct(ids_in(cluster)), 50U);
}

}  // namespace
}  // namespace sidecast
