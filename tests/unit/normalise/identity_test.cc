// Whose request it was, and into which trace it belongs.
#include <string>

#include <gtest/gtest.h>

#include "engine/base/bytes.h"
#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class IdentityOf : public testing::Test, public RecordFixture {};

TEST_F(IdentityOf, TheRecordsOwnFieldsComeBeforeTheBodys) {
  const Text body =
      R"({"messages":[],"user":"body user","session_id":"body session","trace":{"trace_name":"body"}})";
  Trace trace = normalise(body, "");
  EXPECT_EQ(trace.identity.user_id, "body user");
  EXPECT_EQ(trace.identity.session_id, "body session");
  EXPECT_EQ(trace.settings.trace_name, "body");
  record.user_id = "record user";
  record.session_id = "record session";
  record.trace_json = R"({"trace_name":"record"})";
  trace = normalise(body, "");
  EXPECT_EQ(trace.identity.user_id, "record user");
  EXPECT_EQ(trace.identity.session_id, "record session");
  EXPECT_EQ(trace.settings.trace_name, "record");
}

TEST_F(IdentityOf, ATraceObjectIsTakenApart) {
  record.trace_json =
      R"({"trace_id":"app_trace_001","trace_name":"T","span_name":"S","generation_name":"G","parent_span_id":"00F067AA0BA902B7",
        "environment":"prod","n":3,"f":1.5,"b":true,"z":null,"o":{"k":[1]},"tags":["x","y"]})";
  const Trace trace = normalise();
  const TraceSettings& settings = trace.settings;
  EXPECT_EQ(settings.trace_name, "T");
  EXPECT_EQ(settings.span_name, "S");
  EXPECT_EQ(settings.generation_name, "G");
  ASSERT_TRUE(settings.parent_span_id.has_value());
  EXPECT_EQ(to_hex(settings.parent_span_id->view()), "00f067aa0ba902b7");
  EXPECT_EQ(to_hex(trace.trace_id.view()), "522cf1e8476223c9f6ae5d9d0f41c52e");
  EXPECT_TRUE(settings.trace_id_hashed);
  ASSERT_EQ(trace.metadata.size(), 7U);
  EXPECT_EQ(std::get<Text>(trace.metadata[0].value), "prod");
  EXPECT_EQ(std::get<std::int64_t>(trace.metadata[1].value), 3);
  EXPECT_EQ(std::get<double>(trace.metadata[2].value), 1.5);
  EXPECT_EQ(std::get<bool>(trace.metadata[3].value), true);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(trace.metadata[4].value));
  EXPECT_EQ(std::get<Text>(trace.metadata[5].value), R"({"k":[1]})");
  EXPECT_TRUE(trace.metadata[5].is_json);
  ASSERT_EQ(trace.tags.size(), 2U);
  EXPECT_EQ(trace.tags[1], "y");
}

