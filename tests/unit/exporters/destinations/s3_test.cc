// S3: names of objects, addresses, and what its errors mean.
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "engine/base/sha256.h"
#include "exporters/destinations/options.h"
#include "exporters/destinations/s3_key.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr Timestamp kNow = Timestamp(std::chrono::seconds(1'705'312'800));  // 2024-01-15T10:00:00Z
using Kind = Verdict::Kind;
using Changes = std::vector<std::pair<std::string, std::string>>;

BatchRecord record_of(Text generation_id, Text api_key_name = "team") {
  BatchRecord record;
  record.encoded = "{}";
  record.trace_id = hash_trace_id("app_trace_001");
  record.start = kNow + std::chrono::milliseconds(999);
  record.generation_id = generation_id;
  record.api_key_name = api_key_name;
  return record;
}

std::string key_of(std::string_view path_template, const BatchRecord& record,
                   std::string_view prefix = "p") {
  const auto keys = S3KeyTemplate::parse(path_template, prefix);
  return keys ? keys->key(record) : "error: " + keys.error().message();
}

TEST(S3Key, FollowsTheTemplate) {
  // printf gen-1 | sha256sum | cut -c 1-12
  const BatchRecord record = record_of("gen-1");
  EXPECT_EQ(key_of("{prefix}/{date}", record),
            "p/2024-01-15/522cf1e8476223c9f6ae5d9d0f41c52e-1705312800-5ee4e1f377a3.json");
  EXPECT_EQ(key_of("/a={apiKeyName}/{year}/{month}-{day}/{hour}/", record),
            "a=team/2024/01-15/10/522cf1e8476223c9f6ae5d9d0f41c52e-1705312800-5ee4e1f377a3.json");
}

TEST(S3Key, IsTheSameForARetryAndDiffersForAnotherGenerationOfTheTrace) {
  EXPECT_EQ(key_of("{prefix}/{date}", record_of("gen-1")),
            key_of("{prefix}/{date}", record_of("gen-1")));
  EXPECT_NE(key_of("{prefix}/{date}", record_of("gen-1")),
            key_of("{prefix}/{date}", record_of("gen-2")));
}

TEST(S3Key, HostileKeyNamesCannotLeaveTheirFolder) {
  EXPECT_EQ(sanitised_key_part("a/../b c\n\xc3\xa4"), "a_.._b_c___");
  EXPECT_EQ(sanitised_key_part(""), "unknown");
  EXPECT_EQ(sanitised_key_part(".."), "__");
  EXPECT_EQ(sanitised_key_part("."), "_");
  EXPECT_EQ(sanitised_key_part(std::string(5000, 'a')).size(), 128U);
  const std::string long_name(5000, 'a');
  EXPECT_LE(key_of("{prefix}/{apiKeyName}/{apiKeyName}/{date}", record_of("g", long_name)).size(),
            kS3KeyBytesMax);
}

TEST(S3Key, HostileTemplatesAreRefused) {
  for (const char* wrong : {"{nonsense}", "{prefix", "a//b", "../{date}", "a/./b", "", "/", "a b",
                            "{prefix}/\xc3\xa4", "{date}}", "{{date}"}) {
    EXPECT_FALSE(S3KeyTemplate::parse(wrong, "p")) << wrong;
  }
  EXPECT_FALSE(S3KeyTemplate::parse("{prefix}/{date}", ""));
  EXPECT_FALSE(S3KeyTemplate::parse("{prefix}/{date}", "a/../b"));
  EXPECT_FALSE(S3KeyTemplate::parse("{prefix}/{date}", std::string(1000, 'p')));
  EXPECT_TRUE(S3KeyTemplate::parse("{prefix}/{date}", "/folder/sub/"));
}

Result<std::unique_ptr<const Exporter>> make(const Changes& changes) {
  const Destination* const destination = find_destination_type("s3");
  OptionValues options;
  for (const Option& option : destination->options) {
    if (!option.secret) options.values.emplace(option.name, option.fallback);
  }
  options.values.insert_or_assign("bucket", "my-bucket");
  for (const auto& [name, value] : changes) options.values.insert_or_assign(name, value);
  return destination->make(options);
}

std::string url_of(const Changes& changes) {
  const auto exporter = make(changes);
  if (!exporter) return "error: " + exporter.error().message();
  return (*exporter)->probe(kNow).url;
}

TEST(S3Address, IsVirtualHostOnAwsAndPathStyleElsewhere) {
  EXPECT_EQ(url_of({{"region", "eu-west-1"}}),
            "https://my-bucket.s3.eu-west-1.amazonaws.com/sidecast-traces/.connection-test");
  EXPECT_EQ(url_of({{"bucket", "with.dots"}}),
            "https://s3.us-east-1.amazonaws.com/with.dots/sidecast-traces/.connection-test");
  EXPECT_EQ(url_of({{"region", "cn-north-1"}}),
            "https://my-bucket.s3.cn-north-1.amazonaws.com.cn/sidecast-traces/.connection-test");
  EXPECT_EQ(url_of({{"endpoint", "http://127.0.0.1:9000/"}, {"bucket", "My_Bucket"}}),
            "http://127.0.0.1:9000/My_Bucket/sidecast-traces/.connection-test");
  for (const char* bucket : {"ab", "UPPER", "a/b", "a..b", "a b"}) {
    EXPECT_EQ(url_of({{"bucket", bucket}}).substr(0, 6), "error:") << bucket;
  }
  EXPECT_EQ(url_of({{"region", "eu west"}}).substr(0, 6), "error:");
}

