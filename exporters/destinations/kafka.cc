// exporters/destinations/kafka.cc: OTLP in a Kafka topic, as the OpenTelemetry Collector's Kafka
// receiver reads it: one ExportTraceServiceRequest in a message, keyed by the trace's id. Facts:
// reference "destinations-native" §16.
#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "engine/base/utf8.h"
#include "engine/model/ids.h"
#include "exporters/destinations/native.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Option kOptions[] = {
    {.name = "brokers",
     .fallback = "",
     .help = "host:port of some brokers, with commas; the cluster names the others.",
     .required = true},
    {.name = "topic", .fallback = "otlp_spans", .help = "Topic of the messages."},
    {.name = "encoding", .fallback = "otlp_proto", .help = "otlp_proto or otlp_json."},
    {.name = "dialect", .fallback = "generic", .help = "Names of the attributes."},
    {.name = "compression", .fallback = "zstd", .help = "none, gzip, snappy, lz4 or zstd."},
    {.name = "tls", .fallback = "false", .help = "Whether the brokers speak TLS."},
    {.name = "sasl_mechanism",
     .fallback = "none",
     .help = "none, PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."},
    {.name = "sasl_username", .fallback = "", .help = "User, where there is a mechanism."},
    {.name = "sasl_password",
     .fallback = "",
     .help = "Its password, where there is a mechanism.",
     .secret = true},
    {.name = "idempotence",
     .fallback = "true",
     .help = "Whether brokers leave out what they have already; old ones need a right for it."},
    {.name = "partitioner",
     .fallback = "fnv1a_random",
     .help = "fnv1a_random (as the Collector), murmur2_random (as Java) or consistent_random."},
    {.name = "client_id", .fallback = "sidecast", .help = "Name in the brokers' logs and quotas."},
    {.name = "service_name", .fallback = "sidecast", .help = "Resource attribute service.name."},
    {.name = "message_bytes_max",
     .fallback = "1000000",
     .help = "Size of one message before compression; at most the topic's max.message.bytes.",
     .tuning = true},
    {.name = "batch_records_max",
     .fallback = "512",
     .help = "Records that are handed over together.",
     .tuning = true},
    {.name = "batch_bytes_max",
     .fallback = "4MiB",
     .help = "Their uncompressed size.",
     .tuning = true},
};
constexpr Limits kLimitsMost{
    .batch_records_max = 10'000, .batch_spans_max = 1U << 20U, .batch_bytes_max = 64U << 20U};
constexpr std::size_t kTopicCharactersMax = 249;

// What is in the message is not taken, wherever it is sent.
constexpr std::string_view kRefused[] = {"INVALID_RECORD", "INVALID_MSG", "POLICY_VIOLATION",
                                         "INVALID_TIMESTAMP", "_INVALID_ARG"};
constexpr std::string_view kTooLarge[] = {"MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"};
struct Mendable {
  std::string_view code;
  std::string_view advice;
};
constexpr Mendable kMendable[] = {
    {"_AUTHENTICATION", "check sasl_mechanism, sasl_username and sasl_password"},
    {"SASL_AUTHENTICATION_FAILED", "check sasl_username and sasl_password"},
    {"UNSUPPORTED_SASL_MECHANISM", "check sasl_mechanism"},
    {"ILLEGAL_SASL_STATE", "check sasl_mechanism"},
    {"TOPIC_AUTHORIZATION_FAILED", "the user may not write to the topic"},
    {"CLUSTER_AUTHORIZATION_FAILED", "the user needs IDEMPOTENT_WRITE, or idempotence: false"},
    {"UNKNOWN_TOPIC_OR_PART", "make the topic, or check its name"},
    {"_UNKNOWN_TOPIC", "make the topic, or check its name"},
    {"TOPIC_EXCEPTION", "no topic can have this name"},
    {"UNSUPPORTED_COMPRESSION_TYPE", "the brokers lack this compression"},
};

template <typename List>
bool is_one_of(std::string_view code, const List& list) {
  return std::find(std::begin(list), std::end(list), code) != std::end(list);
}

const Mendable* mendable(std::string_view code) {
  const auto* const found =
      std::find_if(std::begin(kMendable), std::end(kMendable),
                   [code](const Mendable& each) { return each.code == code; });
  return found == std::end(kMendable) ? nullptr : found;
}

std::string line(std::string_view code, std::string_view advice) {
  return fmt::format("Kafka: {}{}{}", code, advice.empty() ? "" : "; ", advice);
}

class Kafka final : public NativeExporter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<const Exporter>> make(const OptionValues& options);

  [[nodiscard]] Result<std::vector<Request>> encode(
      std::shared_ptr<const Batch> batch) const override;
  [[nodiscard]] Status authorise(Request& request, const Secrets& secrets,
                                 Timestamp now) const override;
  [[nodiscard]] Verdict judge(const Request& request, const Response& response,
                              Timestamp now) const override;
  [[nodiscard]] Request probe(Timestamp now) const override;

 private:
  [[nodiscard]] Status read_place(const OptionValues& options);
  [[nodiscard]] Status read_content(const OptionValues& options);
  [[nodiscard]] Status read_settings(const OptionValues& options);
  [[nodiscard]] Status read_security(const OptionValues& options);

  std::vector<Header> settings_;  // librdkafka's properties, but for secrets
  bool has_password_ = false;
};

