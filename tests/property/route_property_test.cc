// Filters and sampling over every recorded exchange: the laws that hold for any rule and any
// record. Rules are drawn from what the records hold, so that they often fit.
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <re2/re2.h>

#include "engine/route/filter.h"
#include "engine/route/sampling.h"
#include "tests/support/exchanges.h"
#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

using F = FilterField;
using Op = FilterOperator;

constexpr F kTextFields[] = {F::kModel,      F::kProvider,     F::kSessionId, F::kUserId,
                             F::kApiKeyName, F::kFinishReason, F::kInput,     F::kOutput};
constexpr F kNumbers[] = {F::kTotalCost, F::kTotalTokens, F::kPromptTokens, F::kCompletionTokens};

bool holds(const Trace& trace, const FilterRules& rules) {
  return Filter(rules).takes(trace);
}
bool holds(const Trace& trace, F field, Op compare, const std::string& text, double number = 0) {
  return holds(trace, {FilterLogic::kAnd, {{FilterLogic::kAnd, {{field, compare, text, number}}}}});
}

// A piece of something the record says, or of nothing.
std::string any_piece(const Trace& trace, std::mt19937& random) {
  std::vector<Text> texts = {trace.model_requested, trace.model_served, trace.provider,
                             trace.input_value.substr(0, 500), "nothing of the kind"};
  for (const Message& message : trace.output_messages) {
    for (const Part& part : message.parts) texts.push_back(part.text.substr(0, 500));
  }
  for (const Text reason : trace.finish_reasons) texts.push_back(reason);
  const Text text = texts[random() % texts.size()];
  if (text.empty()) return "x";
  const std::size_t first = random() % 2 == 0 ? 0 : random() % text.size();
  const std::size_t size = random() % 2 == 0 ? text.size() : 1 + random() % 20;
  return std::string(text.substr(first, size));
}

void expect_text_laws(const Trace& trace, F field, const std::string& text) {
  const auto is = [&](Op compare) { return holds(trace, field, compare, text); };
  ASSERT_NE(is(Op::kEquals), is(Op::kNotEquals));
  ASSERT_NE(is(Op::kContains), is(Op::kNotContains));
  ASSERT_NE(is(Op::kExists), is(Op::kNotExists));
  if (is(Op::kEquals)) {
    ASSERT_TRUE(is(Op::kStartsWith) && is(Op::kEndsWith));
  }
  if (is(Op::kStartsWith) || is(Op::kEndsWith)) {
    ASSERT_TRUE(is(Op::kContains));
  }
  if (is(Op::kContains)) {
    ASSERT_TRUE(is(Op::kExists));
  }
  // The bytes of a piece may be cut inside a character, which no expression can name.
  const std::string literal = "\\C*" + re2::RE2::QuoteMeta(text);
  if (const re2::RE2 valid(literal, re2::RE2::Quiet); valid.ok()) {
    ASSERT_EQ(holds(trace, field, Op::kRegex, re2::RE2::QuoteMeta(text)), is(Op::kContains));
  }
}

void expect_number_laws(const Trace& trace, F field, double number) {
  const auto is = [&](Op compare) { return holds(trace, field, compare, "", number); };
  ASSERT_NE(is(Op::kEquals), is(Op::kNotEquals));
  ASSERT_NE(is(Op::kExists), is(Op::kNotExists));
  ASSERT_EQ(is(Op::kGreaterOrEqual), is(Op::kGreater) || is(Op::kEquals));
  ASSERT_EQ(is(Op::kLessOrEqual), is(Op::kLess) || is(Op::kEquals));
  ASSERT_EQ(is(Op::kGreater) + is(Op::kEquals) + is(Op::kLess), is(Op::kExists) ? 1 : 0);
}

