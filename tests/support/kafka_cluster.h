// A Kafka cluster in this process, librdkafka's own mock of one, with faults on request, and what a
// consumer of ours finds in it.
//
// It keeps the last 5 MB of a partition and checks no sequence numbers: a batch whose answer was
// lost is there twice.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

namespace sidecast::test {

struct StoredMessage {
  std::string key;
  std::string value;
  std::vector<std::pair<std::string, std::string>> headers;
  int partition = 0;
};

class KafkaCluster {
 public:
  static constexpr const char* kTopic = "otlp_spans";
  static constexpr int kPartitions = 4;

  explicit KafkaCluster(int brokers = 3);
  ~KafkaCluster();
  KafkaCluster(const KafkaCluster&) = delete;
  KafkaCluster& operator=(const KafkaCluster&) = delete;

  [[nodiscard]] const std::string& brokers() const noexcept { return brokers_; }
  [[nodiscard]] rd_kafka_mock_cluster_t* mock() const noexcept { return mock_; }
  // The next requests to produce are answered so.
  void fail_next(const std::vector<rd_kafka_resp_err_t>& errors);
  void set_down(int broker = -1) { rd_kafka_mock_broker_set_down(mock_, broker); }
  void set_up(int broker = -1) { rd_kafka_mock_broker_set_up(mock_, broker); }
  void set_leader(int partition, int broker) {
    rd_kafka_mock_partition_set_leader(mock_, kTopic, partition, broker);
  }
  // All that the topic holds.
  [[nodiscard]] std::vector<StoredMessage> stored() const;

 private:
  rd_kafka_t* handle_ = nullptr;
  rd_kafka_mock_cluster_t* mock_ = nullptr;
  std::string brokers_;
};

}  // namespace sidecast::test
