// Snowflake: one statement with all rows bound, and statements that take their time.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/exporters/destinations/native_fixture.h"

namespace sidecast {
namespace {

using Kind = Verdict::Kind;
using nlohmann::json;

std::unique_ptr<const Exporter> snowflake(const OptionChanges& changes = {}) {
  OptionChanges all = {{"account", "acme_org-eu"}, {"database", "D\"B"}};
  all.insert(all.end(), changes.begin(), changes.end());
  auto made = make_destination("snowflake", all);
  EXPECT_TRUE(made) << made.error().message();
  return std::move(*made);
}

Request request_of(const Exporter& exporter, std::vector<std::string> records) {
  auto requests = exporter.encode(frozen_batch(exporter.format(), std::move(records)));
  EXPECT_TRUE(requests);
  return std::move(requests->at(0));
}

TEST(SnowflakeRequest, BindsAllRowsAsOneText) {
  const auto exporter = snowflake({{"role", "WRITER"}});
  Arena arena;
  const std::string record = encoded_record(*exporter, chat_trace(arena));
  Request request = request_of(*exporter, {record, record});
  EXPECT_TRUE(request.url.starts_with(
      "https://acme-org-eu.snowflakecomputing.com/api/v2/statements?requestId="))
      << request.url;
  EXPECT_TRUE(request.url.ends_with("&retry=true"));
  const json body = json::parse(body_of(request));
  EXPECT_EQ(body.at("timeout"), 60);
  EXPECT_EQ(body.at("database"), "D\"B");
  EXPECT_EQ(body.at("schema"), "PUBLIC");
  EXPECT_EQ(body.at("warehouse"), "COMPUTE_WH");
  EXPECT_EQ(body.at("role"), "WRITER");
  EXPECT_EQ(body.at("bindings").at("1").at("type"), "TEXT");
  const json rows = json::parse(body.at("bindings").at("1").at("value").get<std::string>());
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].at("INPUT").at("messages")[1].at("content"), "Hi \"there\"\n");
  const std::string statement = body.at("statement");
  EXPECT_TRUE(statement.starts_with(
      R"(INSERT INTO "D""B"."PUBLIC"."SIDECAST_TRACES" (TRACE_ID, SPAN_ID, )"))
      << statement;
  EXPECT_TRUE(
      statement.ends_with("f.value:SCHEMA_VERSION::NUMBER FROM TABLE(FLATTEN(INPUT => "
                          "PARSE_JSON(?))) f"))
      << statement;
  EXPECT_NE(statement.find("TO_TIMESTAMP_NTZ(f.value:END_TIME::NUMBER, 3)"), std::string::npos);
  Secrets secrets;
  secrets.emplace("token", Secret("pat"));
  ASSERT_TRUE(exporter->authorise(request, secrets, kTestNow));
  EXPECT_EQ(header_of(request, "authorization"), "Bearer pat");
  EXPECT_EQ(header_of(request, "x-snowflake-authorization-token-type"),
            "PROGRAMMATIC_ACCESS_TOKEN");
  EXPECT_EQ(header_of(request, "accept"), "application/json");
}

TEST(SnowflakeRequest, IdIsAUuidThatARetryRepeats) {
  const auto exporter = snowflake();
  const auto id = [&](std::size_t rows) {
    const std::string url = request_of(*exporter, std::vector<std::string>(rows, "{}")).url;
    return url.substr(url.find("requestId=") + 10, 36);
  };
  EXPECT_EQ(id(2), id(2));
  EXPECT_NE(id(2), id(3));
  const std::string uuid = id(2);
  EXPECT_EQ(uuid[14], '8');
  EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
}

Verdict judge(int status, const std::string& body) {
  const auto exporter = snowflake();
  return exporter->judge(request_of(*exporter, {"{}"}), answer_of(status, body), kTestNow);
}

TEST(SnowflakeAnswer, AStatementThatStillRunsIsAskedForByItsHandle) {
  const Verdict verdict =
      judge(202, R"({"code":"333334","statementHandle":"019c06a4-0000-df4f-0000-00100006589e"})");
  ASSERT_TRUE(verdict.followup);
  EXPECT_EQ(verdict.followup->method, "GET");
  EXPECT_EQ(verdict.followup->url,
            "https://acme-org-eu.snowflakecomputing.com/api/v2/statements/"
            "019c06a4-0000-df4f-0000-00100006589e");
  EXPECT_TRUE(verdict.followup->body.empty());
  EXPECT_EQ(verdict.retry_hint, Milliseconds(1000));
  const auto exporter = snowflake();
  EXPECT_EQ(exporter->judge(*verdict.followup, answer_of(200, "{}"), kTestNow).kind,
            Kind::kDelivered);
}

TEST(SnowflakeAnswer, HostileHandlesLeadNowhere) {
  for (const char* handle : {"", "../../x", "a?b", "a b"}) {
    const Verdict verdict = judge(202, std::string(R"({"statementHandle":")") + handle + "\"}");
    EXPECT_FALSE(verdict.followup) << handle;
    EXPECT_EQ(verdict.kind, Kind::kRetry);
  }
}

TEST(SnowflakeAnswer, CodesSayWhoIsToBlame) {
  EXPECT_EQ(judge(408, "{}").kind, Kind::kRetry);
  EXPECT_EQ(judge(422, R"({"code":"002003","sqlState":"42S02"})").kind, Kind::kPause);
  EXPECT_EQ(judge(422, R"({"code":"002003"})").explanation,
            "HTTP 422 (002003); no such table, or no right to it: see `sidecast ddl snowflake`");
  const Verdict value = judge(422, R"({"code":"100078","message":"String too long"})");
  EXPECT_EQ(value.kind, Kind::kRejected);
  EXPECT_TRUE(value.blames_content);
  EXPECT_FALSE(judge(422, R"({"code":"001999"})").blames_content);
}

TEST(SnowflakeOptions, HostileAccountsAreRefused) {
  for (const char* wrong : {"a/b", "a..b", "-a", "a.", "a@b", "evil.com/x"}) {
    EXPECT_FALSE(make_destination("snowflake", {{"account", wrong}})) << wrong;
  }
}

}  // namespace
}  // namespace sidecast
