#include "exporters/kafka/client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <librdkafka/rdkafka.h>
#include <sys/socket.h>

#include "engine/base/locked_memory.h"
#include "engine/base/sha256.h"

namespace sidecast::kafka {
namespace {

constexpr std::string_view kScheme = "kafka://";
constexpr std::size_t kEventsPerPass = 64;
// What is under way is bounded by the channel; of one request that is larger, this has to take all.
constexpr const char* kQueueKilobytesMax = "131072";

// The largest answer is the metadata of one topic: 20,000 partitions fit. Each connection may hold
// one in memory.
constexpr const char* kAnswerBytesMax = "1048576";

constexpr std::size_t kFingerprintBytes = 16U << 10U;

using Conf = std::unique_ptr<rd_kafka_conf_t, decltype(&rd_kafka_conf_destroy)>;
using Queue = std::unique_ptr<rd_kafka_queue_t, decltype(&rd_kafka_queue_destroy)>;
using Event = std::unique_ptr<rd_kafka_event_t, decltype(&rd_kafka_event_destroy)>;

std::string_view name_of(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_NO_ERROR ? std::string_view() : rd_kafka_err2name(error);
}

// librdkafka's words may quote the value, which may be a secret.
Status set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  std::array<char, 256> words{};
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), words.data(), words.size()) ==
      RD_KAFKA_CONF_OK) {
    return {};
  }
  return fail("Kafka: librdkafka does not take this value of " + name);
}

Status set_connection(rd_kafka_conf_t* conf, const Connection& connection) {
  const std::string timeout_ms = std::to_string(connection.timeout.count());
  const std::string& key_file =
      connection.client_key_file.empty() ? connection.client_cert_file : connection.client_key_file;
  const std::pair<const char*, std::string> values[] = {
      {"bootstrap.servers", connection.brokers},
      {"message.timeout.ms", timeout_ms},
      {"queue.buffering.max.kbytes", kQueueKilobytesMax},
      {"receive.message.max.bytes", kAnswerBytesMax},
      {"enable.ssl.certificate.verification", "true"},
      {"ssl.endpoint.identification.algorithm", "https"},
      {"ssl.ca.location", connection.ca_file},
      {"ssl.certificate.location", connection.client_cert_file},
      {"ssl.key.location", key_file},
      // Batches come sealed: there is nothing to wait for.
      {"linger.ms", "1"},
      {"reconnect.backoff.max.ms", "2000"},
      {"socket.keepalive.enable", "true"},
      {"log_level", "0"},
  };
  for (const auto& [name, value] : values) {
    if (value.empty()) continue;
    if (Status status = set(conf, name, value); !status) return status;
  }
  for (const Header& setting : connection.settings) {
    if (Status status = set(conf, setting.name, setting.value); !status) return status;
  }
  return {};
}

Response::Failure failure_of(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR__RESOLVE:
      return Response::Failure::kResolve;
    case RD_KAFKA_RESP_ERR__SSL:
      return Response::Failure::kTls;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
      return Response::Failure::kTimeout;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
      return Response::Failure::kConnect;
    default:
      return Response::Failure::kOther;
  }
}

}  // namespace

bool is_size(std::string_view code) noexcept {
  return code == "MSG_SIZE_TOO_LARGE" || code == "RECORD_LIST_TOO_LARGE";
}

bool is_overdue(std::string_view code) noexcept {
  return code == "_MSG_TIMED_OUT" || code == "_TIMED_OUT";
}

// ---- Connection ---------------------------------------------------------------------------------

Result<Connection> Connection::of(const Request& request, const TransferOptions& options) {
  if (!options.proxy.empty()) return fail("Kafka goes through no proxy: take it out");
  const std::string_view url = request.url;
  const std::size_t slash = url.find('/', kScheme.size());
  if (!url.starts_with(kScheme) || slash == std::string_view::npos) {
    return fail("Kafka: no kafka://BROKERS/TOPIC");
  }
  Connection connection;
  connection.brokers = url.substr(kScheme.size(), slash - kScheme.size());
  connection.topic = url.substr(slash + 1);
  connection.settings = request.settings;
  connection.ca_file = options.ca_file;
  connection.client_cert_file = options.client_cert_file;
  connection.client_key_file = options.client_key_file;
  connection.timeout = options.timeout;
  connection.egress = options.egress;
  connection.egress_allowed = options.egress_allowed;
  return connection;
}

std::string Connection::fingerprint() const {
  std::string all;
  all.reserve(kFingerprintBytes);  // what grows leaves copies behind
  const auto add = [&all](std::string_view part) {
    all += std::to_string(part.size()) + ':';
    all += part;
  };
  for (const std::string* part :
       {&brokers, &topic, &ca_file, &client_cert_file, &client_key_file}) {
    add(*part);
  }
  for (const Header& setting : settings) {
    add(setting.name);
    add(setting.value);
  }
  add(std::to_string(timeout.count()));
  add(egress == Egress::kTenant ? "tenant" : "operator");
  // Two lists that are equal lie at one place, unless the config was read anew in between.
  add(std::to_string(reinterpret_cast<std::uintptr_t>(egress_allowed.get())));
  std::string hash = to_hex(as_bytes(sha256(all)));
  wipe(all.data(), all.size());
  return hash;
}

