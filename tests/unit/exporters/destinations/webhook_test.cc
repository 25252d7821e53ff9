// Webhook: OTLP JSON by either method, and its connection test.
#include <gtest/gtest.h>

#include "tests/unit/exporters/destinations/native_fixture.h"

namespace sidecast {
namespace {

using Kind = Verdict::Kind;

std::unique_ptr<const Exporter> webhook(const OptionChanges& changes = {},
                                        const OptionChanges& headers = {}) {
  OptionChanges all = {{"endpoint", "https://hooks.example.com/in?source=a"}};
  all.insert(all.end(), changes.begin(), changes.end());
  auto made = make_destination("webhook", all, headers);
  EXPECT_TRUE(made) << made.error().message();
  return std::move(*made);
}

TEST(WebhookRequest, IsOtlpJsonToTheUrlAsItStands) {
  const auto exporter = webhook({{"method", "PUT"}}, {{"X-Signature", "fixed"}});
  Request request = exporter->encode(frozen_batch(exporter->format(), {"{}"}))->at(0);
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.url, "https://hooks.example.com/in?source=a");
  EXPECT_EQ(header_of(request, "content-type"), "application/json");
  EXPECT_EQ(header_of(request, "X-Signature"), "fixed");
  EXPECT_EQ(header_of(request, "content-encoding"), "");
  EXPECT_EQ(body_of(request), R"({"resourceSpans":[{}]})");
  EXPECT_EQ(exporter->format().limits.batch_records_max, 1U);
  Secrets secrets;
  secrets.emplace("authorization", Secret("Bearer x"));
  ASSERT_TRUE(exporter->authorise(request, secrets, kTestNow));
  EXPECT_EQ(header_of(request, "authorization"), "Bearer x");
}

TEST(WebhookProbe, IsAnEmptyRequestThatMayBeCalledWrong) {
  const auto exporter = webhook();
  const Request probe = exporter->probe(kTestNow);
  EXPECT_EQ(header_of(probe, "x-test-connection"), "true");
  EXPECT_EQ(body_of(probe), R"({"resourceSpans":[]})");
  EXPECT_EQ(exporter->judge(probe, answer_of(400), kTestNow).kind, Kind::kDelivered);
  EXPECT_EQ(exporter->judge(probe, answer_of(404), kTestNow).kind, Kind::kPause);
  const Request request = exporter->encode(frozen_batch(exporter->format(), {"{}"}))->at(0);
  EXPECT_EQ(exporter->judge(request, answer_of(400), kTestNow).kind, Kind::kRejected);
}

}  // namespace
}  // namespace sidecast
