// Filter rules: every field, every operator, both logics.
#include "engine/route/filter.h"

#include <string>

#include <gtest/gtest.h>

#include "engine/route/route.h"
#include "tests/unit/config/fake_destination.h"

namespace sidecast {
namespace {

using F = FilterField;
using Op = FilterOperator;

Message message(Arena& arena, Text role, Text text) {
  Message made(arena);
  made.role = role;
  Part part;
  part.text = text;
  made.parts.push_back(part);
  return made;
}

// A chat with two choices, from a model that was served under a longer name.
class FilterTest : public ::testing::Test {
 protected:
  FilterTest() {
    trace_.model_requested = "gpt-4o";
    trace_.model_served = "gpt-4o-2024-11-20";
    trace_.provider = "OpenAI";
    trace_.identity.session_id = "session-1";
    trace_.identity.api_key_name = "team-a";
    trace_.finish_reasons.push_back("stop");
    trace_.finish_reasons.push_back("length");
    trace_.input_messages.push_back(message(arena_, "system", "You are terse."));
    trace_.input_messages.push_back(message(arena_, "user", "What is the capital of France?"));
    trace_.output_messages.push_back(message(arena_, "assistant", "Paris."));
    trace_.cost.total = 0.25;
    trace_.usage.input = 100;
    trace_.usage.output = 7;
  }

  bool holds(FilterField field, FilterOperator compare, std::string text = "",
             double number = 0) const {
    FilterRules rules;
    rules.groups.push_back({FilterLogic::kAnd, {{field, compare, std::move(text), number}}});
    return Filter(rules).takes(trace_);
  }

