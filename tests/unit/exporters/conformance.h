// What every destination type must do, whatever it is: each line of the registry passes the suite
// of the files conformance_*_test.cc. Here is what they share: a destination made from its
// defaults, with a secret in every place for one, and a batch of its records.
#pragma once

#include <algorithm>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/sha256.h"
#include "engine/base/utf8.h"
#include "exporters/compress/compress.h"
#include "exporters/destinations/answer.h"
#include "exporters/destinations/options.h"
#include "exporters/registry.h"
#include "tests/unit/exporters/destinations/service_account.h"

namespace sidecast {

// How CTest names the cases; a pointer would change from run to run.
inline void PrintTo(const Destination* type, std::ostream* out) {
  *out << type->name;
}

namespace conformance {

inline constexpr Timestamp kNow = Timestamp(std::chrono::seconds(1'700'000'000));
inline constexpr std::size_t kRecords = 3;

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// The options as the config would hand them over: defaults, and something plausible where a value
// is required.
inline OptionValues values_of(const Destination& type) {
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

inline std::string secret_text(std::string_view name) {
  return "SECRETOF" + std::string(name) + "42";
}

// What the secret is, with that text in it.
inline std::string secret_value(std::string_view name, const std::string& text) {
  return name == "service_account_key" ? test::service_account_key(text + "@example.com", "")
                                       : text;
}

inline Secrets secrets_of(const Destination& type) {
  Secrets secrets;
  for (const Option& option : type.options) {
    if (!option.secret) continue;
    secrets.emplace(option.name, Secret(secret_value(option.name, secret_text(option.name))));
  }
  return secrets;
}

// All of a request that anybody can see.
inline std::string dump(const Request& request) {
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

inline std::shared_ptr<const Batch> batch_for(const Format& format) {
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

inline void expect_place(const Request& request) {
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

inline void expect_well_formed(const Request& request) {
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
inline std::string body_of_success(const Destination& type) {
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

}  // namespace conformance

}  // namespace sidecast
