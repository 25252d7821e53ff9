// What every destination type must do, whatever it is: each line of the registry passes this suite.
#include <algorithm>
#include <memory>
#include <ostream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <simdjson.h>

#include "engine/base/sha256.h"
#include "engine/base/utf8.h"
#include "exporters/compress/compress.h"
#include "exporters/destinations/answer.h"
#include "exporters/destinations/options.h"
#include "exporters/encode/shorten.h"
#include "exporters/registry.h"
#include "exporters/write.h"
#include "tests/unit/exporters/destinations/service_account.h"
#include "tests/unit/exporters/firehose_text.h"

namespace sidecast {

// How CTest names the cases; a pointer would change from run to run.
static void PrintTo(const Destination* type, std::ostream* out) {
  *out << type->name;
}

namespace {

constexpr Timestamp kNow = Timestamp(std::chrono::seconds(1'700'000'000));
constexpr std::size_t kRecords = 3;

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// The options as the config would hand them over: defaults, and something plausible where a value
// is required.
OptionValues values_of(const Destination& type) {
  OptionValues options;
  for (const Option& option : type.options) {
    if (option.secret) continue;
    std::string value(option.fallback);
    if (option.required) value = "my-value";
    if (option.required && option.name == "endpoint") value = "https://a.example.com";
    if (option.required && option.name == "path") value = "/a/folder/a-file.jsonl";
    options.values.emplace(option.name, value);
  }
  return options;
}

std::string secret_text(std::string_view name) {
  return "SECRETOF" + std::string(name) + "42";
}

// What the secret is, with that text in it.
std::string secret_value(std::string_view name, const std::string& text) {
  return name == "service_account_key" ? test::service_account_key(text + "@example.com", "")
                                       : text;
}

Secrets secrets_of(const Destination& type) {
  Secrets secrets;
  for (const Option& option : type.options) {
    if (!option.secret) continue;
    secrets.emplace(option.name, Secret(secret_value(option.name, secret_text(option.name))));
  }
  return secrets;
}

// All of a request that anybody can see.
std::string dump(const Request& request) {
  std::string text = request.method + " " + request.url + "\n";
  for (const Header& header : request.headers) text += header.name + ": " + header.value + "\n";
  for (const Bytes piece : request.body) text += piece;
  for (const Header& setting : request.settings) text += setting.name + "=" + setting.value + "\n";
  if (request.messages == nullptr) return text;
  for (const KeyedMessage& message : *request.messages) {
    text += message.key + ": ";
    for (const Bytes piece : message.value) text += piece;
  }
  return text;
}

// Records as the engine would stage them, written by the destination's own dialect and encoder.
struct StagedBatch {
  std::vector<std::string> encoded;
  Batch batch;
};

std::shared_ptr<const Batch> batch_for(const Format& format) {
  auto staged = std::make_shared<StagedBatch>();
  std::string body(format.prefix());
  for (std::size_t i = 0; i < kRecords; ++i) {
    Arena arena;
    Trace trace(arena);
    const std::string id = "gen-" + std::to_string(i);
    trace.identity.generation_id = id;
    trace.identity.account = "account-1";
    trace.trace_id = hash_trace_id(id);
    trace.model_requested = "a-model";
    trace.input_value = "hello";
    trace.start = kNow;
    trace.end = kNow + std::chrono::seconds(1);
    ByteBuffer bytes;
    format.encoder->write(trace, format.dialect->write(trace, format.dialect_options, arena),
                          bytes);
    staged->encoded.emplace_back(bytes.view());
  }
  for (std::size_t i = 0; i < kRecords; ++i) {
    BatchRecord record;
    record.encoded = staged->encoded[i];
    record.trace_id = hash_trace_id("gen-" + std::to_string(i));
    record.start = kNow;
    record.generation_id = "a generation";
    record.api_key_name = "team/../a";
    record.span_count = 1;
    staged->batch.records.push_back(record);
    if (format.hash_records) staged->batch.record_hashes.push_back(sha256(record.encoded));
    if (i > 0) body += format.encoder->separator;
    body += staged->encoded[i];
  }
  body += format.suffix();
  staged->batch.uncompressed_bytes = body.size();
  staged->batch.content_type = format.encoder->content_type;
  if (format.whole_batch) {
    Compressor compressor;
    const Bytes pieces[] = {body};
    staged->batch.body =
        std::make_shared<const std::string>(compressor.compress(format.compression, pieces));
    staged->batch.content_encoding = content_encoding(format.compression);
    if (format.hash_body) staged->batch.body_hash = sha256(*staged->batch.body);
  }
  return {staged, &staged->batch};
}

void expect_place(const Request& request) {
  switch (request.transport) {
    case Transport::kHttp:
      EXPECT_TRUE(parse_url("url", request.url)) << request.url;
      break;
    case Transport::kFile:
      EXPECT_TRUE(request.url.starts_with("file:///")) << request.url;
      EXPECT_FALSE(contains(request.url, "..")) << request.url;
      break;
    case Transport::kConsole:
      EXPECT_TRUE(request.url == "console:stdout" || request.url == "console:stderr");
      break;
    case Transport::kKafka:
      EXPECT_TRUE(request.url.starts_with("kafka://")) << request.url;
      break;
  }
}

void expect_well_formed(const Request& request) {
  expect_place(request);
  if (request.messages != nullptr) {
    EXPECT_EQ(request.messages->size(), request.record_count);
  }
  EXPECT_TRUE(request.method == "POST" || request.method == "PUT" ||
              (request.method == "GET" && request.body.empty()))
      << request.method;
  std::set<std::string> names;
  for (const Header& header : request.headers) {
    EXPECT_TRUE(is_header_name(header.name)) << header.name;
    EXPECT_TRUE(is_header_value(header.value)) << header.name;
    EXPECT_TRUE(names.insert(header.name).second) << header.name << " is there twice";
  }
  EXPECT_TRUE(names.contains("content-type"));
}

// What is in every answer of success, to requests and probes alike, where the service promises it.
std::string body_of_success(const Destination& type) {
  if (type.name == "firehose") return R"({"FailedPutCount":0,"DeliveryStreamDescription":{}})";
  if (type.name == "bigquery") return R"({"permissions":["bigquery.tables.updateData"]})";
  return {};
}

class Conformance : public ::testing::TestWithParam<const Destination*> {
 protected:
  void SetUp() override {
    auto made = type().make(values_of(type()));
    ASSERT_TRUE(made) << made.error().message();
    exporter_ = std::move(*made);
    secrets_ = secrets_of(type());
  }
  static const Destination& type() { return *GetParam(); }

  std::vector<Request> encoded() const {
    auto requests = exporter_->encode(batch_for(exporter_->format()));
    EXPECT_TRUE(requests) << requests.error().message();
    return requests ? std::move(*requests) : std::vector<Request>();
  }
  Request authorised() const {
    std::vector<Request> requests = encoded();
    Request request = std::move(requests.at(0));
    const Status status = authorise(request, secrets_);
    EXPECT_TRUE(status) << status.error().message();
    return request;
  }
  // As an exchange does it: with a token, where one is needed.
  Status authorise(Request& request, const Secrets& secrets) const {
    const auto wanted = exporter_->token_request(secrets, kNow);
    if (!wanted) return fail(wanted.error());
    if (*wanted) {
      Response response;
      response.status = 200;
      response.body = R"({"access_token":")" + to_hex(as_bytes(sha256(dump(**wanted)))) +
                      R"(","expires_in":3600})";
      EXPECT_EQ(exporter_->take_token(**wanted, response, kNow).kind, Verdict::Kind::kDelivered);
    }
    return exporter_->authorise(request, secrets, kNow);
  }
  Verdict verdict_for(int status, std::string body = {}, std::vector<Header> headers = {}) const {
    Response response;
    response.status = status;
    response.body = std::move(body);
    response.headers = std::move(headers);
    return exporter_->judge(authorised(), response, kNow);
  }
  void expect_clean(const Verdict& verdict) const {
    EXPECT_LE(verdict.explanation.size(), kExplanationBytesMax);
    EXPECT_LE(verdict.server_text.size(), kServerTextBytesMax);
    for (const std::string& line : {verdict.explanation, verdict.server_text}) {
      EXPECT_TRUE(is_valid_utf8(line)) << line;
      EXPECT_TRUE(std::none_of(line.begin(), line.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
      })) << line;
      for (const Option& option : type().options) {
        if (option.secret) {
          EXPECT_FALSE(contains(line, secret_text(option.name))) << line;
        }
      }
    }
  }

