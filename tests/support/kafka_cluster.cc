#include "tests/support/kafka_cluster.h"

#include <memory>
#include <stdexcept>

namespace sidecast::test {
namespace {

constexpr std::int16_t kProduce = 0;  // its ApiKey

rd_kafka_t* make_handle(rd_kafka_type_t type,
                        const std::vector<std::pair<const char*, std::string>>& settings) {
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  char words[256] = {};
  for (const auto& [name, value] : settings) {
    if (rd_kafka_conf_set(conf, name, value.c_str(), words, sizeof words) != RD_KAFKA_CONF_OK) {
      throw std::runtime_error(words);
    }
  }
  rd_kafka_t* const handle = rd_kafka_new(type, conf, words, sizeof words);
  if (handle == nullptr) throw std::runtime_error(words);
  return handle;
}

StoredMessage stored_message(const rd_kafka_message_t& message) {
  StoredMessage stored;
  stored.key.assign(static_cast<const char*>(message.key), message.key_len);
  stored.value.assign(static_cast<const char*>(message.payload), message.len);
  stored.partition = message.partition;
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return stored;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i) {
    stored.headers.emplace_back(name, std::string(static_cast<const char*>(value), size));
  }
  return stored;
}

}  // namespace

KafkaCluster::KafkaCluster(int brokers) {
  handle_ = make_handle(RD_KAFKA_PRODUCER, {{"log_level", "0"}});
  mock_ = rd_kafka_mock_cluster_new(handle_, brokers);
  if (mock_ == nullptr) throw std::runtime_error("no mock cluster");
  rd_kafka_mock_topic_create(mock_, kTopic, kPartitions, 1);
  brokers_ = rd_kafka_mock_cluster_bootstraps(mock_);
}

KafkaCluster::~KafkaCluster() {
  rd_kafka_mock_cluster_destroy(mock_);
  rd_kafka_destroy(handle_);
}

void KafkaCluster::fail_next(const std::vector<rd_kafka_resp_err_t>& errors) {
  rd_kafka_mock_push_request_errors_array(mock_, kProduce, errors.size(), errors.data());
}

std::vector<StoredMessage> KafkaCluster::stored() const {
  rd_kafka_t* const consumer = make_handle(RD_KAFKA_CONSUMER, {{"bootstrap.servers", brokers_},
                                                               {"group.id", "reader"},
                                                               {"enable.partition.eof", "true"},
                                                               {"enable.auto.commit", "false"},
                                                               {"log_level", "0"}});
  rd_kafka_poll_set_consumer(consumer);
  rd_kafka_topic_partition_list_t* const all = rd_kafka_topic_partition_list_new(kPartitions);
  for (int i = 0; i < kPartitions; ++i) {
    rd_kafka_topic_partition_list_add(all, kTopic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
  }
  rd_kafka_assign(consumer, all);
  rd_kafka_topic_partition_list_destroy(all);
  std::vector<StoredMessage> messages;
  constexpr int kPatienceMs = 30'000;
  for (int ended = 0; ended < kPartitions;) {
    rd_kafka_message_t* const message = rd_kafka_consumer_poll(consumer, kPatienceMs);
    if (message == nullptr) throw std::runtime_error("the mock cluster gives no messages");
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      ++ended;
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      messages.push_back(stored_message(*message));
    }
    rd_kafka_message_destroy(message);
  }
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  return messages;
}

}  // namespace sidecast::test
