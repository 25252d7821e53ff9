// `filter_rules` of a destination: which of its accounts' records it wants, by what is in them.
//
//   filter_rules:
//     groups:
//       - logic: or
//         rules:
//           - {field: model, operator: starts_with, value: openai/}
//           - {field: total_cost, operator: gt, value: 0.01}
//
// A record passes when all groups hold (`logic: or` beside `groups`: when one does). How the rules
// compare is said in engine/route/filter.h, which evaluates them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sidecast {

class MapReader;

enum class FilterField : std::uint8_t {
  kModel,  // asked for or served
  kProvider,
  kSessionId,
  kUserId,
  kApiKeyName,
  kFinishReason,
  kInput,
  kOutput,
  kTotalCost,  // from here on numbers
  kTotalTokens,
  kPromptTokens,
  kCompletionTokens,
};

enum class FilterOperator : std::uint8_t {
  kEquals,
  kNotEquals,
  kContains,
  kNotContains,
  kRegex,
  kStartsWith,
  kEndsWith,
  kGreater,
  kLess,
  kGreaterOrEqual,
  kLessOrEqual,
  kExists,
  kNotExists,
};

[[nodiscard]] constexpr bool is_number(FilterField field) noexcept {
  return field >= FilterField::kTotalCost;
}

struct FilterRule {
  FilterField field = FilterField::kModel;
  FilterOperator compare = FilterOperator::kEquals;
  std::string text;   // of text fields
  double number = 0;  // of numbers
  bool operator==(const FilterRule&) const = default;
};

enum class FilterLogic : std::uint8_t { kAnd, kOr };

struct FilterGroup {
  FilterLogic logic = FilterLogic::kAnd;
  std::vector<FilterRule> rules;  // not empty
  bool operator==(const FilterGroup&) const = default;
};

struct FilterRules {
  FilterLogic logic = FilterLogic::kAnd;  // between the groups
  std::vector<FilterGroup> groups;        // empty: every record passes
  bool operator==(const FilterRules&) const = default;
};

// Reads the key `filter_rules`; with `enabled: false` the rules are checked and left out.
void read_filter_rules(MapReader& destination, FilterRules& rules);

// Memory of one compiled expression; one that needs more is refused.
inline constexpr std::int64_t kFilterRegexBytesMax = 256 << 10;

}  // namespace sidecast