  std::unique_ptr<const Exporter> exporter_;
  Secrets secrets_;
};

TEST_P(Conformance, DescriptorSaysWhatAUserNeeds) {
  // Keys that every destination of the config has: an option of that name could never be set.
  const std::set<std::string_view> taken = {"name",
                                            "type",
                                            "enabled",
                                            "accounts",
                                            "api_keys",
                                            "sampling_rate",
                                            "sampling_salt",
                                            "headers",
                                            "privacy_mode",
                                            "privacy_keep",
                                            "timeout",
                                            "connections",
                                            "filter_rules",
                                            "regions",
                                            "ca_file",
                                            "proxy",
                                            "no_proxy",
                                            "proxy_credentials",
                                            "client_cert_file",
                                            "client_key_file",
                                            "http2_prior_knowledge"};
  EXPECT_FALSE(type().summary.empty());
  EXPECT_EQ(find_destination_type(type().name), &type());
  std::set<std::string_view> names;
  for (const Option& option : type().options) {
    SCOPED_TRACE(option.name);
    EXPECT_TRUE(names.insert(option.name).second);
    EXPECT_FALSE(taken.contains(option.name));
    EXPECT_EQ(option.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"),
              std::string_view::npos);
    EXPECT_TRUE(option.help.ends_with('.'));
    if (option.required) {
      EXPECT_EQ(option.fallback, "");
    }
    if (option.secret) {
      EXPECT_EQ(option.fallback, "");
    }
  }
}