TEST_F(IdentityOf, GivenTraceIdsAreUsedAsTheyAreUnlessHashingIsAskedFor) {
  record.trace_json = R"({"trace_id":"4BF92F3577B34DA6A3CE929D0E0E4736"})";
  Trace trace = normalise();
  EXPECT_EQ(to_hex(trace.trace_id.view()), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_FALSE(trace.settings.trace_id_hashed);
  record.trace_json = R"({"trace_id":"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"})";
  trace = normalise();
  EXPECT_EQ(to_hex(trace.trace_id.view()), "4bf92f3577b34da6a3ce929d0e0e4736");
  options.always_hash_trace_id = true;
  trace = normalise();
  EXPECT_TRUE(trace.settings.trace_id_hashed);
  EXPECT_EQ(trace.trace_id, hash_trace_id("4bf92f35-77b3-4da6-a3ce-929d0e0e4736"));
}

TEST_F(IdentityOf, AParentThatIsNoSpanIdStaysText) {
  record.trace_json = R"({"parent_span_id":"my span"})";
  const Trace trace = normalise();
  EXPECT_FALSE(trace.settings.parent_span_id.has_value());
  EXPECT_EQ(trace.settings.parent_span_id_text, "my span");
}

TEST_F(IdentityOf, ARecordWithoutGenerationIdIsNamedByItsPlace) {
  record.sequence = 42;
  const Trace trace = normalise();
  EXPECT_TRUE(trace.identity.generation_id_is_made);
  EXPECT_EQ(trace.identity.generation_id, "abcd0000000000000000000000000000-3-42");
  EXPECT_EQ(trace.trace_id, hash_trace_id("abcd0000000000000000000000000000-3-42"));
}

TEST_F(IdentityOf, LongIdsAreCutToCharactersAndTheCutIsCounted) {
  std::string user;
  for (int i = 0; i < 200; ++i) user += "ä";
  record.user_id = user;
  record.session_id = "short";
  const Trace trace = normalise();
  EXPECT_EQ(trace.identity.user_id.size(), 2U * 128U);
  EXPECT_EQ(trace.identity.session_id, "short");
  EXPECT_EQ(trace.ids_cut, 1U);
  EXPECT_EQ(trace.metadata_dropped, 0U);
}

TEST_F(IdentityOf, HostileMetadataIsBoundedAndCounted) {
  std::string json = "{\"" + std::string(300, 'k') + "\":1,\"long\":\"" + std::string(20'000, 'v') +
                     "\",\"deep\":[\"" + std::string(20'000, 'v') + "\"]";
  for (int i = 0; i < 10'000; ++i) json += ",\"k" + std::to_string(i) + "\":" + std::to_string(i);
  json += "}";
  record.trace_json = json;
  const Trace trace = normalise();
  EXPECT_EQ(trace.metadata.size(), 128U);
  EXPECT_EQ(std::get<Text>(trace.metadata[0].value).size(), 8192U);
  EXPECT_EQ(trace.metadata_dropped, 3U + 10'000U - 127U);
}

TEST_F(IdentityOf, AttributesKeepTheirTypes) {
  record.attributes_json = R"({"a":"x","b":2})";
  const Trace trace = normalise();
  ASSERT_EQ(trace.attributes.size(), 2U);
  EXPECT_EQ(std::get<std::int64_t>(trace.attributes[1].value), 2);
  EXPECT_TRUE(trace.metadata.empty());
}

TEST_F(IdentityOf, HostileTraceObjectsAreIgnored) {
  for (const Text json : {"nonsense", "[1,2]", "\"text\"", "{\"trace_id\":{\"x\":1}}", "{"}) {
    record.trace_json = json;
    const Trace trace = normalise();
    EXPECT_EQ(trace.settings.trace_id_text, "") << json;
  }
}

TEST_F(IdentityOf, ASessionHeaderCountsWhereNothingElseNamesASession) {
  record.attributes_json = R"({"x-session-id":"header"})";
  EXPECT_EQ(normalise().identity.session_id, "header");
  EXPECT_EQ(normalise(R"({"session_id":"body"})", "").identity.session_id, "body");
  record.session_id = "record";
  EXPECT_EQ(normalise(R"({"session_id":"body"})", "").identity.session_id, "record");
  record.session_id = {};
  record.attributes_json = R"({"x-session-id":["a"]})";
  EXPECT_EQ(normalise("{}", "").identity.session_id, "");
}

TEST_F(IdentityOf, AnEndpointIsAPathWithoutTheKeyBehindIt) {
  record.endpoint = "/v1beta/models/m:generateContent?key=AIzaCanary";
  record.attempts.push_back({.endpoint = "/v1/chat/completions?api-key=canary#a"});
  const Trace trace = normalise();
  EXPECT_EQ(trace.endpoint, "/v1beta/models/m:generateContent");
  EXPECT_EQ(trace.attempts.at(0).endpoint, "/v1/chat/completions");
}

TEST_F(IdentityOf, KeysOfMetadataHoldNoMediaEither) {
  record.trace_json = R"({"data:image/png;base64,iVBORw0KGgo=":1})";
  EXPECT_EQ(normalise().metadata.at(0).key, "[image/png, 12 bytes left out]");
}

}  // namespace
}  // namespace sidecast
