// The channel against librdkafka's mock cluster: each way in which messages may not arrive, and
// what is told of it.
#include "exporters/kafka/channel.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/kafka_cluster.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/http/loop_fixture.h"

namespace sidecast::test {
namespace {

using Failure = Response::Failure;

constexpr const char* kHungry = "127.0.0.1:1";  // nobody listens there

class KafkaChannelTest : public LoopTest {
 protected:
  explicit KafkaChannelTest(HttpLoop::Settings settings = {.user_agent = "test/1"})
      : LoopTest(std::move(settings)) {}

  static std::vector<Header> settings(std::vector<Header> more = {}) {
    std::vector<Header> all = {{"enable.idempotence", "true"},
                               {"acks", "all"},
                               {"partitioner", "fnv1a_random"},
                               {"message.max.bytes", "100000"},
                               {"batch.size", "100000"}};
    for (Header& each : more) all.push_back(std::move(each));
    return all;
  }

  // Message i has the key "key-i" and, unless told otherwise, the value "value-i".
  static Request request_of(const std::string& brokers, std::size_t count,
                            const std::vector<std::string>& values = {}) {
    struct Kept {
      std::vector<std::string> values;
      std::vector<KeyedMessage> messages;
    };
    auto kept = std::make_shared<Kept>();
    for (std::size_t i = 0; i < count; ++i) {
      kept->values.push_back(i < values.size() ? values[i] : "value-" + std::to_string(i));
    }
    for (std::size_t i = 0; i < count; ++i) {
      const Bytes value = kept->values[i];
      // In pieces, as with a prefix and a suffix.
      kept->messages.push_back(
          {.key = "key-" + std::to_string(i), .value = {value.substr(0, 1), value.substr(1)}});
    }
    Request request;
    request.transport = Transport::kKafka;
    request.url = "kafka://" + brokers + "/" + KafkaCluster::kTopic;
    request.headers = {{"content-type", "application/x-protobuf"}};
    request.settings = settings();
    request.messages = {kept, &kept->messages};
    request.keep_alive = kept;
    return request;
  }
  static Request request_of_one_key(const std::string& brokers, std::size_t count) {
    Request request = request_of(brokers, count);
    auto messages = std::make_shared<std::vector<KeyedMessage>>(*request.messages);
    for (KeyedMessage& message : *messages) message.key = "key";
    request.messages = std::move(messages);
    return request;
  }
  static Request probe_of(const std::string& brokers) {
    Request request = request_of(brokers, 1);
    request.messages = nullptr;
    return request;
  }
  static TransferOptions within(std::chrono::milliseconds timeout) {
    TransferOptions options;
    options.timeout = timeout;
    return options;
  }
  static std::size_t stored_count(const Response& response) {
    return static_cast<std::size_t>(
        std::count(response.messages.begin(), response.messages.end(), std::string_view()));
  }
  static std::multiset<std::string> values_in(const KafkaCluster& cluster) {
    std::multiset<std::string> values;
    for (const StoredMessage& message : cluster.stored()) values.insert(message.value);
    return values;
  }
};

TEST_F(KafkaChannelTest, StoresEachMessageOnceWithItsKeyAndHeaders) {
  const KafkaCluster cluster;
  const Answer answer = send(request_of(cluster.brokers(), 100));
  EXPECT_EQ(answer.response.failure, Failure::kNone);
  EXPECT_EQ(stored_count(answer.response), 100U);
  EXPECT_GT(answer.times.total.count(), 0);
  std::vector<StoredMessage> stored = cluster.stored();
  ASSERT_EQ(stored.size(), 100U);
  std::set<int> partitions;
  for (const StoredMessage& message : stored) {
    EXPECT_EQ("key-" + message.value.substr(6), message.key);
    EXPECT_EQ(message.headers.size(), 1U);
    partitions.insert(message.partition);
  }
  EXPECT_EQ(partitions.size(), 4U);
}

TEST_F(KafkaChannelTest, EveryCodecIsReadByTheConsumer) {
  for (const char* codec : {"none", "gzip", "snappy", "lz4", "zstd"}) {
    SCOPED_TRACE(codec);
    const KafkaCluster cluster(1);
    Request request = request_of(cluster.brokers(), 20, {std::string(5000, 'a')});
    request.settings.push_back({"compression.codec", codec});
    EXPECT_EQ(stored_count(send(std::move(request)).response), 20U);
    EXPECT_EQ(values_in(cluster).count(std::string(5000, 'a')), 1U);
  }
}

TEST_F(KafkaChannelTest, PassingErrorsOfBrokersAreMendedWithinTheRequest) {
  KafkaCluster cluster;
  cluster.fail_next({RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                     RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
                     RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR__TRANSPORT});
  EXPECT_EQ(stored_count(send(request_of(cluster.brokers(), 50)).response), 50U);
  EXPECT_EQ(values_in(cluster).size(), 50U);
}

TEST_F(KafkaChannelTest, MessagesThatABrokerRefusesAreNamedAndTheOthersStored) {
  KafkaCluster cluster;
  cluster.fail_next({RD_KAFKA_RESP_ERR_INVALID_RECORD});
  const Response response = send(request_of(cluster.brokers(), 50)).response;
  const std::size_t refused = 50 - stored_count(response);
  EXPECT_GT(refused, 0U);
  EXPECT_LT(refused, 50U);
  EXPECT_EQ(static_cast<std::size_t>(
                std::count(response.messages.begin(), response.messages.end(), "INVALID_RECORD")),
            refused);
  const auto values = values_in(cluster);
  for (std::size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(values.count("value-" + std::to_string(i)), response.messages[i].empty() ? 1U : 0U);
  }
}

TEST_F(KafkaChannelTest, MessageThatIsTooLargeForTheClientIsNamedAndItsNeighboursAreStored) {
  const KafkaCluster cluster;
  const Response response =
      send(request_of(cluster.brokers(), 5, {"a", "b", std::string(200'000, 'x')})).response;
  EXPECT_EQ(stored_count(response), 4U);
  EXPECT_EQ(response.messages[2], "MSG_SIZE_TOO_LARGE");
  EXPECT_EQ(values_in(cluster).size(), 4U);
}

TEST_F(KafkaChannelTest, RequestOfNothingButTooLargeMessagesIsAnsweredLater) {
  const KafkaCluster cluster;
  const std::string large(200'000, 'x');
  const Response response = send(request_of(cluster.brokers(), 2, {large, large})).response;
  EXPECT_EQ(stored_count(response), 0U);
}

TEST_F(KafkaChannelTest, BatchThatABrokerRefusesForItsSizeIsSentMessageByMessage) {
  KafkaCluster cluster(1);
  cluster.fail_next({RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE});
  EXPECT_EQ(stored_count(send(request_of(cluster.brokers(), 50)).response), 50U);
  EXPECT_EQ(values_in(cluster).size(), 50U) << "and nothing twice";
  EXPECT_EQ(stored_count(send(request_of(cluster.brokers(), 10)).response), 10U);
}

TEST_F(KafkaChannelTest, OneMessageThatIsTooLargeDoesNotSendAllOthersByThemselves) {
  KafkaCluster cluster(1);
  cluster.fail_next({RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE});
  // One key, one partition, one batch; by themselves the first is refused and the rest is taken.
  EXPECT_EQ(stored_count(send(request_of_one_key(cluster.brokers(), 50)).response), 49U);
  cluster.fail_next({RD_KAFKA_RESP_ERR_INVALID_RECORD});
  const Response response = send(request_of_one_key(cluster.brokers(), 50)).response;
  EXPECT_LT(stored_count(response), 49U) << "they were a batch again";
}

TEST_F(KafkaChannelTest, MessageThatABrokerRefusesByItselfIsTooLarge) {
  KafkaCluster cluster(1);
  cluster.fail_next({RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE});
  const Response response = send(request_of(cluster.brokers(), 1)).response;
  EXPECT_EQ(response.messages, std::vector<std::string_view>{"MSG_SIZE_TOO_LARGE"});
  EXPECT_TRUE(cluster.stored().empty());
}

TEST_F(KafkaChannelTest, NobodyAtTheAddressIsToldAtOnceAndTheNextAttemptIsANewOne) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Answer answer = send(request_of(kHungry, 5), within(std::chrono::minutes(5)));
    EXPECT_EQ(answer.response.failure, Failure::kConnect);
    EXPECT_EQ(stored_count(answer.response), 0U);
    for (const std::string_view code : answer.response.messages) EXPECT_FALSE(code.empty());
  }
}

TEST_F(KafkaChannelTest, NameThatNobodyKnowsIsTold) {
  const Answer answer = send(request_of("kafka.invalid:9092", 1), within(std::chrono::minutes(5)));
  EXPECT_EQ(answer.response.failure, Failure::kResolve);
}

TEST_F(KafkaChannelTest, TenantReachesNoPrivateAddressByItsOwnBrokersOrThoseItIsTold) {
  const KafkaCluster cluster;
  TransferOptions options = within(std::chrono::minutes(5));
  options.egress = Egress::kTenant;
  EXPECT_EQ(send(request_of(cluster.brokers(), 3), options).response.failure,
            Failure::kRefusedAddress);
  EXPECT_EQ(send(probe_of(cluster.brokers()), options).response.failure, Failure::kRefusedAddress);
  auto allowed = std::make_shared<AddressRanges>();
  ASSERT_TRUE(allowed->add("127.0.0.0/8"));
  options.egress_allowed = allowed;
  EXPECT_EQ(stored_count(send(request_of(cluster.brokers(), 3), options).response), 3U);
  EXPECT_EQ(cluster.stored().size(), 3U);
}

TEST_F(KafkaChannelTest, HostileClusterOfMoreBrokersThanATenantMayHaveIsGivenUp) {
  const KafkaCluster cluster(static_cast<int>(kafka::kTenantBrokersMax) + 10);
  // Any of them names the others.
  const std::string first = cluster.brokers().substr(0, cluster.brokers().find(','));
  auto allowed = std::make_shared<AddressRanges>();
  ASSERT_TRUE(allowed->add("127.0.0.0/8"));
  TransferOptions options = within(std::chrono::minutes(1));
  options.egress_allowed = allowed;
  EXPECT_EQ(stored_count(send(request_of(first, 3), options).response), 3U) << "the operator's";
  options.egress = Egress::kTenant;
  const Answer answer = send(request_of(first, 3), options);
  EXPECT_EQ(answer.response.failure, Failure::kOther);
  EXPECT_EQ(stored_count(answer.response), 0U);
}

// Whatever the engine's limits are, it goes on when it has reached them.
TEST_F(KafkaChannelTest, WhereNoThreadIsToBeHadTheRequestWaitsForOne) {
  const KafkaCluster cluster;
  pthread_attr_t usual;
  ASSERT_EQ(pthread_getattr_default_np(&usual), 0);
  pthread_attr_t impossible;
  ASSERT_EQ(pthread_getattr_default_np(&impossible), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&impossible, std::size_t{1} << 46U), 0);
  bool is_stored = false;
  ASSERT_EQ(pthread_setattr_default_np(&impossible), 0);
  on_loop([&] {
    loop_.send(request_of(cluster.brokers(), 3), within(std::chrono::minutes(1)),
               [&](const Response& response, const TransferTimes&) {
                 with_lock([&] { is_stored = stored_count(response) == 3; });
               });
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  with_lock([&] { EXPECT_FALSE(is_stored); });
  ASSERT_EQ(pthread_setattr_default_np(&usual), 0);
  wait([&] { return is_stored; });
  pthread_attr_destroy(&usual);
  pthread_attr_destroy(&impossible);
}

TEST_F(KafkaChannelTest, ProxyIsRefusedSinceNoneCanBeUsed) {
  TransferOptions options;
  options.proxy = "http://127.0.0.1:1";
  const Answer answer = send(request_of(kHungry, 1), options);
  EXPECT_EQ(answer.response.failure, Failure::kOther);
  EXPECT_NE(answer.response.failure_text.find("proxy"), std::string::npos);
}

TEST_F(KafkaChannelTest, BrokersThatGoDownLoseNothingWithinTheTime) {
  KafkaCluster cluster;
  // Another timeout would be another producer, which has never reached a broker.
  const TransferOptions options = within(std::chrono::seconds(50));
  ASSERT_EQ(stored_count(send(request_of(cluster.brokers(), 10), options).response), 10U);
  cluster.set_down();
  std::thread mender([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    cluster.set_up();
  });
  const Answer answer = send(request_of(cluster.brokers(), 10), options);
  mender.join();
  EXPECT_EQ(stored_count(answer.response), 10U);
}

TEST_F(KafkaChannelTest, BrokersThatStayDownEndTheRequestByItsTime) {
  KafkaCluster cluster;
  const TransferOptions options = within(std::chrono::seconds(2));
  ASSERT_EQ(stored_count(send(request_of(cluster.brokers(), 10), options).response), 10U);
  cluster.set_down();
  const Answer answer = send(request_of(cluster.brokers(), 10), options);
  EXPECT_EQ(stored_count(answer.response), 0U);
  EXPECT_GE(answer.times.total, std::chrono::seconds(1));
  cluster.set_up();
  EXPECT_EQ(stored_count(
                send(request_of(cluster.brokers(), 10), within(std::chrono::seconds(50))).response),
            10U);
}

TEST_F(KafkaChannelTest, LeaderThatMovesIsFollowed) {
  KafkaCluster cluster;
  for (int round = 1; round <= 6; ++round) {
    for (int partition = 0; partition < KafkaCluster::kPartitions; ++partition) {
      cluster.set_leader(partition, 1 + (round + partition) % 3);
    }
    EXPECT_EQ(stored_count(send(request_of(cluster.brokers(), 40)).response), 40U);
  }
  EXPECT_EQ(cluster.stored().size(), 240U);
}

TEST_F(KafkaChannelTest, TopicThatMayNotBeReadIsToldByName) {
  KafkaCluster cluster;
  rd_kafka_mock_topic_set_error(cluster.mock(), KafkaCluster::kTopic,
                                RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  EXPECT_EQ(send(probe_of(cluster.brokers())).response.messages,
            std::vector<std::string_view>{"TOPIC_AUTHORIZATION_FAILED"});
}

TEST_F(KafkaChannelTest, ProbeFindsTheTopicAndStoresNothing) {
  const KafkaCluster cluster;
  const Answer answer = send(probe_of(cluster.brokers()));
  EXPECT_EQ(answer.response.messages, std::vector<std::string_view>{""});
  EXPECT_EQ(answer.response.body, "the topic is there, with 4 partitions");
  EXPECT_TRUE(cluster.stored().empty());
}

TEST_F(KafkaChannelTest, ProbeOfNobodyEndsSoonAndSaysWhy) {
  const Answer answer = send(probe_of(kHungry), within(std::chrono::minutes(5)));
  EXPECT_EQ(answer.response.failure, Failure::kConnect);
  EXPECT_NE(answer.response.failure_text.find("Kafka: _"), std::string::npos);
}

TEST_F(KafkaChannelTest, TlsToACleartextBrokerIsTold) {
  const KafkaCluster cluster;
  Request request = request_of(cluster.brokers(), 1);
  request.settings.push_back({"security.protocol", "ssl"});
  const Answer answer = send(std::move(request), within(std::chrono::seconds(50)));
  EXPECT_NE(answer.response.failure, Failure::kNone);
  EXPECT_EQ(stored_count(answer.response), 0U);
}

TEST_F(KafkaChannelTest, HostileBrokerThatAnswersNothingOrNonsenseEndsByItsTime) {
  // An HTTP server is neither silent nor Kafka.
  const HttpServer server;
  const std::string brokers = server.url().substr(std::string("http://").size());
  const Answer answer = send(request_of(brokers, 3), within(std::chrono::seconds(2)));
  EXPECT_EQ(stored_count(answer.response), 0U);
}

TEST_F(KafkaChannelTest, LoopEndsAtOnceWhateverIsUnderWay) {
  KafkaCluster cluster;
  rd_kafka_mock_broker_set_rtt(cluster.mock(), -1, 20'000);
  bool is_answered = false;
  on_loop([&] {
    loop_.send(request_of(cluster.brokers(), 10), within(std::chrono::minutes(5)),
               [&](const Response&, const TransferTimes&) { is_answered = true; });
    loop_.send(probe_of(cluster.brokers()), within(std::chrono::minutes(5)),
               [&](const Response&, const TransferTimes&) { is_answered = true; });
  });
  stop();
  EXPECT_FALSE(is_answered);
}

// Brokers that hang: the system takes connections, and nobody reads from them.
class SilentListener {
 public:
  SilentListener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(socket_, 1000), 0);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    brokers_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~SilentListener() { ::close(socket_); }
  SilentListener(const SilentListener&) = delete;
  SilentListener& operator=(const SilentListener&) = delete;
  [[nodiscard]] const std::string& brokers() const noexcept { return brokers_; }

 private:
  int socket_;
  std::string brokers_;
};

TransferOptions options_of(const std::string& destination, Standing standing) {
  TransferOptions options;
  options.timeout = std::chrono::minutes(5);
  options.destination = destination;
  options.standing = standing;
  return options;
}

TEST_F(KafkaChannelTest, DeadClustersLeaveProducersToThoseThatAnswerAndToThoseThatAreNew) {
  const SilentListener silent;
  const KafkaCluster cluster;
  bool is_dead_answered = false;
  on_loop([&] {
    for (int i = 0; i < 200; ++i) {
      loop_.send(request_of(silent.brokers(), 1),
                 options_of("dead " + std::to_string(i), {.is_proven = false, .failures = 1}),
                 [&](const Response&, const TransferTimes&) {
                   with_lock([&] { is_dead_answered = true; });
                 });
    }
  });
  EXPECT_EQ(stored_count(send(request_of(cluster.brokers(), 3), options_of("live", {})).response),
            3U);
  with_lock([&] { EXPECT_FALSE(is_dead_answered) << "it had to wait for one of them"; });
  EXPECT_EQ(stored_count(send(request_of(cluster.brokers(), 3),
                              options_of("new", {.is_proven = false, .failures = 0}))
                             .response),
            3U);
  stop();
}

TEST_F(KafkaChannelTest, HostileCertificatesThatAreNeverReadHoldUpNobody) {
  const TempDir directory;
  const std::string fifo = directory.file("ca.pem");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const KafkaCluster cluster;
  Request request = request_of(cluster.brokers(), 1);
  request.settings.push_back({"security.protocol", "ssl"});
  TransferOptions options = options_of("slow", {});
  options.ca_file = fifo;
  bool is_answered = false;
  on_loop([&] {
    loop_.send(std::move(request), options, [&](const Response& response, const TransferTimes&) {
      EXPECT_EQ(response.failure, Failure::kOther);
      EXPECT_FALSE(response.failure_text.empty());
      with_lock([&] { is_answered = true; });
    });
  });
  EXPECT_EQ(stored_count(send(request_of(cluster.brokers(), 3), options_of("live", {})).response),
            3U);
  std::ofstream(fifo) << "no certificate";
  wait([&] { return is_answered; });
}

class NarrowKafkaTest : public KafkaChannelTest {
 protected:
  NarrowKafkaTest() : KafkaChannelTest({.copied_bytes_max = 100'000, .user_agent = "test/1"}) {}
};

TEST_F(NarrowKafkaTest, WhatIsCopiedIsBoundedAndNobodyIsForgotten) {
  const SilentListener silent;
  const KafkaCluster cluster;
  const std::string large(30'000, 'x');
  bool is_silent_answered = false;
  TransferOptions options = options_of("silent", {});
  options.timeout = std::chrono::seconds(2);
  on_loop([&] {
    // The second would have more under way than is left.
    for (int i = 0; i < 2; ++i) {
      loop_.send(request_of(silent.brokers(), 2, {large, large}), options,
                 [&](const Response&, const TransferTimes&) {
                   with_lock([&] { is_silent_answered = true; });
                 });
    }
  });
  EXPECT_EQ(stored_count(
                send(request_of(cluster.brokers(), 1, {large}), options_of("small", {})).response),
            1U);
  with_lock([&] { EXPECT_FALSE(is_silent_answered) << "there was room for it"; });
  std::vector<Request> requests;
  for (int i = 0; i < 20; ++i) requests.push_back(request_of(cluster.brokers(), 2, {large, large}));
  for (const Answer& answer : send_all(std::move(requests), options_of("large", {}))) {
    EXPECT_EQ(stored_count(answer.response), 2U);
  }
  with_lock([&] { EXPECT_TRUE(is_silent_answered) << "there was no room beside it"; });
  stop();
}

// Each answer of a small one brings the next, so that there are never enough bytes left for the
// large one.
TEST_F(NarrowKafkaTest, LargeRequestIsNotPassedForEver) {
  KafkaCluster cluster;
  rd_kafka_mock_broker_set_rtt(cluster.mock(), -1, 100);
  const std::string value(30'000, 'x');
  std::size_t small_ones = 0;
  bool is_over = false;
  std::function<void(int)> send_small = [&](int i) {
    loop_.send(request_of(cluster.brokers(), 1, {value}),
               options_of("small " + std::to_string(i), {}),
               [&, i](const Response& response, const TransferTimes&) {
                 EXPECT_EQ(stored_count(response), 1U);
                 with_lock([&] { ++small_ones; });
                 if (!is_over) send_small(i);
               });
  };
  on_loop([&] {
    for (int i = 0; i < 6; ++i) send_small(i);
  });
  wait([&] { return small_ones > 6; });
  // Of a destination of its own, and of one whose smaller requests are as busy as the others'.
  for (const char* name : {"large", "small 0"}) {
    EXPECT_EQ(stored_count(send(request_of(cluster.brokers(), 3, {value, value, value}),
                                options_of(name, {}))
                               .response),
              3U)
        << name;
  }
  on_loop([&] { is_over = true; });
  stop();
}

TEST(KafkaClient, WhatIsFatalStaysSoWhateverIsAnsweredLater) {
  KafkaCluster cluster(1);
  kafka::Connection connection;
  connection.brokers = cluster.brokers();
  connection.topic = KafkaCluster::kTopic;
  connection.settings = {{"enable.idempotence", "true"}};
  auto client = kafka::Client::open(connection, kafka::Client::Batches::kMany, {});
  ASSERT_TRUE(client);
  std::vector<std::string_view> reports;
  const auto serve_until = [&](const std::function<bool()>& is_done) {
    const Instant deadline = monotonic_now() + kWatchdog;
    while (!is_done() && monotonic_now() < deadline) {
      static_cast<void>(
          (*client)->serve([&](void*, std::string_view code) { reports.push_back(code); }));
    }
  };
  const KeyedMessage message{.key = "key", .value = {Bytes("value")}};
  ASSERT_EQ((*client)->produce(message, {}, nullptr), "");
  serve_until([&] { return reports.size() == 1; });
  rd_kafka_mock_broker_set_rtt(cluster.mock(), -1, 500);
  ASSERT_EQ((*client)->produce(message, {}, nullptr), "");
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // it is on its way
  (*client)->break_for_test();
  serve_until([&] { return (*client)->trouble().is_hopeless && reports.size() == 2; });
  EXPECT_EQ(reports, (std::vector<std::string_view>{"", ""}));
  EXPECT_TRUE((*client)->trouble().is_hopeless);
  EXPECT_NE((*client)->produce(message, {}, nullptr), "");
  EXPECT_TRUE((*client)->trouble().is_hopeless);
}

TEST_F(KafkaChannelTest, ManyRequestsAtOnceAreEachAnsweredForTheirOwn) {
  KafkaCluster cluster;
  cluster.fail_next({RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_INVALID_RECORD,
                     RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT});
  std::vector<Request> requests;
  for (int i = 0; i < 20; ++i) requests.push_back(request_of(cluster.brokers(), 30));
  std::size_t stored = 0;
  for (const Answer& answer : send_all(std::move(requests))) {
    EXPECT_EQ(answer.response.messages.size(), 30U);
    stored += stored_count(answer.response);
  }
  EXPECT_LT(stored, 600U);
  EXPECT_EQ(cluster.stored().size(), stored);
}

}  // namespace
}  // namespace sidecast::test
