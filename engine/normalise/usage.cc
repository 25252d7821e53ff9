#include "engine/normalise/usage.h"

#include <array>
#include <charconv>

namespace sidecast {
namespace {

using Count = std::optional<std::int64_t>;

// What no model ever counted is no count; so sums of a few cannot overflow.
constexpr std::int64_t kCountMax = std::int64_t{1} << 53U;

void set(Count& to, JsonValue value) noexcept {
  const Count count = value.integer();
  if (count && *count >= 0 && *count <= kCountMax) to = count;
}

void set(std::optional<double>& to, JsonValue value) noexcept {
  if (const auto number = value.number()) to = number;
}

// xAI's cost: 10^10 ticks are one dollar. gRPC's JSON writes large integers as text.
void set_ticks(std::optional<double>& to, JsonValue value) noexcept {
  std::optional<double> ticks = value.number();
  const Text digits = value.word();
  std::int64_t integer = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), integer);
  if (!digits.empty() && parsed.ec == std::errc()) ticks = static_cast<double>(integer);
  if (ticks && *ticks >= 0) to = *ticks / 1e10;
}

struct CountName {
  Text key;
  Count Usage::*count;
};

// Names of every API whose meaning needs nothing beside them. Those of an input that leaves cached
// tokens out are read apart.
constexpr std::array<CountName, 28> kCounts = {{
    {"total_input_tokens", &Usage::input},
    {"total_output_tokens", &Usage::output},
    {"total_cached_tokens", &Usage::cache_read},
    {"total_thought_tokens", &Usage::reasoning},
    {"cached_prompt_text_tokens", &Usage::cache_read},
    {"tokenCount", &Usage::output},
    {"input_token_count", &Usage::input},
    {"generated_token_count", &Usage::output},
    {"prompt_tokens", &Usage::input},
    {"completion_tokens", &Usage::output},
    {"total_tokens", &Usage::total},
    {"promptTokenCount", &Usage::input},
    {"candidatesTokenCount", &Usage::output},
    {"responseTokenCount", &Usage::output},
    {"totalTokenCount", &Usage::total},
    {"cachedContentTokenCount", &Usage::cache_read},
    {"prompt_cache_hit_tokens", &Usage::cache_read},
    {"cached_tokens", &Usage::cache_read},
    {"inputTextTokenCount", &Usage::input},
    {"inputTokenCount", &Usage::input},
    {"outputTokenCount", &Usage::output},
    {"prompt_token_count", &Usage::input},
    {"generation_token_count", &Usage::output},
    {"prompt_eval_count", &Usage::input},
    {"eval_count", &Usage::output},
    {"totalTokens", &Usage::total},
    {"reasoning_tokens", &Usage::reasoning},
    {"reasoningTokens", &Usage::reasoning},
}};

// OpenRouter's: with them beside it, `tokens_prompt` and the like are the router's own estimate.
constexpr std::array<CountName, 4> kNative = {{
    {"native_tokens_prompt", &Usage::input},
    {"native_tokens_completion", &Usage::output},
    {"native_tokens_reasoning", &Usage::reasoning},
    {"native_tokens_cached", &Usage::cache_read},
}};

bool is_router_estimate(Text key) noexcept {
  return key == "tokens_prompt" || key == "tokens_completion";
}

constexpr std::array<CountName, 9> kPromptDetails = {{
    {"cached_tokens", &Usage::cache_read},
    {"cache_read_tokens", &Usage::cache_read},
    {"cache_write_tokens", &Usage::cache_write},
    {"cache_creation_tokens", &Usage::cache_write},
    {"audio_tokens", &Usage::input_audio},
    {"cachedTokens", &Usage::cache_read},
    {"cacheReadTokens", &Usage::cache_read},
    {"cacheWriteTokens", &Usage::cache_write},
    {"audioTokens", &Usage::input_audio},
}};

constexpr std::array<CountName, 5> kCompletionDetails = {{
    {"reasoning_tokens", &Usage::reasoning},
    {"thinking_tokens", &Usage::reasoning},
    {"audio_tokens", &Usage::output_audio},
    {"reasoningTokens", &Usage::reasoning},
    {"audioTokens", &Usage::output_audio},
}};

// Counts without a field of their own: kept as facts under these names.
constexpr std::array<Text, 5> kDetailFacts = {"image_tokens", "video_tokens", "text_tokens",
                                              "accepted_prediction_tokens",
                                              "rejected_prediction_tokens"};

template <std::size_t kSize>
bool set_named(const std::array<CountName, kSize>& names, const JsonMember& member, Usage& counts) {
  for (const CountName& name : names) {
    if (name.key != member.key) continue;
    set(counts.*name.count, member.value);
    return true;
  }
  return false;
}

