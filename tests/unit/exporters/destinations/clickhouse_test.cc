// ClickHouse: the insert's address, and what its error codes mean.
#include <gtest/gtest.h>

#include "tests/unit/exporters/destinations/native_fixture.h"

namespace sidecast {
namespace {

using Kind = Verdict::Kind;

std::unique_ptr<const Exporter> clickhouse(const OptionChanges& changes = {}) {
  OptionChanges all = {{"endpoint", "http://127.0.0.1:8123"}, {"compression", "none"}};
  all.insert(all.end(), changes.begin(), changes.end());
  auto made = make_destination("clickhouse", all);
  EXPECT_TRUE(made) << made.error().message();
  return std::move(*made);
}

Request request_of(const Exporter& exporter, std::size_t rows) {
  auto requests = exporter.encode(
      frozen_batch(exporter.format(), std::vector<std::string>(rows, R"({"TRACE_ID":"t"})")));
  EXPECT_TRUE(requests);
  return std::move(requests->at(0));
}

TEST(ClickHouseRequest, IsOneInsertOfAllRows) {
  const Request request = request_of(*clickhouse({{"table", "T`x"}}), 2);
  EXPECT_EQ(request.method, "POST");
  // printf 'gen-0\ngen-1\n' | sha256sum | cut -c 1-32
  EXPECT_EQ(request.url,
            "http://127.0.0.1:8123/?database=default&query=INSERT%20INTO%20%60T%5C%60x%60%20FORMAT"
            "%20JSONEachRow&input_format_skip_unknown_fields=1&async_insert=1"
            "&wait_for_async_insert=1&async_insert_deduplicate=1&insert_deduplication_token="
            "79cd66d0cc611e0bdade99f1421a90c2");
  EXPECT_EQ(header_of(request, "content-type"), "application/x-ndjson");
  EXPECT_EQ(body_of(request), "{\"TRACE_ID\":\"t\"}\n{\"TRACE_ID\":\"t\"}");
}

TEST(ClickHouseRequest, ManyRowsAreAPartOfTheirOwn) {
  const std::string large = request_of(*clickhouse(), 1000).url;
  EXPECT_NE(large.find("&async_insert=0&insert_deduplication_token="), std::string::npos) << large;
  const std::string by_server =
      request_of(*clickhouse({{"async_insert", "server"}, {"deduplicate", "false"}}), 1000).url;
  EXPECT_TRUE(by_server.ends_with("input_format_skip_unknown_fields=1")) << by_server;
  const std::string with_settings =
      request_of(*clickhouse({{"settings", "max_insert_block_size=7,a b=c&d"}}), 1).url;
  EXPECT_NE(with_settings.find("&max_insert_block_size=7&a%20b=c%26d&"), std::string::npos)
      << with_settings;
}

TEST(ClickHouseRequest, ARetryHasTheSameTokenAndOtherRecordsHaveAnother) {
  const auto exporter = clickhouse();
  EXPECT_EQ(request_of(*exporter, 3).url, request_of(*exporter, 3).url);
  EXPECT_NE(request_of(*exporter, 3).url, request_of(*exporter, 2).url);
}

TEST(ClickHouseRequest, CredentialsAreHeaders) {
  const auto exporter = clickhouse();
  Request request = request_of(*exporter, 1);
  ASSERT_TRUE(exporter->authorise(request, {}, kTestNow));
  EXPECT_EQ(header_of(request, "x-clickhouse-user"), "default");
  EXPECT_EQ(header_of(request, "x-clickhouse-key"), "");
  Secrets secrets;
  secrets.emplace("username", Secret("writer"));
  secrets.emplace("password", Secret("pw"));
  ASSERT_TRUE(exporter->authorise(request, secrets, kTestNow));
  EXPECT_EQ(header_of(request, "x-clickhouse-user"), "writer");
  EXPECT_EQ(header_of(request, "x-clickhouse-key"), "pw");
}

Verdict judge(int status, const std::string& body, std::vector<Header> headers = {}) {
  const auto exporter = clickhouse();
  return exporter->judge(request_of(*exporter, 3), answer_of(status, body, std::move(headers)),
                         kTestNow);
}

std::string exception(int code) {
  return "Code: " + std::to_string(code) + ". DB::Exception: words about 'content'. (NAME)";
}

TEST(ClickHouseAnswer, CodesSayMoreThanStatuses) {
  for (const int code : {25, 26, 27, 38, 41, 53, 70, 117, 131, 349}) {
    const Verdict verdict = judge(500, exception(code));
    EXPECT_EQ(verdict.kind, Kind::kRejected) << code;
    EXPECT_TRUE(verdict.blames_content) << code;
  }
  for (const int code : {16, 36, 60, 62, 73, 81, 89, 115, 164, 192, 193, 194, 497, 516}) {
    EXPECT_EQ(judge(500, exception(code)).kind, Kind::kPause) << code;
  }
  for (const int code :
       {159, 160, 202, 203, 209, 210, 241, 242, 243, 252, 285, 286, 319, 394, 425, 439, 574, 999}) {
    EXPECT_EQ(judge(400, exception(code)).kind, Kind::kRetry) << code;
  }
  EXPECT_EQ(judge(404, exception(60)).explanation,
            "HTTP 404 (UNKNOWN_TABLE); check table, user and settings");
  EXPECT_EQ(judge(500, "", {{"x-clickhouse-exception-code", "252"}}).explanation,
            "HTTP 500 (TOO_MANY_PARTS)");
}

TEST(ClickHouseAnswer, AnExceptionAfterA200IsNoSuccess) {
  EXPECT_EQ(judge(200, "").kind, Kind::kDelivered);
  EXPECT_EQ(judge(200, "\n" + exception(241)).kind, Kind::kRetry);
}

TEST(ClickHouseAnswer, UnknownCodesFollowTheStatus) {
  EXPECT_EQ(judge(500, exception(12345)).kind, Kind::kRetry);
  EXPECT_EQ(judge(400, exception(12345)).kind, Kind::kRejected);
}

TEST(ClickHouseTable, NamesEveryColumnOnce) {
  OptionValues options;
  options.values = {{"database", "d"}, {"table", "t"}};
  const std::string ddl = find_destination_type("clickhouse")->table_ddl(options);
  EXPECT_TRUE(ddl.starts_with("CREATE TABLE IF NOT EXISTS `d`.`t` (\n  TRACE_ID String,\n")) << ddl;
  EXPECT_NE(ddl.find("  END_TIME Nullable(DateTime64(3)),\n"), std::string::npos);
  EXPECT_NE(ddl.find("  TAGS Array(String),\n"), std::string::npos);
  EXPECT_NE(ddl.find("  SCHEMA_VERSION Int64 DEFAULT 1\n)"), std::string::npos);
}

TEST(ClickHouseTable, IsMadeByWhatIsPrintedAndTheAnswerSaysWhetherItWasThere) {
  const auto exporter = clickhouse({{"table", "T`x"}, {"settings", "of_inserts=1"}});
  std::optional<Request> request = exporter->create_table();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->method, "POST");
  EXPECT_EQ(request->url, "http://127.0.0.1:8123/") << "the database stands in the statement";
  const std::string printed = find_destination_type("clickhouse")
                                  ->table_ddl({{{"database", "default"}, {"table", "T`x"}}, {}});
  const std::string_view if_needed = "CREATE TABLE IF NOT EXISTS ";
  EXPECT_EQ(body_of(*request), "CREATE TABLE " + printed.substr(if_needed.size()));
  Secrets secrets;
  secrets.emplace("password", Secret("pw"));
  ASSERT_TRUE(exporter->authorise(*request, secrets, kTestNow));
  EXPECT_EQ(header_of(*request, "x-clickhouse-key"), "pw");

  const auto answered = [&](const Request& asked, int status, const std::string& body) {
    return exporter->judge(asked, answer_of(status, body), kTestNow);
  };
  EXPECT_EQ(answered(*request, 200, "").explanation, "");
  const Verdict there = answered(*request, 500, exception(57));
  EXPECT_EQ(there.kind, Kind::kDelivered);
  EXPECT_EQ(there.explanation, "the table was there");
  EXPECT_EQ(answered(*request, 500, exception(497)).kind, Kind::kPause);
  EXPECT_NE(answered(request_of(*exporter, 1), 500, exception(57)).kind, Kind::kDelivered)
      << "no rows are stored by that";
}

}  // namespace
}  // namespace sidecast
