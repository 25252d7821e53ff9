// Requests of each destination type: every record once, secrets only where they are authorised.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/exporters/conformance.h"

namespace sidecast::conformance {
namespace {

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

}  // namespace
}  // namespace sidecast::conformance