TEST(S3Request, OneObjectPerRecordWithTheHashThatWasFrozenBesideIt) {
  const auto exporter = make({});
  EXPECT_TRUE((*exporter)->format().hash_records);
  auto batch = std::make_shared<Batch>();
  batch->records = {record_of("gen-1"), record_of("gen-2")};
  batch->records[1].encoded = "{\"a\":1}";
  EXPECT_FALSE((*exporter)->encode(batch)) << "nothing is hashed on the delivery loop";
  // Not the hash of its bytes: it is taken as it stands.
  batch->record_hashes = {sha256("one"), sha256("two")};
  const auto requests = (*exporter)->encode(batch);
  ASSERT_EQ(requests->size(), 2U);
  const Request& second = requests->at(1);
  EXPECT_EQ(second.method, "PUT");
  EXPECT_EQ(second.record_first, 1U);
  EXPECT_EQ(second.record_count, 1U);
  EXPECT_EQ(second.body.at(0).data(), batch->records[1].encoded.data());
  EXPECT_NE(requests->at(0).url, second.url);
  std::string hash;
  for (const Header& header : second.headers) {
    if (header.name == "x-amz-content-sha256") hash = header.value;
  }
  // printf two | sha256sum
  EXPECT_EQ(hash, "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3");
}

TEST(S3Request, ABatchIsOneObjectOfLinesUnderAStableName) {
  const auto exporter = make({{"objects", "batch"}, {"prefix", "p"}});
  const Format& format = (*exporter)->format();
  EXPECT_TRUE(format.whole_batch);
  EXPECT_TRUE(format.hash_body);
  EXPECT_EQ(format.suffix(), "\n");
  EXPECT_EQ(format.compression, Compression::kGzip);
  auto batch = std::make_shared<Batch>();
  batch->records = {record_of("gen-1"), record_of("gen-2")};
  batch->body = std::make_shared<const std::string>("packed");
  batch->content_encoding = "gzip";
  EXPECT_FALSE((*exporter)->encode(batch)) << "nothing is hashed on the delivery loop";
  batch->body_hash = sha256("packed");
  const auto requests = (*exporter)->encode(batch);
  ASSERT_EQ(requests->size(), 1U);
  const Request& request = requests->front();
  EXPECT_EQ(request.record_count, 2U);
  // printf 'gen-1\ngen-2\n' | sha256sum | cut -c 1-32
  EXPECT_TRUE(
      request.url.ends_with("/p/2024-01-15/1705312800-753d9762f85a6c4431ac7a9aaf5a18ba.jsonl.gz"))
      << request.url;
  for (const Header& header : request.headers) {
    EXPECT_NE(header.name, "content-encoding") << "readers go by the suffix";
    if (header.name == "content-type") {
      EXPECT_EQ(header.value, "application/x-ndjson");
    }
  }
  EXPECT_EQ((*exporter)->encode(batch)->front().url, request.url);
  batch->records.pop_back();
  EXPECT_NE((*exporter)->encode(batch)->front().url, request.url);
  EXPECT_FALSE(make({{"objects", "batch"}, {"path_template", "{prefix}/{apiKeyName}"}}));
}

Verdict judge(int status, std::string_view code, std::string_view more = "",
              std::vector<Header> headers = {}) {
  Response response;
  response.status = status;
  response.headers = std::move(headers);
  response.headers.push_back({"content-type", "application/xml"});
  response.body = "<?xml version=\"1.0\"?><Error><Code>" + std::string(code) +
                  "</Code><Message>words</Message>" + std::string(more) + "</Error>";
  const auto exporter = make({});
  return (*exporter)->judge((*exporter)->probe(kNow), response, kNow);
}

TEST(S3Answer, CodesSayMoreThanStatuses) {
  for (const char* code : {"SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "InternalError",
                           "ConditionalRequestConflict"}) {
    EXPECT_EQ(judge(400, code).kind, Kind::kRetry) << code;
    EXPECT_EQ(judge(403, code).kind, Kind::kRetry) << code;
  }
  for (const char* code : {"NoSuchBucket", "AccessDenied", "InvalidAccessKeyId",
                           "SignatureDoesNotMatch", "ExpiredToken"}) {
    EXPECT_EQ(judge(400, code).kind, Kind::kPause) << code;
    EXPECT_NE(judge(400, code).explanation.find(code), std::string::npos);
  }
  EXPECT_EQ(judge(400, "EntityTooLarge").kind, Kind::kSplit);
  EXPECT_EQ(judge(400, "InvalidArgument").kind, Kind::kRejected);
  EXPECT_EQ(judge(500, "Whatever").kind, Kind::kRetry);
}

TEST(S3Answer, WrongRegionPausesAndNamesTheRightOne) {
  const Verdict malformed =
      judge(400, "AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>");
  EXPECT_EQ(malformed.kind, Kind::kPause);
  EXPECT_EQ(malformed.explanation,
            "HTTP 400 (AuthorizationHeaderMalformed); set 'region: eu-central-1'");
  const Verdict moved =
      judge(301, "PermanentRedirect", "", {{"x-amz-bucket-region", "ap-south-1"}});
  EXPECT_EQ(moved.kind, Kind::kPause);
  EXPECT_NE(moved.explanation.find("region: ap-south-1"), std::string::npos);
  EXPECT_EQ(malformed.server_text, "AuthorizationHeaderMalformed: words");
  // A region that is none is not repeated, and neither is a code that nobody knows.
  for (const char* wrong :
       {"a b", "my-secret", "AKIAIOSFODNN7EXAMPLE", "eu-west-123", "us", "-1"}) {
    EXPECT_EQ(
        judge(301, "PermanentRedirect", "<Region>" + std::string(wrong) + "</Region>").explanation,
        "HTTP 301 (PermanentRedirect); check region and endpoint");
  }
  EXPECT_EQ(judge(400, "my prompt").explanation, "HTTP 400");
}

}  // namespace
}  // namespace sidecast
