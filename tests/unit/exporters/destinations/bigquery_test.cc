// BigQuery: the signed token request, insertAll's shape, and a fate for each row.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/exporters/destinations/native_fixture.h"
#include "tests/unit/exporters/destinations/service_account.h"

namespace sidecast {
namespace {

using Kind = Verdict::Kind;
using nlohmann::json;

std::unique_ptr<const Exporter> bigquery(const OptionChanges& changes = {}) {
  OptionChanges all = {{"project_id", "acme-1"}, {"compression", "none"}};
  all.insert(all.end(), changes.begin(), changes.end());
  auto made = make_destination("bigquery", all);
  EXPECT_TRUE(made) << made.error().message();
  return std::move(*made);
}

Request request_of(const Exporter& exporter, std::size_t rows) {
  auto requests = exporter.encode(
      frozen_batch(exporter.format(), std::vector<std::string>(rows, R"({"insertId":"g"})")));
  EXPECT_TRUE(requests);
  return std::move(requests->at(0));
}

std::string from_base64url(std::string text) {
  for (char& c : text) c = c == '-' ? '+' : c == '_' ? '/' : c;
  const std::size_t padding = (4 - text.size() % 4) % 4;
  text.append(padding, '=');
  std::string bytes(text.size(), '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  bytes.resize(static_cast<std::size_t>(size) - padding);
  return bytes;
}

Secrets key_of(const std::string& email) {
  Secrets secrets;
  secrets.emplace("service_account_key",
                  Secret(test::service_account_key(email, "https://token.example.com/t")));
  return secrets;
}

TEST(BigQueryToken, IsBoughtWithASignedAssertion) {
  const auto exporter = bigquery();
  const auto wanted = exporter->token_request(key_of("me@example.com"), kTestNow);
  ASSERT_TRUE(wanted);
  ASSERT_TRUE(*wanted);
  const Request& request = **wanted;
  EXPECT_EQ(request.url, "https://token.example.com/t");
  EXPECT_EQ(header_of(request, "content-type"), "application/x-www-form-urlencoded");
  const std::string body = body_of(request);
  const std::string before =
      "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
  ASSERT_TRUE(body.starts_with(before)) << body;
  const std::string assertion = body.substr(before.size());
  const std::size_t first = assertion.find('.');
  const std::size_t second = assertion.rfind('.');
  EXPECT_EQ(json::parse(from_base64url(assertion.substr(0, first))),
            json::parse(R"({"alg":"RS256","typ":"JWT","kid":"k1"})"));
  EXPECT_EQ(json::parse(from_base64url(assertion.substr(first + 1, second - first - 1))),
            json::parse(R"({"iss":"me@example.com","aud":"https://token.example.com/t",
                            "scope":"https://www.googleapis.com/auth/bigquery",
                            "iat":1700000100,"exp":1700003700})"));
  const std::string message = assertion.substr(0, second);
  const std::string signature = from_base64url(assertion.substr(second + 1));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  ASSERT_EQ(
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, test::test_rsa_key()), 1);
  EXPECT_EQ(
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                       signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                       message.size()),
      1);
}

TEST(BigQueryToken, IsKeptForItsTimeAndForItsKey) {
  const auto exporter = bigquery();
  const Secrets secrets = key_of("me@example.com");
  Request request = request_of(*exporter, 1);
  EXPECT_FALSE(exporter->authorise(request, secrets, kTestNow)) << "no token yet";
  const auto wanted = exporter->token_request(secrets, kTestNow);
  const Response answer = answer_of(200, R"({"access_token":"t1","expires_in":3600})");
  ASSERT_EQ(exporter->take_token(**wanted, answer, kTestNow).kind, Kind::kDelivered);
  ASSERT_TRUE(exporter->authorise(request, secrets, kTestNow));
  EXPECT_EQ(header_of(request, "authorization"), "Bearer t1");
  EXPECT_FALSE(*exporter->token_request(secrets, kTestNow + std::chrono::minutes(54)));
  EXPECT_TRUE(*exporter->token_request(secrets, kTestNow + std::chrono::minutes(56)));
  const Secrets others = key_of("you@example.com");
  EXPECT_TRUE(*exporter->token_request(others, kTestNow)) << "bought with another key";
  EXPECT_FALSE(exporter->authorise(request, others, kTestNow));
  static_cast<void>(exporter->judge(request, answer_of(401), kTestNow));
  EXPECT_TRUE(*exporter->token_request(secrets, kTestNow)) << "it was refused";
}

TEST(BigQueryToken, HostileKeysAndAnswersAreRefusedWithoutQuotingThem) {
  const auto exporter = bigquery();
  for (const char* wrong :
       {"", "nonsense", "{}", R"({"client_email":"tulip","private_key":"tulip"})",
        R"({"client_email":"tulip","private_key":"tulip","token_uri":"tulip"})"}) {
    Secrets secrets;
    secrets.emplace("service_account_key", Secret(wrong));
    const auto wanted = exporter->token_request(secrets, kTestNow);
    ASSERT_FALSE(wanted) << wrong;
    EXPECT_EQ(wanted.error().message().find("tulip"), std::string::npos);
    EXPECT_NE(wanted.error().message().find("service_account_key"), std::string::npos);
  }
  const auto wanted = exporter->token_request(key_of("me@example.com"), kTestNow);
  EXPECT_EQ(exporter->take_token(**wanted, answer_of(200, "{}"), kTestNow).kind, Kind::kPause);
  EXPECT_EQ(
      exporter->take_token(**wanted, answer_of(400, R"({"error":"invalid_grant"})"), kTestNow).kind,
      Kind::kPause);
  EXPECT_EQ(exporter->take_token(**wanted, answer_of(503), kTestNow).kind, Kind::kRetry);
}

TEST(BigQueryRequest, IsInsertAll) {
  const Request request = request_of(*bigquery({{"dataset", "d"}, {"table", "t"}}), 2);
  EXPECT_EQ(request.url,
            "https://bigquery.googleapis.com/bigquery/v2/projects/acme-1/datasets/d/tables/t/"
            "insertAll");
  EXPECT_EQ(body_of(request), R"({"skipInvalidRows":true,"ignoreUnknownValues":true,"rows":[)"
                              R"({"insertId":"g"},{"insertId":"g"}]})");
}

TEST(BigQueryRequest, ARowHasAnIdAndJsonAsTexts) {
  Arena arena;
  const json row = json::parse(encoded_record(*bigquery(), chat_trace(arena)));
  EXPECT_EQ(row.at("insertId"), "gen-1");
  EXPECT_EQ(row.at("json").at("start_time"), "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(json::parse(row.at("json").at("input").get<std::string>()).at("messages").size(), 2U);
  EXPECT_EQ(row.at("json").at("tags"), json::parse(R"(["red","blue"])"));
}

Verdict judge(int status, const std::string& body, std::size_t rows = 3) {
  const auto exporter = bigquery();
  return exporter->judge(request_of(*exporter, rows), answer_of(status, body), kTestNow);
}

TEST(BigQueryAnswer, NamesEachRowsFate) {
  const Verdict verdict =
      judge(200, R"({"kind":"bigquery#tableDataInsertAllResponse","insertErrors":[)"
                 R"({"index":2,"errors":[{"reason":"backendError"}]},)"
                 R"({"index":0,"errors":[{"reason":"invalid","message":"no such field"}]}]})");
  EXPECT_EQ(verdict.kind, Kind::kPartial);
  EXPECT_EQ(verdict.items,
            (std::vector<ItemFate>{ItemFate::kRejected, ItemFate::kDelivered, ItemFate::kRetry}));
  EXPECT_EQ(verdict.explanation, "HTTP 200 (backendError); rows refused: 1, to be sent again: 1");
}

TEST(BigQueryAnswer, RowsThatWereStoppedForAnothersSakeAreSentAgain) {
  const Verdict verdict =
      judge(200, R"({"insertErrors":[{"index":0,"errors":[{"reason":"invalid"}]},
      {"index":1,"errors":[{"reason":"stopped"}]},{"index":2,"errors":[{"reason":"stopped"}]},
      {"index":99,"errors":[{"reason":"invalid"}]}]})");
  EXPECT_EQ(verdict.items,
            (std::vector<ItemFate>{ItemFate::kRejected, ItemFate::kRetry, ItemFate::kRetry}));
}

