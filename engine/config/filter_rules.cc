#include "engine/config/filter_rules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <re2/re2.h>

#include "engine/config/yaml_reader.h"

namespace sidecast {
namespace {

constexpr std::size_t kGroupsMax = 32;
constexpr std::size_t kRulesMax = 64;  // of a group
constexpr std::size_t kValueBytesMax = 1024;

template <typename T>
struct Named {
  std::string_view name;
  T value;
};

constexpr Named<FilterField> kFields[] = {
    {"model", FilterField::kModel},
    {"provider", FilterField::kProvider},
    {"session_id", FilterField::kSessionId},
    {"user_id", FilterField::kUserId},
    {"api_key_name", FilterField::kApiKeyName},
    {"finish_reason", FilterField::kFinishReason},
    {"input", FilterField::kInput},
    {"output", FilterField::kOutput},
    {"total_cost", FilterField::kTotalCost},
    {"total_tokens", FilterField::kTotalTokens},
    {"prompt_tokens", FilterField::kPromptTokens},
    {"completion_tokens", FilterField::kCompletionTokens},
};

constexpr Named<FilterOperator> kOperators[] = {
    {"equals", FilterOperator::kEquals},
    {"not_equals", FilterOperator::kNotEquals},
    {"contains", FilterOperator::kContains},
    {"not_contains", FilterOperator::kNotContains},
    {"regex", FilterOperator::kRegex},
    {"starts_with", FilterOperator::kStartsWith},
    {"ends_with", FilterOperator::kEndsWith},
    {"gt", FilterOperator::kGreater},
    {"lt", FilterOperator::kLess},
    {"gte", FilterOperator::kGreaterOrEqual},
    {"lte", FilterOperator::kLessOrEqual},
    {"exists", FilterOperator::kExists},
    {"not_exists", FilterOperator::kNotExists},
};

constexpr Named<FilterLogic> kLogics[] = {{"and", FilterLogic::kAnd}, {"or", FilterLogic::kOr}};

// What a rule of such a field may not ask.
bool is_for_text(FilterOperator compare) {
  return compare >= FilterOperator::kContains && compare <= FilterOperator::kEndsWith;
}
bool is_for_numbers(FilterOperator compare) {
  return compare >= FilterOperator::kGreater && compare <= FilterOperator::kLessOrEqual;
}
bool needs_value(FilterOperator compare) {
  return compare != FilterOperator::kExists && compare != FilterOperator::kNotExists;
}

// One of a table's names; false when absent or wrong, which is reported if it is `required`.
template <typename T, std::size_t kCount>
bool read_name(MapReader& reader, std::string_view key, const Named<T> (&table)[kCount], T& value,
               bool required) {
  const auto text = reader.read_text(key);
  if (!text) {
    if (required && !reader.has(key)) {
      reader.error_at(key, fmt::format("a rule needs '{}'", key));
    }
    return false;
  }
  std::vector<std::string_view> names;
  for (const Named<T>& one : table) {
    if (one.name == text->text) {
      value = one.value;
      return true;
    }
    names.push_back(one.name);
  }
  const std::string_view meant = nearest(text->text, names);
  std::string known;
  for (const std::string_view name : names) {
    if (!known.empty()) known += ", ";
    known += name;
  }
  reader.error_at(key, meant.empty() ? fmt::format("'{}' must be one of {}", key, known)
                                     : fmt::format("unknown {} '{}'; did you mean '{}'?", key,
                                                   text->as_written, meant));
  return false;
}

std::optional<double> number_of(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) {
    return std::nullopt;
  }
  return number;
}

void read_value(MapReader& reader, FilterRule& rule) {
  auto value = reader.read_text("value");
  if (!needs_value(rule.compare)) {
    if (value) reader.error_at("value", "'exists' and 'not_exists' take no 'value'");
    return;
  }
  if (!value) {
    if (!reader.has("value")) reader.error_at("value", "this rule needs a 'value'");
    return;
  }
  if (is_number(rule.field)) {
    const auto number = number_of(value->text);
    if (!number) reader.error_at("value", "'value' must be a number for this field");
    rule.number = number.value_or(0);
    return;
  }
  if (value->text.empty() || value->text.size() > kValueBytesMax) {
    reader.error_at("value", fmt::format("'value' must be 1 to {} bytes", kValueBytesMax));
    return;
  }
  rule.text = std::move(value->text);
  if (rule.compare != FilterOperator::kRegex) return;
  re2::RE2::Options options(re2::RE2::Quiet);
  options.set_max_mem(kFilterRegexBytesMax);
  const re2::RE2 expression(rule.text, options);
  if (!expression.ok()) {
    reader.error_at("value",
                    "'value' is not an expression of RE2's syntax and bounds (there is no "
                    "look-around)");
  }
}

std::optional<FilterRule> read_rule(const YamlNode& node, ReadContext context) {
  if (node.kind != YamlNode::Kind::kMap) {
    context.problems.error(node.position, "a rule is a map of 'field', 'operator' and 'value'");
    return std::nullopt;
  }
  MapReader reader(node, context);
  FilterRule rule;
  const bool has_field = read_name(reader, "field", kFields, rule.field, true);
  const bool has_operator = read_name(reader, "operator", kOperators, rule.compare, true);
  const bool is_whole = has_field && has_operator;
  if (is_whole && is_number(rule.field) && is_for_text(rule.compare)) {
    reader.error_at("operator", "this operator compares text, and the field is a number");
  } else if (is_whole && !is_number(rule.field) && is_for_numbers(rule.compare)) {
    reader.error_at("operator", "this operator compares numbers, and the field is text");
  }
  if (is_whole) {
    read_value(reader, rule);
  } else {
    static_cast<void>(reader.read_text("value"));  // known, whatever it should be
  }
  reader.finish();
  return rule;
}

std::optional<FilterGroup> read_group(const YamlNode& node, ReadContext context) {
  if (node.kind != YamlNode::Kind::kMap) {
    context.problems.error(node.position, "a group is a map with 'rules' and perhaps 'logic'");
    return std::nullopt;
  }
  MapReader reader(node, context);
  FilterGroup group;
  read_name(reader, "logic", kLogics, group.logic, false);
  const YamlNode* const rules = reader.read_list("rules");
  if (rules == nullptr || rules->items.empty() || rules->items.size() > kRulesMax) {
    reader.error_at("rules", fmt::format("a group needs 1 to {} 'rules'", kRulesMax));
  } else {
    for (const auto& item : rules->items) {
      if (auto rule = read_rule(*item, context)) group.rules.push_back(*std::move(rule));
    }
  }
  reader.finish();
  return group;
}

}  // namespace

void read_filter_rules(MapReader& destination, FilterRules& rules) {
  const YamlNode* const map = destination.read_map("filter_rules");
  if (map == nullptr) return;
  MapReader reader(*map, destination.context());
  bool enabled = true;
  reader.read_flag("enabled", enabled);
  FilterRules read;
  read_name(reader, "logic", kLogics, read.logic, false);
  if (const YamlNode* const groups = reader.read_list("groups")) {
    if (groups->items.size() > kGroupsMax) {
      reader.error_at("groups", fmt::format("more than {} groups of rules", kGroupsMax));
    }
    for (std::size_t i = 0; i < std::min(groups->items.size(), kGroupsMax); ++i) {
      if (auto group = read_group(*groups->items[i], reader.context())) {
        read.groups.push_back(*std::move(group));
      }
    }
  } else if (!reader.has("groups")) {
    reader.error_at("groups", "'filter_rules' needs 'groups'");
  }
  reader.finish();
  if (enabled) rules = std::move(read);
}

}  // namespace sidecast