template <std::size_t kSize>
void read_details(const std::array<CountName, kSize>& names, Text side, JsonValue details,
                  ReportedUsage& reported, Reading& reading) {
  for (const JsonMember member : details) {
    if (set_named(names, member, reported.counts)) continue;
    for (const Text fact : kDetailFacts) {
      if (fact != member.key || member.value.integer().value_or(0) == 0) continue;
      char* const key = reading.arena.allocate(side.size() + fact.size());
      side.copy(key, side.size());
      fact.copy(key + side.size(), fact.size());
      reading.add_fact({key, side.size() + fact.size()}, member.value);
    }
  }
}

void read_cost_details(JsonValue details, ReportedUsage& reported) {
  for (const JsonMember member : details) {
    if (member.key == "upstream_inference_cost") {
      set(reported.upstream_cost, member.value);
    } else if (member.key == "upstream_inference_prompt_cost" ||
               member.key == "upstream_inference_input_cost") {
      set(reported.cost.input, member.value);
    } else if (member.key == "upstream_inference_completions_cost" ||
               member.key == "upstream_inference_output_cost") {
      set(reported.cost.output, member.value);
    }
  }
}

// Anthropic's and Bedrock's own counts, whose input leaves cached tokens out. OpenAI's Responses
// call theirs input_tokens as well but put cached tokens into a details object.
bool read_split_input(const JsonMember& member, ReportedUsage& reported) {
  Usage& counts = reported.counts;
  if (member.key == "cache_read_input_tokens" || member.key == "cacheReadInputTokens" ||
      member.key == "cacheReadInputTokenCount") {
    set(counts.cache_read, member.value);
  } else if (member.key == "cache_creation_input_tokens" || member.key == "cacheWriteInputTokens" ||
             member.key == "cacheWriteInputTokenCount") {
    set(counts.cache_write, member.value);
  } else {
    return false;
  }
  reported.input_leaves_cached_out = true;
  return true;
}

}  // namespace

void read_usage(JsonValue usage, ReportedUsage& reported, Reading& reading) {
  bool input_includes_cached = false;
  for (const JsonMember member : usage) {
    if (set_named(kCounts, member, reported.counts)) {
      // Who counts a "prompt" counts all of it, whatever else stands beside it.
      if (member.key == "prompt_tokens") input_includes_cached = true;
    } else if (read_split_input(member, reported) || set_named(kNative, member, reported.native)) {
      continue;
    } else if (is_router_estimate(member.key)) {
      reading.add_fact(member.key, member.value);
    } else if (member.key == "input_tokens" || member.key == "inputTokens") {
      set(reported.counts.input, member.value);
    } else if (member.key == "output_tokens" || member.key == "outputTokens") {
      set(reported.counts.output, member.value);
    } else if (member.key == "thoughtsTokenCount") {
      set(reported.counts.reasoning, member.value);
      reported.output_leaves_reasoning_out = true;
    } else if (member.key == "toolUsePromptTokenCount" || member.key == "total_tool_use_tokens") {
      set(reported.tool_prompt, member.value);
    } else if (member.key == "prompt_tokens_details" || member.key == "input_tokens_details" ||
               member.key == "input_token_details") {
      // If it says nothing about the cache, the names beside it decide.
      if (member.value.find("cached_tokens").is_present()) input_includes_cached = true;
      read_details(kPromptDetails, "input_", member.value, reported, reading);
    } else if (member.key == "completion_tokens_details" || member.key == "output_tokens_details" ||
               member.key == "output_token_details") {
      read_details(kCompletionDetails, "output_", member.value, reported, reading);
    } else if (member.key == "cost" || member.key == "total_cost") {
      if (member.value.is_object()) {
        set(reported.cost.total, member.value.find("total_cost"));
        set(reported.cost.input, member.value.find("input_tokens_cost"));
        set(reported.cost.output, member.value.find("output_tokens_cost"));
      } else {
        set(reported.cost.total, member.value);
      }
    } else if (member.key == "is_byok") {
      reported.is_byok = member.value.boolean().value_or(false);
      reading.add_fact("is_byok", member.value);
    } else if (member.key == "cost_in_usd_ticks") {
      set_ticks(reported.cost.total, member.value);
    } else if (member.key == "cost_details") {
      read_cost_details(member.value, reported);
    } else if (member.key == "cache_creation") {
      reading.add_fact("cache_write_5m", member.value.find("ephemeral_5m_input_tokens"));
      reading.add_fact("cache_write_1h", member.value.find("ephemeral_1h_input_tokens"));
    } else if (member.key == "server_tool_use" || member.key == "server_tool_use_details") {
      for (const JsonMember tool : member.value)
        reading.add_fact(reading.text(tool.key_value), tool.value);
    } else if (member.key == "search_units") {
      reading.add_fact("search_units", member.value);
    }
  }
  if (input_includes_cached) reported.input_leaves_cached_out = false;
}