// ---- librdkafka's callbacks ---------------------------------------------------------------------

struct Client::Calls {
  // Every connection of every broker comes through here, named by us or advertised by the cluster.
  static int connect(int socket, const sockaddr* address, int length, const char*, void* opaque) {
    auto& shared = *static_cast<Shared*>(opaque);
    if (!is_egress_allowed(address, static_cast<socklen_t>(length), shared.egress,
                           shared.egress_allowed.get())) {
      // relaxed: a flag for words; the refusal itself is the answer.
      shared.is_address_refused.store(true, std::memory_order_relaxed);
      return EACCES;
    }
    const bool is_begun =
        ::connect(socket, address, static_cast<socklen_t>(length)) == 0 || errno == EINPROGRESS;
    return is_begun ? 0 : errno;
  }
  static rd_kafka_resp_err_t count_thread(rd_kafka_t*, rd_kafka_thread_type_t type, const char*,
                                          void* opaque) {
    auto& shared = *static_cast<Shared*>(opaque);
    if (type != RD_KAFKA_THREAD_BROKER) return RD_KAFKA_RESP_ERR_NO_ERROR;
    // relaxed: a number, looked at by whoever is woken.
    const std::size_t before = shared.broker_threads.fetch_add(1, std::memory_order_relaxed);
    if (before == kTenantBrokersMax && shared.wake) shared.wake();
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  static rd_kafka_resp_err_t watch_threads(rd_kafka_t* handle, const rd_kafka_conf_t*, void* opaque,
                                           char*, std::size_t) {
    return rd_kafka_interceptor_add_on_thread_start(handle, "threads", &count_thread, opaque);
  }
  static void wake(rd_kafka_t*, void* opaque) { static_cast<Shared*>(opaque)->wake(); }
  static void ignore_log(const rd_kafka_t*, int, const char*, const char*) {}
};

// ---- Client -------------------------------------------------------------------------------------

Result<std::unique_ptr<Client>> Client::open(const Connection& connection, Batches batches,
                                             Wake wake) {
  Conf conf(rd_kafka_conf_new(), &rd_kafka_conf_destroy);
  if (Status status = set_connection(conf.get(), connection); !status) return fail(status.error());
  if (batches == Batches::kAlone) {
    if (Status status = set(conf.get(), "batch.num.messages", "1"); !status) {
      return fail(status.error());
    }
  }
  std::unique_ptr<Client> client(new Client);
  client->shared_ = std::make_unique<Shared>();
  client->shared_->egress = connection.egress;
  client->shared_->egress_allowed = connection.egress_allowed;
  client->shared_->wake = std::move(wake);
  rd_kafka_conf_set_opaque(conf.get(), client->shared_.get());
  rd_kafka_conf_set_connect_cb(conf.get(), &Calls::connect);
  rd_kafka_conf_set_log_cb(conf.get(), &Calls::ignore_log);
  const bool is_tenants = connection.egress == Egress::kTenant;
  if (is_tenants) {
    rd_kafka_conf_interceptor_add_on_new(conf.get(), "threads", &Calls::watch_threads,
                                         client->shared_.get());
  }
  rd_kafka_conf_set_events(conf.get(), RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
  std::array<char, 256> words{};
  client->handle_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf.get(), words.data(), words.size());
  if (client->handle_ == nullptr) {
    // librdkafka 2.0 has freed the interceptors of what it refuses, and would free them again with
    // it. Tenants name no files that may be bad, so it is seldom: some kilobytes are the price.
    if (is_tenants) static_cast<void>(conf.release());
    return fail("Kafka: " + std::string(words.data()));
  }
  static_cast<void>(conf.release());  // the handle's now
  client->topic_ = rd_kafka_topic_new(client->handle_, connection.topic.c_str(), nullptr);
  if (client->topic_ == nullptr) return fail("Kafka: no topic can have this name");
  const Queue queue(rd_kafka_queue_get_main(client->handle_), &rd_kafka_queue_destroy);
  if (client->shared_->wake) {
    rd_kafka_queue_cb_event_enable(queue.get(), &Calls::wake, client->shared_.get());
    client->shared_->wake();  // for what was queued before
  }
  return client;
}

Client::~Client() {
  if (handle_ == nullptr) return;
  silence();
  if (topic_ != nullptr) rd_kafka_topic_destroy(topic_);
  rd_kafka_destroy(handle_);
}

void Client::silence() {
  const Queue queue(rd_kafka_queue_get_main(handle_), &rd_kafka_queue_destroy);
  rd_kafka_queue_cb_event_enable(queue.get(), nullptr, nullptr);
  rd_kafka_purge(handle_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

std::string_view Client::produce(const KeyedMessage& message, const std::vector<Header>& headers,
                                 void* tag) {
  std::size_t bytes = 0;
  for (const Bytes piece : message.value) bytes += piece.size();
  // malloc: librdkafka frees it. It keeps what it has under way longer than the engine may want to
  // keep a segment mapped.
  auto* const value = static_cast<char*>(std::malloc(std::max<std::size_t>(bytes, 1)));
  if (value == nullptr) std::abort();  // out of memory stops the engine
  std::size_t at = 0;
  for (const Bytes piece : message.value) {
    if (!piece.empty()) std::memcpy(value + at, piece.data(), piece.size());
    at += piece.size();
  }
  rd_kafka_headers_t* const all = rd_kafka_headers_new(headers.size());
  for (const Header& header : headers) {
    rd_kafka_header_add(all, header.name.data(), static_cast<ssize_t>(header.name.size()),
                        header.value.data(), static_cast<ssize_t>(header.value.size()));
  }
  std::array<rd_kafka_vu_t, 6> parts{};
  parts[0].vtype = RD_KAFKA_VTYPE_RKT;
  parts[0].u.rkt = topic_;
  parts[1].vtype = RD_KAFKA_VTYPE_KEY;
  parts[1].u.mem = {.ptr = const_cast<char*>(message.key.data()), .size = message.key.size()};
  parts[2].vtype = RD_KAFKA_VTYPE_VALUE;
  parts[2].u.mem = {.ptr = value, .size = bytes};
  parts[3].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  parts[3].u.i = RD_KAFKA_MSG_F_FREE;
  parts[4].vtype = RD_KAFKA_VTYPE_HEADERS;
  parts[4].u.headers = all;
  parts[5].vtype = RD_KAFKA_VTYPE_OPAQUE;
  parts[5].u.ptr = tag;
  rd_kafka_error_t* const refusal = rd_kafka_produceva(handle_, parts.data(), parts.size());
  const rd_kafka_resp_err_t error = rd_kafka_error_code(refusal);
  if (refusal != nullptr) rd_kafka_error_destroy(refusal);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    std::free(value);
    rd_kafka_headers_destroy(all);
  }
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) note_fatal();
  return name_of(error);
}

bool Client::serve(const std::function<void(void* tag, std::string_view code)>& report) {
  // relaxed: see count_thread().
  if (shared_->broker_threads.load(std::memory_order_relaxed) > kTenantBrokersMax) {
    is_fatal_ = true;
    trouble_ = {.failure = Response::Failure::kOther, .code = kTooManyBrokers, .is_hopeless = true};
  }
  const Queue queue(rd_kafka_queue_get_main(handle_), &rd_kafka_queue_destroy);
  for (std::size_t i = 0; i < kEventsPerPass; ++i) {
    const Event event(rd_kafka_queue_poll(queue.get(), 0), &rd_kafka_event_destroy);
    if (event == nullptr) return false;
    if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_ERROR) {
      note_error(rd_kafka_event_error(event.get()));
      continue;
    }
    while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event.get())) {
      // A broker's own answer, whatever it says.
      if (message->err >= RD_KAFKA_RESP_ERR_NO_ERROR) {
        has_reached_broker_ = true;
        // What is fatal stays so, whatever was under way is answered.
        if (!is_fatal_) trouble_ = {};
        // relaxed: see connect().
        shared_->is_address_refused.store(false, std::memory_order_relaxed);
      }
      report(message->_private, name_of(message->err));
    }
  }
  return true;
}