TEST_P(Conformance, DefaultsMakeAWholeFormat) {
  const Format& format = exporter_->format();
  ASSERT_NE(format.dialect, nullptr);
  ASSERT_NE(format.encoder, nullptr);
  EXPECT_GT(format.limits.batch_records_max, 0U);
  EXPECT_GT(format.limits.batch_spans_max, 0U);
  EXPECT_GE(format.limits.batch_bytes_max, 64U << 10U);
  EXPECT_LE(format.limits.batch_bytes_max, 64U << 20U);
}

TEST_P(Conformance, EachRequiredOptionIsMissedByName) {
  for (const Option& option : type().options) {
    if (!option.required) continue;
    SCOPED_TRACE(option.name);
    for (const char* empty : {"", "  "}) {
      if (option.secret) {
        Secrets secrets = secrets_;
        secrets.erase(secrets.find(option.name));
        secrets.emplace(option.name, Secret(empty));
        Request request = std::move(encoded().at(0));
        const Status status = exporter_->authorise(request, secrets, kNow);
        ASSERT_FALSE(status);
        EXPECT_TRUE(contains(status.error().message(), option.name)) << status.error().message();
      } else {
        OptionValues options = values_of(type());
        options.values.find(option.name)->second = empty;
        const auto made = type().make(options);
        ASSERT_FALSE(made);
        EXPECT_TRUE(contains(made.error().message(), option.name)) << made.error().message();
      }
    }
  }
}

