// Supabase: rows for PostgREST, and PostgreSQL's codes.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/exporters/destinations/native_fixture.h"

namespace sidecast {
namespace {

using Kind = Verdict::Kind;
using nlohmann::json;

std::unique_ptr<const Exporter> supabase(const OptionChanges& changes = {}) {
  OptionChanges all = {{"endpoint", "https://ref.supabase.co"}};
  all.insert(all.end(), changes.begin(), changes.end());
  auto made = make_destination("supabase", all);
  EXPECT_TRUE(made) << made.error().message();
  return std::move(*made);
}

TEST(SupabaseRequest, IsAnArrayOfRowsThatIgnoresDuplicates) {
  const auto exporter = supabase();
  Request request = exporter->encode(frozen_batch(exporter->format(), {"{}", "{}"}))->at(0);
  EXPECT_EQ(request.url,
            "https://ref.supabase.co/rest/v1/sidecast_traces?on_conflict=trace_id,span_id");
  EXPECT_EQ(header_of(request, "prefer"), "return=minimal,resolution=ignore-duplicates");
  EXPECT_EQ(header_of(request, "content-profile"), "public");
  EXPECT_EQ(body_of(request), "[{},{}]");
  Secrets secrets;
  secrets.emplace("api_key", Secret("k"));
  ASSERT_TRUE(exporter->authorise(request, secrets, kTestNow));
  EXPECT_EQ(header_of(request, "apikey"), "k");
  EXPECT_EQ(header_of(request, "authorization"), "Bearer k");
  EXPECT_EQ(supabase({{"path", "/"}})->probe(kTestNow).url,
            "https://ref.supabase.co/sidecast_traces?on_conflict=trace_id,span_id");
}

TEST(SupabaseRow, EveryRowHasTheSameKeys) {
  Arena arena;
  Trace empty(arena);
  empty.identity.generation_id = "g";
  const json full = json::parse(encoded_record(*supabase(), chat_trace(arena)));
  const json bare = json::parse(encoded_record(*supabase(), empty));
  EXPECT_EQ(full.size(), 39U);
  for (const auto& [name, value] : full.items()) EXPECT_TRUE(bare.contains(name)) << name;
  EXPECT_TRUE(bare.at("input").is_null());
  EXPECT_EQ(full.at("input").at("messages").size(), 2U);
}

TEST(SupabaseRow, HoldsNoZeroByteWhichPostgresCannotStore) {
  Arena arena;
  Trace trace = chat_trace(arena);
  trace.identity.user_id =
      std::string_view("a\0b\\u0000", 9);  // a zero byte, and six plain letters
  const std::string text = encoded_record(*supabase(), trace);
  EXPECT_EQ(json::parse(text).at("user_id"),
            "a\xef\xbf\xbd"
            "b\\u0000");
}

TEST(SupabaseAnswer, CodesSayWhoIsToBlame) {
  const auto exporter = supabase();
  const auto judge = [&](int status, const std::string& code) {
    return exporter->judge(exporter->probe(kTestNow),
                           answer_of(status, R"({"code":")" + code + R"(","message":"m"})"),
                           kTestNow);
  };
  EXPECT_EQ(judge(404, "PGRST205").kind, Kind::kPause);
  EXPECT_EQ(judge(400, "42703").kind, Kind::kPause);
  EXPECT_EQ(judge(500, "57014").kind, Kind::kRetry);
  EXPECT_EQ(judge(400, "22P02").kind, Kind::kRejected);
  EXPECT_TRUE(judge(400, "22P02").blames_content);
  EXPECT_EQ(judge(201, "").kind, Kind::kDelivered);
}

}  // namespace
}  // namespace sidecast
