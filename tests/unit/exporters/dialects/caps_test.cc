// What a destination cannot take is cut with a visible marker, and what remains is still valid.
#include "exporters/dialects/caps.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/base/utf8.h"
#include "exporters/registry.h"
#include "tests/unit/exporters/dialects/trace_fixture.h"

namespace sidecast {
namespace {

using nlohmann::json;

TEST(Caps, ShorterTextsPassAsTheyAre) {
  Arena arena;
  const std::string text(100, 'x');
  EXPECT_EQ(cut_value(text, 100, arena).data(), text.data());
}

TEST(Caps, LongTextsAreCutAtACharacterAndSaySo) {
  Arena arena;
  std::string text;
  for (int i = 0; i < 1'000; ++i) text += "ä";
  for (std::size_t max = 64; max < 80; ++max) {
    const Text cut = cut_value(text, max, arena);
    EXPECT_LE(cut.size(), max);
    EXPECT_TRUE(is_valid_utf8(cut));
    EXPECT_EQ(cut.substr(cut.size() - 11), " bytes cut]") << cut;
  }
}

TEST(Caps, CutJsonIsStillJsonAndKeepsItsShape) {
  Arena arena;
  const std::string text = json{{"messages",
                                 {{{"role", "system"}, {"content", std::string(5'000, 'a')}},
                                  {{"role", "user"}, {"content", "What now?"}},
                                  {{"role", "user"}, {"content", std::string(90'000, 'b')}}}}}
                               .dump();
  const Text cut = cut_value(text, 2'048, arena);
  EXPECT_LE(cut.size(), 2'048U);
  EXPECT_GT(cut.size(), 500U) << "what fits is kept";
  const json kept = json::parse(cut);
  EXPECT_EQ(kept["messages"][1]["content"], "What now?");
  EXPECT_NE(kept["messages"][2]["content"].get<std::string>().find(" bytes cut]"),
            std::string::npos);
}

TEST(Caps, JsonOfManySmallValuesBecomesItsBeginning) {
  Arena arena;
  json numbers = json::array();
  for (int i = 0; i < 10'000; ++i) numbers.push_back(i);
  const std::string text = numbers.dump();
  for (const std::size_t max : {64U, 100U, 4'095U}) {
    const Text cut = cut_value(text, max, arena);
    EXPECT_LE(cut.size(), max);
    EXPECT_NE(json::parse(cut)["cut"].get<std::string>().find("bytes cut]"), std::string::npos);
  }
}

TEST(Caps, HostileNestingAndBrokenJsonAreCutAsText) {
  Arena arena;
  const std::string deep = std::string(600, '[') + std::string(600, ']');
  EXPECT_LE(cut_value(deep, 200, arena).size(), 200U);
  const std::string broken = "{" + std::string(1'000, 'x');
  EXPECT_LE(cut_value(broken, 200, arena).size(), 200U);
}

TEST(Caps, NamesListsAndCountsAreBoundAndCounted) {
  Arena arena;
  Span span(arena);
  const std::string long_name(300, 'n');
  const std::vector<Text> list(100, "x");
  span.attributes.push_back({long_name, Text("gone")});
  span.attributes.push_back({"list", std::span<const Text>(list)});
  for (const Text key : {"a", "b", "c"}) span.attributes.push_back({key, std::int64_t{1}});
  apply_caps({.name_bytes_max = 255, .value_bytes_max = 0, .list_values_max = 64, .count_max = 3},
             span, arena);
  ASSERT_EQ(span.attributes.size(), 3U);
  EXPECT_EQ(span.attributes[0].key, "list");
  EXPECT_EQ(std::get<std::span<const Text>>(span.attributes[0].value).size(), 64U);
  EXPECT_EQ(span.dropped_attributes, 2U);
}

TEST(Caps, HoldInEveryDialectForEverySpanAndEvent) {
  DialectOptions options;
  options.caps = {
      .name_bytes_max = 60, .value_bytes_max = 100, .list_values_max = 1, .count_max = 20};
  const std::string long_text(10'000, 'z');
  for (const DialectEntry& dialect : dialects()) {
    Arena arena;
    Trace trace = chat_trace(arena);
    trace.settings.trace_name = "root";
    trace.input_messages[0].parts[0].text = long_text;
    trace.outcome = {500, true, false, "server", long_text};
    trace.metadata.push_back({long_text, Text("value"), false});
    const SpanSet set = dialect.write(trace, options, arena);
    for (const Span& span : set.spans) {
      EXPECT_LE(span.attributes.size(), 20U);
      EXPECT_LE(span.status_message.size(), 100U);
      const auto check = [&](const ArenaVector<Attribute>& attributes) {
        for (const Attribute& attribute : attributes) {
          EXPECT_LE(attribute.key.size(), 60U) << dialect.name;
          if (const auto* text = std::get_if<Text>(&attribute.value)) {
            EXPECT_LE(text->size(), 100U) << dialect.name << " " << attribute.key;
          }
        }
      };
      check(span.attributes);
      for (const SpanEvent& event : span.events) check(event.attributes);
    }
  }
}

}  // namespace
}  // namespace sidecast
