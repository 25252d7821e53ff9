#include "engine/route/filter.h"

#include <algorithm>
#include <optional>

#include <re2/re2.h>

#include "engine/base/assert.h"

namespace sidecast {
namespace {

std::shared_ptr<const re2::RE2> compile(const FilterRule& rule) {
  if (rule.compare != FilterOperator::kRegex) return nullptr;
  re2::RE2::Options options(re2::RE2::Quiet);
  options.set_max_mem(kFilterRegexBytesMax);
  auto expression = std::make_shared<const re2::RE2>(rule.text, options);
  SIDECAST_ASSERT(expression->ok());  // the config was checked
  return expression;
}

// ---- Values -------------------------------------------------------------------------------------

template <typename Visit>
bool any_text(const ArenaVector<Message>& messages, const Visit& visit) {
  for (const Message& message : messages) {
    for (const Part& part : message.parts) {
      if (!part.text.empty() && visit(part.text)) return true;
    }
  }
  return false;
}

template <typename Visit>
bool any_text(const ArenaVector<Document>& documents, const Visit& visit) {
  return std::any_of(documents.begin(), documents.end(), [&](const Document& document) {
    return !document.content.empty() && visit(document.content);
  });
}

template <typename Visit>
bool any_text(const ArenaVector<Text>& texts, const Visit& visit) {
  return std::any_of(texts.begin(), texts.end(),
                     [&](Text text) { return !text.empty() && visit(text); });
}

// Bodies that were not taken apart are all there is.
template <typename Visit>
bool any_input(const Trace& trace, const Visit& visit) {
  if (any_text(trace.input_messages, visit) || any_text(trace.prompts, visit) ||
      any_text(trace.input_documents, visit)) {
    return true;
  }
  if (!trace.rerank_query.empty() && visit(trace.rerank_query)) return true;
  const bool is_whole =
      trace.input_messages.empty() && trace.prompts.empty() && trace.input_documents.empty();
  return is_whole && !trace.input_value.empty() && visit(trace.input_value);
}

template <typename Visit>
bool any_output(const Trace& trace, const Visit& visit) {
  if (any_text(trace.output_messages, visit) || any_text(trace.output_documents, visit)) {
    return true;
  }
  const bool is_whole = trace.output_messages.empty() && trace.output_documents.empty();
  return is_whole && !trace.output_value.empty() && visit(trace.output_value);
}

// Whether `visit` holds for a value of a text field; empty ones are absent.
template <typename Visit>
bool any_value(FilterField field, const Trace& trace, const Visit& visit) {
  const auto one = [&visit](Text text) { return !text.empty() && visit(text); };
  switch (field) {
    case FilterField::kModel:
      return one(trace.model_requested) || one(trace.model_served);
    case FilterField::kProvider:
      return one(trace.provider);
    case FilterField::kSessionId:
      return one(trace.identity.session_id);
    case FilterField::kUserId:
      return one(trace.identity.user_id);
    case FilterField::kApiKeyName:
      return one(trace.identity.api_key_name);
    case FilterField::kFinishReason:
      return any_text(trace.finish_reasons, visit);
    case FilterField::kInput:
      return any_input(trace, visit);
    case FilterField::kOutput:
      return any_output(trace, visit);
    default:
      return false;
  }
}

std::optional<double> as_number(std::optional<std::int64_t> count) {
  if (!count) return std::nullopt;
  return static_cast<double>(*count);
}

std::optional<double> number_of(FilterField field, const Trace& trace) {
  const Usage& usage = trace.usage;
  switch (field) {
    case FilterField::kTotalCost:
      return trace.cost.total;
    case FilterField::kTotalTokens:
      if (!usage.total && usage.input && usage.output) {
        return static_cast<double>(*usage.input) + static_cast<double>(*usage.output);
      }
      return as_number(usage.total);
    case FilterField::kPromptTokens:
      return as_number(usage.input);
    case FilterField::kCompletionTokens:
      return as_number(usage.output);
    default:
      return std::nullopt;
  }
}

// ---- Comparisons --------------------------------------------------------------------------------

bool holds_number(const FilterRule& rule, std::optional<double> number) {
  switch (rule.compare) {
    case FilterOperator::kEquals:
      return number == rule.number;
    case FilterOperator::kNotEquals:
      return number != rule.number;
    case FilterOperator::kGreater:
      return number && *number > rule.number;
    case FilterOperator::kLess:
      return number && *number < rule.number;
    case FilterOperator::kGreaterOrEqual:
      return number && *number >= rule.number;
    case FilterOperator::kLessOrEqual:
      return number && *number <= rule.number;
    case FilterOperator::kExists:
      return number.has_value();
    case FilterOperator::kNotExists:
      return !number.has_value();
    default:
      return false;
  }
}

}  // namespace

Filter::Filter(const FilterRules& rules) : rules_(rules) {
  for (const FilterGroup& group : rules_.groups) {
    auto& expressions = expressions_.emplace_back();
    for (const FilterRule& rule : group.rules) expressions.push_back(compile(rule));
  }
}

bool Filter::takes(const Trace& trace) const {
  if (takes_all()) return true;
  const bool needs_all = rules_.logic == FilterLogic::kAnd;
  for (std::size_t group = 0; group < rules_.groups.size(); ++group) {
    if (holds(group, trace) != needs_all) return !needs_all;
  }
  return needs_all;
}

bool Filter::holds(std::size_t group, const Trace& trace) const {
  const auto& [logic, rules] = rules_.groups[group];
  const bool needs_all = logic == FilterLogic::kAnd;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (holds(rules[i], expressions_[group][i].get(), trace) != needs_all) return !needs_all;
  }
  return needs_all;
}

bool Filter::holds(const FilterRule& rule, const re2::RE2* expression, const Trace& trace) const {
  if (is_number(rule.field)) return holds_number(rule, number_of(rule.field, trace));
  const Text wanted = rule.text;
  const auto any = [&](const auto& visit) { return any_value(rule.field, trace, visit); };
  switch (rule.compare) {
    case FilterOperator::kEquals:
      return any([wanted](Text text) { return text == wanted; });
    case FilterOperator::kNotEquals:
      return !any([wanted](Text text) { return text == wanted; });
    case FilterOperator::kContains:
      return any([wanted](Text text) { return text.find(wanted) != Text::npos; });
    case FilterOperator::kNotContains:
      return !any([wanted](Text text) { return text.find(wanted) != Text::npos; });
    case FilterOperator::kStartsWith:
      return any([wanted](Text text) { return text.starts_with(wanted); });
    case FilterOperator::kEndsWith:
      return any([wanted](Text text) { return text.ends_with(wanted); });
    case FilterOperator::kRegex:
      return any([expression](Text text) {
        return re2::RE2::PartialMatch({text.data(), text.size()}, *expression);
      });
    case FilterOperator::kExists:
      return any([](Text) { return true; });
    case FilterOperator::kNotExists:
      return !any([](Text) { return true; });
    default:
      return false;
  }
}

}  // namespace sidecast
