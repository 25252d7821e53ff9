#include "exporters/dialects/names.h"

#include <gtest/gtest.h>

namespace sidecast {
namespace {

TEST(Names, ProvidersByEverySpelling) {
  Arena arena;
  struct Row {
    Text given;
    Text gen_ai;
    Text openinference;
  };
  constexpr Row kRows[] = {{"OpenAI", "openai", "openai"},
                           {"Azure", "azure.ai.openai", "azure"},
                           {"azure_openai", "azure.ai.openai", "azure"},
                           {"Amazon Bedrock", "aws.bedrock", "aws"},
                           {"aws_bedrock", "aws.bedrock", "aws"},
                           {"Google Vertex", "gcp.vertex_ai", "google"},
                           {"Google AI Studio", "gcp.gemini", "google"},
                           {"mistral", "mistral_ai", "mistralai"},
                           {"xAI", "x_ai", "xai"},
                           {"MoonshotAI", "moonshot_ai", "moonshot"},
                           {"Together", "together", "together"},
                           {"My Own Cloud", "my-own-cloud", "my-own-cloud"},
                           {"", "", ""}};
  for (const Row& row : kRows) {
    const ProviderNames names = provider_names(row.given, arena);
    EXPECT_EQ(names.gen_ai, row.gen_ai) << row.given;
    EXPECT_EQ(names.openinference, row.openinference) << row.given;
  }
}

TEST(Names, HostileProviderNamesOfAnyLengthBecomeSlugs) {
  Arena arena;
  const std::string name(100'000, 'A');
  EXPECT_EQ(provider_names(name, arena).gen_ai, std::string(100'000, 'a'));
}

TEST(Names, TheModelsAuthor) {
  Arena arena;
  struct Row {
    Text requested;
    Text served;
    Text provider;
    Text system;
  };
  constexpr Row kRows[] = {
      {"anthropic/claude-3.5-sonnet", "", "Amazon Bedrock", "anthropic"},
      {"google/gemini-2.0", "gemini-2.0", "", "vertexai"},
      {"meta-llama/llama-3", "", "Together", "meta"},
      {"Qwen/qwen-2", "", "Together", "qwen"},
      {"us.anthropic.claude-3-5-haiku", "", "aws_bedrock", "anthropic"},
      {"gpt-4o", "gpt-4o-2024-08-06", "Azure", "openai"},
      {"my-model", "", "Mistral", "mistralai"},
      {"my-model", "", "My Cloud", "openai"},
  };
  for (const Row& row : kRows) {
    Trace trace(arena);
    trace.model_requested = row.requested;
    trace.model_served = row.served;
    trace.provider = row.provider;
    EXPECT_EQ(model_author(trace, arena), row.system) << row.requested << " at " << row.provider;
  }
  Trace trace(arena);
  trace.operation = Operation::kMessages;
  EXPECT_EQ(model_author(trace, arena), "anthropic") << "whose API shape it is";
}

TEST(Names, FinishReasonsHaveOneMeaningWhateverTheProvider) {
  EXPECT_EQ(normalised_finish_reason("end_turn"), "stop");
  EXPECT_EQ(normalised_finish_reason("MAX_TOKENS"), "length");
  EXPECT_EQ(normalised_finish_reason("tool_use"), "tool_calls");
  EXPECT_EQ(normalised_finish_reason("refusal"), "content_filter");
  EXPECT_EQ(normalised_finish_reason("stop"), "stop");
  EXPECT_EQ(normalised_finish_reason("novel"), "novel");
}

}  // namespace
}  // namespace sidecast