// Two rules in both logics, against the rules alone.
void expect_group_laws(const Trace& trace, const FilterRule& one, const FilterRule& two) {
  const bool a = holds(trace, {FilterLogic::kAnd, {{FilterLogic::kAnd, {one}}}});
  const bool b = holds(trace, {FilterLogic::kAnd, {{FilterLogic::kAnd, {two}}}});
  for (const FilterLogic other : {FilterLogic::kAnd, FilterLogic::kOr}) {
    ASSERT_EQ(holds(trace, {other, {{FilterLogic::kAnd, {one, two}}}}), a && b);
    ASSERT_EQ(holds(trace, {other, {{FilterLogic::kOr, {one, two}}}}), a || b);
  }
  ASSERT_EQ(
      holds(trace, {FilterLogic::kAnd, {{FilterLogic::kOr, {one}}, {FilterLogic::kOr, {two}}}}),
      a && b);
  ASSERT_EQ(
      holds(trace, {FilterLogic::kOr, {{FilterLogic::kAnd, {one}}, {FilterLogic::kAnd, {two}}}}),
      a || b);
}

TEST(FilterLaws, HoldForEveryRecordedExchange) {
  std::mt19937 random(20260101);
  RecordFixture fixture;
  std::size_t seen = 0;
  std::size_t fitted = 0;
  const bool is_there = test::for_each_exchange("exchanges.jsonl.gz", [&](const auto& exchange) {
    ++seen;
    fixture.record = {};
    fixture.record.provider = exchange.provider;
    fixture.record.http_status = exchange.status;
    const Trace trace = fixture.normalise(exchange.request, exchange.response, exchange.operation);
    const std::string text = any_piece(trace, random);
    const F field = kTextFields[random() % std::size(kTextFields)];
    expect_text_laws(trace, field, text);
    if (holds(trace, field, Op::kContains, text)) ++fitted;
    const F number_field = kNumbers[random() % std::size(kNumbers)];
    const double number =
        static_cast<double>(trace.usage.input.value_or(7)) + static_cast<double>(random() % 3) - 1;
    expect_number_laws(trace, number_field, number);
    expect_group_laws(trace, {field, Op::kContains, text, 0},
                      {number_field, Op::kGreaterOrEqual, "", number});
  });
  if (!is_there) GTEST_SKIP() << "no recorded exchanges";
  EXPECT_GT(seen, 1000U);
  EXPECT_GT(fitted, seen / 20) << "rules that never fit show nothing";
}

// Six standard deviations of a fair coin of that rate.
void expect_share(std::size_t kept, std::size_t count, double rate) {
  const double expected = static_cast<double>(count) * rate;
  EXPECT_NEAR(static_cast<double>(kept), expected, 6 * std::sqrt(expected * (1 - rate)) + 1)
      << rate;
}

TEST(SamplingLaws, UniformForIdsOf64And128BitsWhateverTheirSpelling) {
  constexpr std::size_t kIds = 20'000;
  std::mt19937_64 random(20260102);
  const auto hex = [](std::uint64_t number) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
    return std::string(text);
  };
  // Random, counted up in the low bits, in the high bits, and the same with one half fixed.
  const std::function<std::string(std::uint64_t)> spellings[] = {
      [&](std::uint64_t) { return hex(random()); },
      [&](std::uint64_t n) { return hex(n); },
      [&](std::uint64_t n) { return hex(n << 44U); },
      [&](std::uint64_t) { return hex(random()) + hex(random()); },
      [&](std::uint64_t n) { return std::string(16, '0') + hex(n); },
      [&](std::uint64_t n) { return hex(n) + std::string(16, '0'); },
      [&](std::uint64_t n) { return hex(0x0192f3c45d6e7000U + n / 100) + hex(random()); },
  };
  for (const auto& spell : spellings) {
    for (const double rate : {0.01, 0.25, 0.5, 0.9}) {
      const Sampling sampling(rate, "");
      std::size_t kept = 0;
      for (std::uint64_t n = 0; n < kIds; ++n) {
        if (sampling.keeps(spell(n), {})) ++kept;
      }
      expect_share(kept, kIds, rate);
    }
  }
}

}  // namespace
}  // namespace sidecast