TEST_P(Conformance, HostileOptionValuesAreRefusedByNameOrHarmless) {
  const std::vector<std::string> hostile = {"\x01\r\nx-injected: 1",
                                            "http://",
                                            "{",
                                            "{nonsense}",
                                            "../../..",
                                            std::string(100'000, 'a'),
                                            "\xff\xfe",
                                            "-1",
                                            "99999999999999999999",
                                            "https://u:p@h/",
                                            "a=b,a=b,=,c"};
  for (const Option& option : type().options) {
    if (option.secret) continue;
    for (const std::string& value : hostile) {
      SCOPED_TRACE(std::string(option.name) + "=" + value.substr(0, 30));
      OptionValues options = values_of(type());
      options.values.find(option.name)->second = value;
      const auto made = type().make(options);
      if (!made) {
        EXPECT_TRUE(contains(made.error().message(), option.name)) << made.error().message();
        EXPECT_LT(made.error().message().size(), 500U);
        continue;
      }
      auto requests = (*made)->encode(batch_for((*made)->format()));
      ASSERT_TRUE(requests);
      for (const Request& request : *requests) expect_well_formed(request);
      expect_well_formed((*made)->probe(kNow));
    }
  }
}

TEST_P(Conformance, RequestsCarryEveryRecordOnceAndNoSecret) {
  std::size_t next = 0;
  for (const Request& request : encoded()) {
    expect_well_formed(request);
    EXPECT_EQ(request.record_first, next);
    EXPECT_GT(request.record_count, 0U);
    EXPECT_GT(request.body_bytes(), 0U);
    EXPECT_NE(request.keep_alive, nullptr);
    EXPECT_EQ(request.transport, type().transport);
    next += request.record_count;
    for (const Option& option : type().options) {
      if (option.secret) {
        EXPECT_FALSE(contains(dump(request), secret_text(option.name)));
      }
    }
  }
  EXPECT_EQ(next, kRecords);
}

// A record with words in every place where content may stand.
std::string written(const Format& format, bool privacy) {
  Arena arena;
  Trace trace(arena);
  trace.identity.generation_id = "gen-1";
  trace.identity.account = "account-1";
  trace.trace_id = hash_trace_id("gen-1");
  trace.model_requested = "a-model";
  trace.input_value = "canary input value";
  trace.output_value = "canary output value";
  Message& asked = trace.input_messages.emplace_back(arena);
  asked.role = "user";
  asked.parts.emplace_back().text = "canary question";
  Message& said = trace.output_messages.emplace_back(arena);
  said.role = "assistant";
  said.parts.emplace_back().text = "canary answer";
  Part& call = said.parts.emplace_back();
  call.kind = PartKind::kToolCall;
  call.name = "lookup";
  call.text = R"({"q":"canary argument"})";
  trace.prompts.push_back("canary prompt");
  trace.rerank_query = "canary query";
  trace.outcome = {.http_status = 500, .failed = true, .error_type = "server_error"};
  trace.outcome.error_message = "canary error";
  trace.attributes.push_back({.key = "note", .value = Text("canary attribute")});
  trace.start = kNow;
  trace.end = kNow + std::chrono::seconds(1);
  ByteBuffer out;
  write_record(trace, format, {.enabled = privacy}, arena, out);
  return format.encoder->name == "firehose_record" ? firehose_text(out.view())
                                                   : std::string(out.view());
}

TEST_P(Conformance, PrivacyModeLeavesNoContent) {
  EXPECT_TRUE(contains(written(exporter_->format(), false), "canary answer"))
      << "else this shows nothing";
  EXPECT_FALSE(contains(written(exporter_->format(), true), "canary"));
}

TEST_P(Conformance, RecordThatIsTooLargeIsShrunkAndItsIdsAreKept) {
  const Format& format = exporter_->format();
  if (type().transport == Transport::kConsole) return;  // its lines are short
  ASSERT_NE(format.encoder->shrink, nullptr);
  const bool is_protobuf = format.encoder->name == "otlp_protobuf";
  // Ids that are longer than any text that is cut: in rows and events, where their place is known.
  const std::string id(format.encoder->name.starts_with("otlp") ? 100 : 500, 'g');
  const auto encoded_with = [&](const std::string& words) {
    Arena arena;
    Trace trace(arena);
    trace.identity.generation_id = id;
    trace.identity.account = "account-1";
    trace.trace_id = hash_trace_id(id);
    trace.model_requested = trace.model_served = "a-model";
    Message& asked = trace.input_messages.emplace_back(arena);
    asked.role = "user";
    asked.parts.emplace_back().text = words;
    Message& said = trace.output_messages.emplace_back(arena);
    said.role = "assistant";
    said.parts.emplace_back().text = "the \"short\" answer\n";
    trace.usage.input = 4711;
    trace.start = kNow;
    trace.end = kNow + std::chrono::seconds(1);
    ByteBuffer out;
    write_record(trace, format, {}, arena, out);
    return std::string(out.view());
  };
  std::string words;
  while (words.size() < 3'000'000) words += "once \"upon\" a größer time\n";
  const std::string whole = encoded_with(words);
  // Raindrop's own bound for a text leaves little.
  const std::size_t bytes_max = std::min<std::size_t>(200'000, whole.size() / 2);
  ByteBuffer out;
  out.append("before");
  ASSERT_TRUE(format.encoder->shrink(whole, bytes_max, out));
  std::string smaller(out.view().substr(6));
  EXPECT_LE(smaller.size(), bytes_max + 1000);
  std::string small = encoded_with("hi");
  if (format.encoder->name == "firehose_record") {
    smaller = firehose_text(smaller);
    small = firehose_text(small);
  }
  EXPECT_TRUE(is_protobuf || is_valid_utf8(smaller));
  EXPECT_TRUE(contains(smaller, "[shortened from "));
  EXPECT_TRUE(contains(smaller, "4711") || !contains(small, "4711"));
  EXPECT_TRUE(contains(smaller, "answer"));
  EXPECT_EQ(contains(smaller, id), contains(small, id));
  const std::string trace_id = to_hex(hash_trace_id(id).view());
  EXPECT_EQ(contains(smaller, trace_id), contains(small, trace_id));
  if (!is_protobuf) {
    std::string document = smaller;
    if (format.encoder->name == "snowflake_row") document = json_unescaped(document);
    simdjson::dom::parser parser;
    EXPECT_EQ(parser.parse("[" + document + "]").error(), simdjson::SUCCESS);
  }
  out.clear();
  EXPECT_FALSE(format.encoder->shrink("nonsense", 10, out));
  EXPECT_EQ(out.size(), 0U);
}

TEST_P(Conformance, ARecordWrittenAgainHasTheSameIdsAndBytes) {
  EXPECT_EQ(written(exporter_->format(), false), written(exporter_->format(), false));
}

TEST_P(Conformance, EncodingTwiceGivesTheSameBytes) {
  const std::vector<Request> first = encoded();
  const std::vector<Request> second = encoded();
  ASSERT_EQ(first.size(), second.size());
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(dump(first[i]), dump(second[i]));
}

TEST_P(Conformance, EachAttemptIsAuthorisedAfreshAndEachRequiredSecretCounts) {
  Request request = authorised();
  expect_well_formed(request);
  const std::string once = dump(request);
  ASSERT_TRUE(authorise(request, secrets_));
  EXPECT_EQ(dump(request), once) << "authorising again must replace, not add";
  for (const Option& option : type().options) {
    if (!option.secret || !option.required) continue;
    Secrets others = secrets_;
    others.erase(others.find(option.name));
    others.emplace(option.name, Secret(secret_value(option.name, "another")));
    ASSERT_TRUE(authorise(request, others));
    EXPECT_NE(dump(request), once) << option.name << " changes nothing";
  }
}

TEST_P(Conformance, HostileSecretCannotAddAHeader) {
  for (const Option& option : type().options) {
    if (!option.secret) continue;
    Secrets secrets = secrets_;
    secrets.erase(secrets.find(option.name));
    secrets.emplace(option.name, Secret("abc\r\nx-injected: 1"));
    Request request = std::move(encoded().at(0));
    const Status status = exporter_->authorise(request, secrets, kNow);
    EXPECT_FALSE(status) << option.name;
    if (!status) {
      EXPECT_FALSE(contains(status.error().message(), "abc"));
    }
  }
}

TEST_P(Conformance, StatusesMeanWhatTheTableSays) {
  using Kind = Verdict::Kind;
  const std::string body = body_of_success(type());
  for (const int status : {200, 204}) EXPECT_EQ(verdict_for(status, body).kind, Kind::kDelivered);
  // Where it means that a statement still runs, and says not which, it is asked again.
  const Verdict accepted = verdict_for(202, body);
  EXPECT_TRUE(accepted.kind == Kind::kDelivered || accepted.kind == Kind::kRetry);
  for (const int status : {429, 502, 503, 504}) {
    EXPECT_EQ(verdict_for(status).kind, Kind::kRetry) << status;
    EXPECT_EQ(verdict_for(status).retry_hint, std::nullopt);
    EXPECT_EQ(verdict_for(status, "", {{"retry-after", "7"}}).retry_hint, Milliseconds(7000));
    EXPECT_EQ(
        verdict_for(status, "", {{"retry-after", "Tue, 14 Nov 2023 22:14:20 GMT"}}).retry_hint,
        Milliseconds(60'000));
  }
  for (const int status : {401, 403, 404}) {
    EXPECT_EQ(verdict_for(status).kind, Kind::kPause) << status;
    EXPECT_FALSE(verdict_for(status).explanation.empty());
  }
  for (const int status : {400, 405, 415, 422, 505}) {
    EXPECT_EQ(verdict_for(status).kind, Kind::kRejected) << status;
    EXPECT_EQ(verdict_for(status).reason, RejectReason::kRejected);
    EXPECT_TRUE(contains(verdict_for(status).explanation, std::to_string(status)));
  }
  EXPECT_EQ(verdict_for(413).kind, Kind::kSplit);
}

TEST_P(Conformance, NoAnswerIsRetriedAndARefusedAddressPauses) {
  using Failure = Response::Failure;
  for (const Failure failure : {Failure::kResolve, Failure::kConnect, Failure::kTls,
                                Failure::kTimeout, Failure::kReset, Failure::kOther}) {
    Response response;
    response.failure = failure;
    response.failure_text = "some words";
    response.status = 200;  // of an answer that broke off
    const Verdict verdict = exporter_->judge(authorised(), response, kNow);
    EXPECT_EQ(verdict.kind, Verdict::Kind::kRetry);
    EXPECT_TRUE(contains(verdict.explanation, "some words"));
  }
  Response refused;
  refused.failure = Failure::kRefusedAddress;
  EXPECT_EQ(exporter_->judge(authorised(), refused, kNow).kind, Verdict::Kind::kPause);
}

TEST_P(Conformance, HostileAnswersNeverBringSecretsOrControlCharacters) {
  const Request request = authorised();
  const std::string sent = dump(request);
  std::string echo = "\x1b[31mtulip wrong key ";
  for (const Option& option : type().options) {
    // What was not sent (a signing key), no server can quote.
    const bool is_sent = option.secret && contains(sent, secret_text(option.name));
    if (is_sent) echo += secret_text(option.name) + "\r\n\t";
  }
  echo += sent;
  const std::string json_echo = [&] {
    std::string text = R"({"error":{"code":"tulip","message":"tulip )";
    for (const Header& header : request.headers) text += header.value + R"(\u001b \n )";
    return text + R"("}})";
  }();
  const std::string xml_echo =
      "<Error><Code>SignatureDoesNotMatch</Code><Region>tulip-1</Region><Message>" + echo +
      "</Message></Error>";
  for (const int status : {200, 301, 400, 401, 403, 404, 413, 429, 500, 503}) {
    for (const std::string& body : {echo, json_echo, xml_echo, "<html><title>" + echo}) {
      for (const char* content_type : {"", "application/json", "application/x-protobuf",
                                       "text/html", "text/plain; charset=latin1"}) {
        SCOPED_TRACE(status);
        const Verdict verdict = verdict_for(status, body, {{"content-type", content_type}});
        expect_clean(verdict);
        EXPECT_FALSE(contains(verdict.explanation, "tulip")) << "a server's words are not logged";
      }
    }
  }
}