  Arena arena_;
  Trace trace_{arena_};
};

TEST_F(FilterTest, TextIsComparedAsItIs) {
  EXPECT_TRUE(holds(F::kProvider, Op::kEquals, "OpenAI"));
  EXPECT_FALSE(holds(F::kProvider, Op::kEquals, "openai"));
  EXPECT_FALSE(holds(F::kProvider, Op::kNotEquals, "OpenAI"));
  EXPECT_TRUE(holds(F::kProvider, Op::kContains, "enA"));
  EXPECT_FALSE(holds(F::kProvider, Op::kNotContains, "enA"));
  EXPECT_TRUE(holds(F::kProvider, Op::kStartsWith, "Open"));
  EXPECT_FALSE(holds(F::kProvider, Op::kStartsWith, "pen"));
  EXPECT_TRUE(holds(F::kProvider, Op::kEndsWith, "AI"));
  EXPECT_FALSE(holds(F::kProvider, Op::kEndsWith, "Open"));
  EXPECT_TRUE(holds(F::kProvider, Op::kRegex, "(?i)^open"));
  EXPECT_FALSE(holds(F::kProvider, Op::kRegex, "^pen"));
  EXPECT_TRUE(holds(F::kSessionId, Op::kRegex, "[0-9]$"));
  EXPECT_TRUE(holds(F::kApiKeyName, Op::kEquals, "team-a"));
}

TEST_F(FilterTest, OneOfSeveralValuesIsEnoughAndNotMeansNone) {
  EXPECT_TRUE(holds(F::kModel, Op::kEquals, "gpt-4o"));
  EXPECT_TRUE(holds(F::kModel, Op::kEquals, "gpt-4o-2024-11-20"));
  EXPECT_FALSE(holds(F::kModel, Op::kNotEquals, "gpt-4o"));
  EXPECT_TRUE(holds(F::kModel, Op::kNotEquals, "gpt-5"));
  EXPECT_TRUE(holds(F::kFinishReason, Op::kEquals, "length"));
  EXPECT_FALSE(holds(F::kFinishReason, Op::kNotContains, "top"));
  EXPECT_TRUE(holds(F::kInput, Op::kContains, "France"));
  EXPECT_TRUE(holds(F::kInput, Op::kStartsWith, "You are"));
  EXPECT_FALSE(holds(F::kInput, Op::kContains, "Paris"));
  EXPECT_TRUE(holds(F::kOutput, Op::kEquals, "Paris."));
  EXPECT_FALSE(holds(F::kOutput, Op::kContains, "France"));
}

TEST_F(FilterTest, AnAbsentFieldFitsNothing) {
  for (const Op compare :
       {Op::kEquals, Op::kContains, Op::kStartsWith, Op::kEndsWith, Op::kRegex, Op::kExists}) {
    EXPECT_FALSE(holds(F::kUserId, compare, "x")) << static_cast<int>(compare);
  }
  EXPECT_TRUE(holds(F::kUserId, Op::kNotEquals, "x"));
  EXPECT_TRUE(holds(F::kUserId, Op::kNotContains, "x"));
  EXPECT_TRUE(holds(F::kUserId, Op::kNotExists));
  EXPECT_TRUE(holds(F::kSessionId, Op::kExists));
  EXPECT_FALSE(holds(F::kSessionId, Op::kNotExists));
  trace_.cost.total.reset();
  for (const Op compare :
       {Op::kEquals, Op::kGreater, Op::kLess, Op::kGreaterOrEqual, Op::kLessOrEqual, Op::kExists}) {
    EXPECT_FALSE(holds(F::kTotalCost, compare, "", 0)) << static_cast<int>(compare);
  }
  EXPECT_TRUE(holds(F::kTotalCost, Op::kNotEquals, "", 0));
  EXPECT_TRUE(holds(F::kTotalCost, Op::kNotExists));
}

TEST_F(FilterTest, NumbersAreCompared) {
  EXPECT_TRUE(holds(F::kTotalCost, Op::kEquals, "", 0.25));
  EXPECT_TRUE(holds(F::kTotalCost, Op::kGreater, "", 0.2));
  EXPECT_FALSE(holds(F::kTotalCost, Op::kGreater, "", 0.25));
  EXPECT_TRUE(holds(F::kTotalCost, Op::kGreaterOrEqual, "", 0.25));
  EXPECT_TRUE(holds(F::kPromptTokens, Op::kLess, "", 101));
  EXPECT_FALSE(holds(F::kPromptTokens, Op::kLess, "", 100));
  EXPECT_TRUE(holds(F::kPromptTokens, Op::kLessOrEqual, "", 100));
  EXPECT_TRUE(holds(F::kCompletionTokens, Op::kNotEquals, "", 8));
  EXPECT_TRUE(holds(F::kTotalTokens, Op::kEquals, "", 107)) << "their sum, where none was reported";
  trace_.usage.total = 110;
  EXPECT_TRUE(holds(F::kTotalTokens, Op::kEquals, "", 110));
}

TEST_F(FilterTest, BodiesThatWereNotTakenApartAreSearchedWhole) {
  trace_.input_messages.clear();
  trace_.output_messages.clear();
  EXPECT_TRUE(holds(F::kInput, Op::kNotExists));
  trace_.input_value = R"({"custom":"body"})";
  trace_.output_value = "plain";
  EXPECT_TRUE(holds(F::kInput, Op::kContains, "custom"));
  EXPECT_TRUE(holds(F::kOutput, Op::kEquals, "plain"));
}

TEST_F(FilterTest, GroupsAndTheirLogic) {
  const FilterRule yes{F::kProvider, Op::kEquals, "OpenAI", 0};
  const FilterRule no{F::kProvider, Op::kEquals, "Other", 0};
  constexpr FilterLogic kAnd = FilterLogic::kAnd;
  constexpr FilterLogic kOr = FilterLogic::kOr;
  const auto takes = [this](const FilterRules& rules) { return Filter(rules).takes(trace_); };
  EXPECT_TRUE(takes({}));
  EXPECT_TRUE(takes({kAnd, {{kAnd, {yes, yes}}}}));
  EXPECT_FALSE(takes({kAnd, {{kAnd, {yes, no}}}}));
  EXPECT_TRUE(takes({kAnd, {{kOr, {no, yes}}}}));
  EXPECT_FALSE(takes({kAnd, {{kOr, {no, no}}}}));
  EXPECT_FALSE(takes({kAnd, {{kAnd, {yes}}, {kAnd, {no}}}}));
  EXPECT_TRUE(takes({kOr, {{kAnd, {yes}}, {kAnd, {no}}}}));
  EXPECT_TRUE(takes({kAnd, {{kOr, {yes, no}}, {kAnd, {yes}}}}));
  EXPECT_FALSE(takes({kOr, {{kAnd, {yes, no}}, {kOr, {no}}}}));
}

TEST_F(FilterTest, HostileExpressionsTakeLinearTime) {
  const std::string hostile(100'000, 'a');
  trace_.input_messages.push_back(message(arena_, "user", hostile));
  EXPECT_FALSE(holds(F::kInput, Op::kRegex, "(a*)*(a|aa)*(a|a?)+b$"));
}

// ---- In the router ------------------------------------------------------------------------------

DestinationConfig destination() {
  DestinationConfig config;
  config.name = config.group = "a";
  config.type = &test::kFake;
  config.exporter = std::make_shared<const test::FakeExporter>(Compression::kNone);
  return config;
}

Decision decision(const DestinationConfig& config, const RouteKey& key) {
  const Router router(std::span(&config, 1));
  std::vector<Routed> routed;
  return router.route(key, routed).front().decision;
}

TEST_F(FilterTest, WhatTheRulesRefuseIsFilteredBeforeItIsSampled) {
  DestinationConfig config = destination();
  config.sampling_rate = 0.0001;
  config.filter_rules.groups.push_back(
      {FilterLogic::kAnd, {{F::kProvider, Op::kEquals, "Other", 0}}});
  EXPECT_EQ(decision(config, {.trace = &trace_}), Decision::kFiltered);
  EXPECT_EQ(decision(config, {}), Decision::kFiltered) << "of nothing, nothing is known";
  config.sampling_rate = 1;
  config.filter_rules.groups[0].rules[0].text = "OpenAI";
  EXPECT_EQ(decision(config, {.trace = &trace_}), Decision::kRouted);
}

TEST(Regions, AreNamesOrWhatStandsBeforeAHyphen) {
  DestinationConfig config = destination();
  const auto is_routed = [&config](Text region) {
    return decision(config, {.region = region}) == Decision::kRouted;
  };
  EXPECT_TRUE(is_routed("anywhere"));
  config.regions = {"europe"};
  for (const Text region : {"eu", "EU", "europe", "eu-west-1", "europe-west4", "eu_central"}) {
    EXPECT_TRUE(is_routed(region)) << region;
  }
  for (const Text region : {"", "us", "us-east-1", "eucalyptus", "global"}) {
    EXPECT_FALSE(is_routed(region)) << region;
  }
  config.regions = {"global", "us"};
  for (const Text region : {"", "global", "us-east-1", "US"}) EXPECT_TRUE(is_routed(region));
  EXPECT_FALSE(is_routed("eu"));
  config.regions = {"ap-south-1"};
  EXPECT_TRUE(is_routed("ap-south-1"));
  EXPECT_FALSE(is_routed("ap-south-2"));
}

}  // namespace
}  // namespace sidecast