// What is fatal may be told by its own name as well.
void Client::note_fatal() {
  std::array<char, 8> words{};
  const rd_kafka_resp_err_t code = rd_kafka_fatal_error(handle_, words.data(), words.size());
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  is_fatal_ = true;
  trouble_ = {.failure = Response::Failure::kOther, .code = name_of(code), .is_hopeless = true};
}

void Client::note_error(int error) {
  note_fatal();
  if (is_fatal_) return;
  const auto code = static_cast<rd_kafka_resp_err_t>(error);
  const bool is_down = code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
  // That all are down comes last, after the reason.
  if (!is_down || trouble_.code.empty()) {
    trouble_.code = name_of(code);
    trouble_.failure = failure_of(code);
  }
  // relaxed: see connect().
  if (shared_->is_address_refused.load(std::memory_order_relaxed)) {
    trouble_.failure = Response::Failure::kRefusedAddress;
  }
  if (is_down && !has_reached_broker_) trouble_.is_hopeless = true;
}

void Client::break_for_test() {
  rd_kafka_test_fatal_error(handle_, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, "test");
}

std::string_view Client::ask_for_topic(std::chrono::milliseconds wait, int& partitions) {
  const rd_kafka_metadata_t* metadata = nullptr;
  const rd_kafka_resp_err_t error =
      rd_kafka_metadata(handle_, 0, topic_, &metadata, static_cast<int>(wait.count()));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return name_of(error);
  has_reached_broker_ = true;
  std::string_view code = "_UNKNOWN_TOPIC";
  if (metadata->topic_cnt == 1) {
    code = name_of(metadata->topics[0].err);
    partitions = metadata->topics[0].partition_cnt;
  }
  rd_kafka_metadata_destroy(metadata);
  return code;
}

}  // namespace sidecast::kafka
