// The opt-in metadata groups: absent unless asked for, in the dialect's own place for metadata, and
// nothing of the user's is overwritten.
#include "exporters/dialects/generation_metadata.h"

#include <string>

#include <gtest/gtest.h>

#include "exporters/registry.h"
#include "exporters/write.h"

namespace sidecast {
namespace {

std::string written(std::uint8_t groups, std::string_view dialect, bool privacy = false) {
  Arena arena;
  Trace trace(arena);
  trace.identity.generation_id = "gen-1";
  trace.identity.user_id = "user-9";
  trace.model_requested = "asked-model";
  trace.usage.input = 321;
  trace.usage.output = 54;
  trace.cost.total = 0.125;
  trace.facts.push_back({.key = "is_byok", .value = true});
  trace.facts.push_back({.key = "upstream_inference_cost", .value = 0.0625});
  trace.metadata.push_back({.key = "openrouter_generation.model", .value = Text("the user's own")});
  Message& asked = trace.input_messages.emplace_back(arena);
  asked.role = "user";
  asked.parts.emplace_back().text = "a question";
  Format format;
  format.dialect = find_dialect(dialect);
  format.encoder = find_encoder("otlp_json");
  format.dialect_options.generation_metadata = groups;
  ByteBuffer out;
  write_record(trace, format, {.enabled = privacy}, arena, out);
  return std::string(out.view());
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(GenerationMetadata, IsAbsentUnlessAskedFor) {
  const std::string text = written(0, "generic");
  for (const char* name : {"usage", "external_user", "tokens_prompt", "streamed", "is_byok"}) {
    EXPECT_FALSE(has(text, std::string("openrouter_generation.") + name));
  }
}

TEST(GenerationMetadata, EachGroupAddsItsOwn) {
  const std::string cost = written(kGenerationCost, "generic");
  EXPECT_TRUE(
      has(cost,
          R"({"key":"trace.metadata.openrouter_generation.usage","value":{"doubleValue":0.125}})"));
  EXPECT_TRUE(has(cost, "trace.metadata.openrouter_generation.usage_upstream"));
  EXPECT_FALSE(has(cost, "openrouter_generation.external_user"));
  const std::string identity = written(kGenerationIdentity, "generic", true);
  EXPECT_TRUE(has(identity, "openrouter_generation.external_user")) << "privacy mode keeps it";
  EXPECT_FALSE(has(identity, "a question"));
  const std::string context = written(kGenerationRequestContext, "generic");
  for (const char* name : {"tokens_prompt", "tokens_completion", "streamed", "is_byok"}) {
    EXPECT_TRUE(has(context, std::string("openrouter_generation.") + name)) << name;
  }
  EXPECT_TRUE(has(context, "the user's own"));
  EXPECT_TRUE(has(context, "a question"));
}

TEST(GenerationMetadata, EveryDialectHasAPlaceForIt) {
  for (const DialectEntry& dialect : dialects()) {
    EXPECT_TRUE(has(written(kGenerationRequestContext, dialect.name),
                    "openrouter_generation.tokens_prompt"))
        << dialect.name;
  }
}

TEST(GenerationMetadata, ItsNamesAreCheckedAndGroupsApart) {
  EXPECT_EQ(*parse_generation_metadata(""), 0);
  EXPECT_EQ(*parse_generation_metadata("cost, identity,request_context"), 7);
  const auto wrong = parse_generation_metadata("cost,idenity");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message().find("generation_metadata"), 0U);
  DialectOptions with;
  with.generation_metadata = kGenerationCost;
  EXPECT_FALSE(with == DialectOptions()) << "who wants it shares no group with who does not";
}

}  // namespace
}  // namespace sidecast
