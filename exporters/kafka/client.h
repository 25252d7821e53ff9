// One client of a Kafka cluster, over librdkafka: its settings, which addresses it may reach, and
// what it reports.
//
// Retries are librdkafka's until a message's time is over (the destination's `timeout`): it alone
// knows the sequence numbers by which a broker tells a message that it has from a new one. What is
// refused or out of time by then is the engine's again.
//
// Threads: belongs to one thread, but for the wake, which a thread of librdkafka's calls.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "exporters/exporter.h"
#include "exporters/http/loop.h"
#include "exporters/wipe.h"

struct rd_kafka_s;
struct rd_kafka_topic_s;

namespace sidecast::kafka {

// Where to, and how: all that clients differ by.
struct Connection {
  Connection() = default;
  ~Connection() { wipe_values(settings); }
  Connection(const Connection&) = default;
  Connection(Connection&&) = default;
  Connection& operator=(const Connection&) = default;
  Connection& operator=(Connection&&) = default;

  std::string brokers;  // host:port,host:port
  std::string topic;
  std::vector<Header> settings;  // librdkafka's properties; may hold secrets
  std::string ca_file;
  std::string client_cert_file;
  std::string client_key_file;
  std::chrono::milliseconds timeout{30'000};
  Egress egress = Egress::kOperator;
  std::shared_ptr<const AddressRanges> egress_allowed;

  // An Error says what in the request or the options cannot be.
  [[nodiscard]] static Result<Connection> of(const Request& request,
                                             const TransferOptions& options);
  // The same for those that may share a client; nothing can be read from it.
  [[nodiscard]] std::string fingerprint() const;
};

// librdkafka has a thread for each broker that a cluster names. A tenant's cluster may not decide
// how many the engine has.
constexpr std::size_t kTenantBrokersMax = 128;
constexpr std::string_view kTooManyBrokers = "_TOO_MANY_BROKERS";

// What librdkafka last said is wrong with the way to the cluster.
struct Trouble {
  Response::Failure failure = Response::Failure::kNone;
  std::string_view code;  // one of librdkafka's names, or kTooManyBrokers; static storage
  // It has never reached a broker, so no message of it can have arrived; or it is broken for good,
  // and another one may not be.
  bool is_hopeless = false;
};

// A broker refused a batch of messages for its size: any of them may be the reason, or their sum.
[[nodiscard]] bool is_size(std::string_view code) noexcept;
// Nothing refused it; the trouble of that time is the reason.
[[nodiscard]] bool is_overdue(std::string_view code) noexcept;

class Client {
 public:
  // kAlone: each message is a batch of its own on the wire, so what is refused for its size is one
  // message.
  enum class Batches { kMany, kAlone };
  // Runs on a thread of librdkafka's when there is something to serve: it may only post.
  using Wake = std::function<void()>;

  [[nodiscard]] static Result<std::unique_ptr<Client>> open(const Connection& connection,
                                                            Batches batches, Wake wake);
  ~Client();  // may wait for librdkafka's threads, which may wait for a name server
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Takes a copy. Empty: it will be reported with that tag; else the reason why it is not taken.
  [[nodiscard]] std::string_view produce(const KeyedMessage& message,
                                         const std::vector<Header>& headers, void* tag);
  // `report(tag, code)` for each message that was decided, code empty for one that is stored. True
  // when there is more to serve.
  [[nodiscard]] bool serve(const std::function<void(void* tag, std::string_view code)>& report);
  [[nodiscard]] const Trouble& trouble() const noexcept { return trouble_; }
  // No wake any more, and nothing is sent any more but what is under way.
  void silence();

  // Asks for the topic's metadata, waiting: empty, or the code of what is wrong. `partitions` says
  // how many it has.
  [[nodiscard]] std::string_view ask_for_topic(std::chrono::milliseconds wait, int& partitions);
  // As if brokers had told it that another producer took its place.
  void break_for_test();

 private:
  // What librdkafka's threads see.
  struct Shared {
    Egress egress = Egress::kOperator;
    std::shared_ptr<const AddressRanges> egress_allowed;
    std::atomic<bool> is_address_refused{false};
    std::atomic<std::size_t> broker_threads{0};  // counted for tenants only
    Wake wake;
  };
  struct Calls;  // librdkafka's callbacks
  Client() = default;
  void note_error(int error);
  void note_fatal();

  std::unique_ptr<Shared> shared_;
  rd_kafka_s* handle_ = nullptr;
  rd_kafka_topic_s* topic_ = nullptr;
  bool has_reached_broker_ = false;
  bool is_fatal_ = false;
  Trouble trouble_;
};

}  // namespace sidecast::kafka