TEST(BigQueryAnswer, AnAccountWithoutTheRightFailsTheProbe) {
  const auto exporter = bigquery();
  const auto probed = [&](const std::string& body) {
    return exporter->judge(exporter->probe(kTestNow), answer_of(200, body), kTestNow);
  };
  EXPECT_EQ(probed(R"({"permissions":["bigquery.tables.updateData"]})").kind, Kind::kDelivered);
  EXPECT_EQ(probed(R"({"permissions":["bigquery.tables.get"]})").kind, Kind::kPause);
  EXPECT_EQ(probed("{}").kind, Kind::kPause);
  EXPECT_EQ(probed("{}").explanation,
            "HTTP 200; the account lacks bigquery.tables.updateData on the table");
}

TEST(BigQueryAnswer, AQuotaIsNoMatterOfCredentials) {
  EXPECT_EQ(judge(403, R"({"error":{"code":403,"errors":[{"reason":"quotaExceeded"}]}})").kind,
            Kind::kRetry);
  EXPECT_EQ(judge(403, R"({"error":{"code":403,"errors":[{"reason":"accessDenied"}]}})").kind,
            Kind::kPause);
  EXPECT_EQ(judge(404, R"({"error":{"code":404,"errors":[{"reason":"notFound"}]}})").explanation,
            "HTTP 404 (notFound); check project, dataset, table and the account's role");
}

}  // namespace
}  // namespace sidecast