// ---- Options ------------------------------------------------------------------------------------

Result<std::unique_ptr<const Exporter>> Kafka::make(const OptionValues& options) {
  if (Status status = check_required(options, kOptions); !status) return fail(status.error());
  auto exporter = std::make_unique<Kafka>();
  for (Status status : {exporter->read_place(options), exporter->read_content(options),
                        exporter->read_limits(options, kLimitsMost),
                        exporter->read_settings(options), exporter->read_security(options)}) {
    if (!status) return fail(status.error());
  }
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

// kafka://HOST:PORT,HOST:PORT/TOPIC
Status Kafka::read_place(const OptionValues& options) {
  constexpr std::size_t kBrokersMax = 64;
  constexpr std::string_view kHostCharacters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
  std::string brokers;
  const auto given = split_list(options.get("brokers"), ',');
  if (given.size() > kBrokersMax) return fail("brokers: give a few, the cluster names the others");
  for (const std::string_view each : given) {
    const std::string_view broker = trim_blanks(each);
    // A URL would be taken by librdkafka, and a listener's protocol read from it.
    if (broker.empty() || broker.size() > 300 ||
        broker.find_first_not_of(kHostCharacters) != std::string_view::npos) {
      return fail("brokers must be host:port, with commas in between, such as kafka-1:9092");
    }
    brokers += brokers.empty() ? "" : ",";
    brokers += broker;
  }
  const std::string_view topic = trim_blanks(options.get("topic"));
  constexpr std::string_view kTopicCharacters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (topic.empty() || topic.size() > kTopicCharactersMax || topic == "." || topic == ".." ||
      topic.find_first_not_of(kTopicCharacters) != std::string_view::npos) {
    return fail("topic is 1 to 249 letters, digits, dots, underscores and hyphens");
  }
  url_ = fmt::format("kafka://{}/{}", brokers, topic);
  return {};
}

Status Kafka::read_content(const OptionValues& options) {
  static constexpr std::array<std::string_view, 2> kEncodings = {"otlp_proto", "otlp_json"};
  const auto encoding = parse_choice("encoding", options.get("encoding"), kEncodings);
  if (!encoding) return fail(encoding.error());
  const bool is_json = *encoding == "otlp_json";
  for (Status status :
       {read_encoder(is_json ? "otlp_json" : "otlp_protobuf"),
        read_headers(options, is_json ? "application/json" : "application/x-protobuf")}) {
    if (!status) return status;
  }
  format_.whole_batch = false;
  std::vector<std::string_view> names;
  for (const DialectEntry& entry : dialects()) names.push_back(entry.name);
  const auto dialect = parse_choice("dialect", options.get("dialect"), names);
  if (!dialect) return fail(dialect.error());
  format_.dialect = find_dialect(*dialect);
  const std::string_view name = trim_blanks(options.get("service_name"));
  if (!is_valid_utf8(name)) return fail("service_name is not UTF-8");
  if (!name.empty()) format_.dialect_options.resource = {{"service.name", std::string(name)}};
  return {};
}

Status Kafka::read_settings(const OptionValues& options) {
  static constexpr std::array<std::string_view, 5> kCodecs = {"none", "gzip", "snappy", "lz4",
                                                              "zstd"};
  const auto codec = parse_choice("compression", options.get("compression"), kCodecs);
  if (!codec) return fail(codec.error());
  static constexpr std::array<std::string_view, 3> kPartitioners = {
      "fnv1a_random", "murmur2_random", "consistent_random"};
  const auto partitioner = parse_choice("partitioner", options.get("partitioner"), kPartitioners);
  if (!partitioner) return fail(partitioner.error());
  const auto is_idempotent = parse_flag("idempotence", options.get("idempotence"));
  if (!is_idempotent) return fail(is_idempotent.error());
  // librdkafka's own bounds.
  const auto bytes = parse_bytes("message_bytes_max", options.get("message_bytes_max"),
                                 {.min = 1000, .max = 64U << 20U});
  if (!bytes) return fail(bytes.error());
  const std::string_view client_id = trim_blanks(options.get("client_id"));
  if (client_id.size() > 100 || !is_header_value(client_id) || !is_valid_utf8(client_id)) {
    return fail("client_id is at most 100 characters, without line breaks");
  }
  settings_ = {{"compression.codec", std::string(*codec)},
               {"partitioner", std::string(*partitioner)},
               {"enable.idempotence", *is_idempotent ? "true" : "false"},
               {"acks", "all"},
               {"message.max.bytes", std::to_string(*bytes)},
               {"batch.size", std::to_string(*bytes)}};
  if (!client_id.empty()) settings_.push_back({"client.id", std::string(client_id)});
  return {};
}

Status Kafka::read_security(const OptionValues& options) {
  static constexpr std::array<std::string_view, 4> kMechanisms = {"none", "PLAIN", "SCRAM-SHA-256",
                                                                  "SCRAM-SHA-512"};
  const auto has_tls = parse_flag("tls", options.get("tls"));
  if (!has_tls) return fail(has_tls.error());
  const auto mechanism = parse_choice("sasl_mechanism", options.get("sasl_mechanism"), kMechanisms);
  if (!mechanism) return fail(mechanism.error());
  has_password_ = *mechanism != "none";
  const std::string_view user = trim_blanks(options.get("sasl_username"));
  if (!is_header_value(user) || !is_valid_utf8(user) || user.size() > 1000) {
    return fail("sasl_username holds a control character or is too long");
  }
  if (has_password_ && user.empty()) return fail("sasl_username is missing: sasl_mechanism is set");
  if (!has_password_ && !user.empty()) return fail("sasl_username needs a sasl_mechanism");
  const std::string_view transport = *has_tls ? "ssl" : "plaintext";
  settings_.push_back({"security.protocol",
                       has_password_ ? fmt::format("sasl_{}", transport) : std::string(transport)});
  if (!has_password_) return {};
  settings_.push_back({"sasl.mechanisms", std::string(*mechanism)});
  settings_.push_back({"sasl.username", std::string(user)});
  return {};
}

// ---- Requests -----------------------------------------------------------------------------------

Result<std::vector<Request>> Kafka::encode(std::shared_ptr<const Batch> batch) const {
  auto messages = std::make_shared<std::vector<KeyedMessage>>();
  messages->reserve(batch->records.size());
  for (const BatchRecord& record : batch->records) {
    KeyedMessage& message = messages->emplace_back();
    message.key = to_hex(record.trace_id.view());
    message.value = {format_.prefix(), record.encoded, format_.suffix()};
    std::erase_if(message.value, [](Bytes piece) { return piece.empty(); });
  }
  Request request = post();
  request.transport = Transport::kKafka;
  request.settings = settings_;
  request.messages = std::move(messages);
  request.record_count = batch->records.size();
  request.keep_alive = std::move(batch);
  std::vector<Request> requests;
  requests.push_back(std::move(request));
  return requests;
}

Status Kafka::authorise(Request& request, const Secrets& secrets, Timestamp) const {
  if (Status status = check_secrets(secrets, kOptions); !status) return status;
  std::erase_if(request.settings,
                [](const Header& setting) { return setting.name == "sasl.password"; });
  if (!has_password_) return {};
  const std::string_view password = reveal_secret(secrets, "sasl_password");
  if (password.empty()) return fail("sasl_password is missing: sasl_mechanism is set");
  request.settings.push_back({"sasl.password", std::string(password)});
  return {};
}

// Metadata of the topic.
Request Kafka::probe(Timestamp) const {
  Request request = post();
  request.transport = Transport::kKafka;
  request.method = "GET";
  request.settings = settings_;
  return request;
}

// ---- Answers ------------------------------------------------------------------------------------

ItemFate fate_of(std::string_view code) {
  if (code.empty()) return ItemFate::kDelivered;
  if (is_one_of(code, kTooLarge)) return ItemFate::kTooLarge;
  if (is_one_of(code, kRefused)) return ItemFate::kRejected;
  return ItemFate::kRetry;
}

// What is wrong, by the first message that is not stored, but one that a person can mend first.
std::string_view telling_code(const std::vector<std::string_view>& codes) {
  std::string_view first;
  for (const std::string_view code : codes) {
    if (mendable(code) != nullptr) return code;
    if (first.empty()) first = code;
  }
  return first;
}

Verdict Kafka::judge(const Request& request, const Response& response, Timestamp now) const {
  const auto& codes = response.messages;
  if (codes.empty()) return judge_native(request, response, now);
  Verdict verdict;
  const std::string_view code = telling_code(codes);
  if (code.empty()) {
    if (request.messages == nullptr) verdict.explanation = line(response.body, "");
    return verdict;
  }
  const Mendable* const mend = mendable(code);
  verdict.explanation = line(code, mend == nullptr ? "" : mend->advice);
  verdict.reason = RejectReason::kRejected;
  std::vector<ItemFate> fates;
  for (const std::string_view each : codes) fates.push_back(fate_of(each));
  const bool are_all_to_retry = std::all_of(fates.begin(), fates.end(),
                                            [](ItemFate fate) { return fate == ItemFate::kRetry; });
  if (request.messages == nullptr || are_all_to_retry) {
    if (response.failure == Response::Failure::kRefusedAddress) {
      return judge_native(request, response, now);
    }
    verdict.kind = mend == nullptr ? Verdict::Kind::kRetry : Verdict::Kind::kPause;
    return verdict;
  }
  verdict.kind = Verdict::Kind::kPartial;
  verdict.items = std::move(fates);
  return verdict;
}

}  // namespace

namespace destinations {
const Destination kafka{.name = "kafka",
                        .summary = "OTLP in a Kafka topic, as the Collector's Kafka receiver reads",
                        .options = kOptions,
                        .make = &Kafka::make,
                        .transport = Transport::kKafka};
}  // namespace destinations

}  // namespace sidecast