void read_usage_with_parts(JsonValue usage, ReportedUsage& reported, Reading& reading) {
  read_usage(usage, reported, reading);
  // Cohere: billed units leave out what the model added and what the cache held.
  read_usage(usage.find("tokens"), reported, reading);
  const JsonValue billed_units = usage.find("billed_units");
  for (const JsonMember billed : billed_units) {
    reading.add_fact(billed.key == "input_tokens"    ? Text("billed_input_tokens")
                     : billed.key == "output_tokens" ? Text("billed_output_tokens")
                                                     : reading.text(billed.key_value),
                     billed.value);
  }
  if (!reported.counts.input) read_usage(billed_units, reported, reading);
}

void find_usage(JsonValue body, ReportedUsage& reported, Reading& reading) {
  for (const JsonMember member : body) {
    if (member.key == "usage" || member.key == "usageMetadata" || member.key == "usage_metadata" ||
        member.key == "x_groq" || member.key == "amazon-bedrock-invocationMetrics") {
      if (member.key == "x_groq") read_usage(member.value.find("usage"), reported, reading);
      read_usage_with_parts(member.value, reported, reading);
    } else if (member.key == "meta") {
      const JsonValue tokens = member.value.find("tokens");
      const JsonValue billed = member.value.find("billed_units");
      read_usage(tokens ? tokens : billed, reported, reading);
      reading.add_fact("search_units", billed.find("search_units"));
    } else if (member.key == "prompt_eval_count" || member.key == "eval_count" ||
               member.key == "inputTextTokenCount" || member.key == "prompt_token_count" ||
               member.key == "generation_token_count") {
      set_named(kCounts, member, reported.counts);
    } else if (set_named(kNative, member, reported.native)) {
      continue;
    } else if (is_router_estimate(member.key)) {
      reading.add_fact(member.key, member.value);
    } else if (member.key == "totalOutputTextTokenCount") {
      set(reported.counts.output, member.value);
    } else if (member.key == "results") {  // Titan, watsonx: one text's own counts
      for (const JsonMember result : member.value) read_usage(result.value, reported, reading);
    }
  }
}

void settle_usage(const ReportedUsage& reported, Trace& trace) {
  Usage counts = reported.counts;
  for (const CountName& name : kNative) {
    if (reported.native.*name.count) counts.*name.count = reported.native.*name.count;
  }
  if (counts.input && reported.input_leaves_cached_out) {
    *counts.input += counts.cache_read.value_or(0) + counts.cache_write.value_or(0);
  }
  if (counts.input && reported.tool_prompt) *counts.input += *reported.tool_prompt;
  if (counts.reasoning) {
    // Some count reasoning beside the output and say so only by their total, or by the numbers.
    const bool total_says_so = counts.input && counts.output && counts.total &&
                               *counts.total == *counts.input + *counts.output + *counts.reasoning;
    const bool is_no_part = counts.output && *counts.reasoning > *counts.output;
    const bool is_beside = reported.output_leaves_reasoning_out || total_says_so || is_no_part;
    if (is_beside) counts.output = counts.output.value_or(0) + *counts.reasoning;
  }
  const bool is_one_sided =
      trace.kind == TraceKind::kEmbedding || trace.kind == TraceKind::kReranker;
  if (is_one_sided && !counts.input && !counts.output) counts.input = counts.total;
  Usage& usage = trace.usage;
  const auto fill = [&](Count Usage::*count) {
    if (!(usage.*count)) usage.*count = counts.*count;
  };
  for (const auto count :
       {&Usage::input, &Usage::output, &Usage::total, &Usage::cache_read, &Usage::cache_write,
        &Usage::reasoning, &Usage::input_audio, &Usage::output_audio}) {
    fill(count);
  }
  Cost cost = reported.cost;
  if (cost.total && reported.is_byok) *cost.total += reported.upstream_cost.value_or(0);
  if (!trace.cost.total) trace.cost.total = cost.total;
  if (!trace.cost.input) trace.cost.input = cost.input;
  if (!trace.cost.output) trace.cost.output = cost.output;
  const auto add_fact = [&trace](Text key, std::optional<double> amount) {
    if (amount) trace.facts.push_back({key, Scalar(*amount)});
  };
  if (reported.is_byok) add_fact("router_cost", reported.cost.total);
  add_fact("upstream_inference_cost", reported.upstream_cost);
}

}  // namespace sidecast