TEST_P(Conformance, HostileRandomAnswersAlwaysGetAVerdict) {
  std::mt19937 random(20260101);
  for (int round = 0; round < 500; ++round) {
    std::string body(random() % 300, '\0');
    for (char& c : body) c = static_cast<char>(random());
    const int status = static_cast<int>(random() % 1000);
    const char* const type =
        random() % 2 == 0 ? "application/x-protobuf" : "application/json; charset=utf-8";
    expect_clean(verdict_for(status, body, {{"content-type", type}, {"retry-after", body}}));
  }
}

TEST_P(Conformance, WebPageIsNoReceiver) {
  const std::string page = "\n <!DOCTYPE html><html><head><title>Sign in</title></head></html>";
  const Verdict verdict = verdict_for(200, page, {{"content-type", "text/html; charset=utf-8"}});
  EXPECT_EQ(verdict.kind, Verdict::Kind::kPause);
  EXPECT_TRUE(contains(verdict.explanation, "a web page answered"));
  EXPECT_TRUE(contains(verdict.server_text, "Sign in"));
}

TEST_P(Conformance, ProbeIsLikeARequestAndSmall) {
  Request probe = exporter_->probe(kNow);
  expect_well_formed(probe);
  EXPECT_LT(probe.body_bytes(), 4096U);
  EXPECT_EQ(probe.transport, type().transport);
  if (type().transport == Transport::kHttp) {
    const auto target = parse_url("probe", probe.url);
    const auto usual = parse_url("request", encoded().at(0).url);
    ASSERT_TRUE(target && usual);
    EXPECT_EQ(target->authority, usual->authority);
    EXPECT_EQ(target->scheme, usual->scheme);
  } else {
    EXPECT_EQ(probe.url, encoded().at(0).url);
  }
  ASSERT_TRUE(authorise(probe, secrets_));
  Response response;
  response.status = 200;
  response.body = body_of_success(type());
  EXPECT_EQ(exporter_->judge(probe, response, kNow).kind, Verdict::Kind::kDelivered);
  response.status = 401;
  response.body.clear();
  EXPECT_EQ(exporter_->judge(probe, response, kNow).kind, Verdict::Kind::kPause);
}

INSTANTIATE_TEST_SUITE_P(Registry, Conformance,
                         ::testing::ValuesIn(destination_types().begin(),
                                             destination_types().end()),
                         [](const auto& param) {
                           std::string name(param.param->name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(RegistryTest, TypesAreSortedAndNamesDiffer) {
  const auto types = destination_types();
  ASSERT_GE(types.size(), 3U);
  for (std::size_t i = 1; i < types.size(); ++i) EXPECT_LT(types[i - 1]->name, types[i]->name);
  EXPECT_EQ(find_destination_type("nonsense"), nullptr);
}

}  // namespace
}  // namespace sidecast
