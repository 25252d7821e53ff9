#include "tools/receiver/misbehave.h"

#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace sidecast::receiver {
namespace {

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// A number directly followed by one of the units, without overflow.
std::optional<std::uint64_t> parse_with_unit(std::string_view text,
                                             std::initializer_list<Unit> units) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_number<std::uint64_t>(text.substr(0, digits));
  constexpr std::uint64_t kNumberMax = 1ULL << 40U;
  if (!number || *number > kNumberMax) return std::nullopt;
  for (const Unit& unit : units) {
    if (text.substr(digits) == unit.name) return *number * unit.factor;
  }
  return std::nullopt;
}

// The text up to `separator`, which is taken off `rest` together with it.
std::string_view take_until(std::string_view& rest, char separator) {
  const std::size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

struct NameValue {
  std::string_view name;
  std::string_view value;
};

NameValue split_pair(std::string_view part) {
  NameValue pair;
  pair.value = part;
  pair.name = take_until(pair.value, '=');
  return pair;
}

Status parse_action(std::string_view part, Rule& rule) {
  const auto [name, value] = split_pair(part);
  if (name == "status") {
    const auto status = parse_number<int>(value);
    if (!status || *status < 200 || *status > 599) {
      return fail(fmt::format("'{}': a status is a number from 200 to 599", part));
    }
    rule.action = Rule::Action::kStatus;
    rule.status = *status;
  } else if (name == "partial") {
    const auto spans = parse_number<std::uint64_t>(value);
    if (!spans) return fail(fmt::format("'{}': partial needs a number of spans", part));
    rule.action = Rule::Action::kPartial;
    rule.rejected_spans = *spans;
  } else if (name == "delay") {
    const auto delay_ms = parse_with_unit(value, {{"ms", 1}, {"s", 1000}});
    if (!delay_ms) return fail(fmt::format("'{}': a delay reads like 200ms or 2s", part));
    rule.action = Rule::Action::kDelay;
    rule.delay = std::chrono::milliseconds(*delay_ms);
  } else if (part == "reset") {
    rule.action = Rule::Action::kReset;
  } else if (part == "lose-answer") {
    rule.action = Rule::Action::kLoseAnswer;
  } else {
    return fail(fmt::format(
        "'{}' is not one of status=CODE, partial=N, delay=DURATION, reset, lose-answer", part));
  }
  return {};
}

Status parse_retry_after(std::string_view part, std::string_view value, Rule::RetryAfter form,
                         Rule& rule) {
  const auto seconds = parse_number<std::uint32_t>(value);
  if (!seconds) return fail(fmt::format("'{}': needs a number of seconds", part));
  if (rule.action != Rule::Action::kStatus) {
    return fail(fmt::format("'{}': only a status has a Retry-After header", part));
  }
  rule.retry_after = form;
  rule.retry_after_delay = std::chrono::seconds(*seconds);
  return {};
}

Status parse_modifier(std::string_view part, Rule& rule) {
  const auto [name, value] = split_pair(part);
  if (name == "count") {
    rule.count = parse_number<std::uint64_t>(value);
    if (!rule.count) return fail(fmt::format("'{}': needs a number of requests", part));
  } else if (name == "after") {
    const auto after = parse_number<std::uint64_t>(value);
    if (!after) return fail(fmt::format("'{}': needs a number of requests", part));
    rule.after = *after;
  } else if (name == "p") {
    const auto probability = parse_number<double>(value);
    if (!probability || !(*probability >= 0 && *probability <= 1)) {
      return fail(fmt::format("'{}': a probability lies between 0 and 1", part));
    }
    rule.probability = *probability;
  } else if (name == "path" && !value.empty()) {
    rule.path_prefix = value;
  } else if (name == "containing" && !value.empty()) {
    rule.containing = value;
  } else if (name == "larger-than") {
    rule.larger_than_bytes =
        parse_with_unit(value, {{"", 1}, {"KiB", 1U << 10U}, {"MiB", 1U << 20U}});
    if (!rule.larger_than_bytes) return fail(fmt::format("'{}': a size reads like 512KiB", part));
  } else if (name == "retry-after") {
    return parse_retry_after(part, value, Rule::RetryAfter::kSeconds, rule);
  } else if (name == "retry-after-date") {
    return parse_retry_after(part, value, Rule::RetryAfter::kDate, rule);
  } else {
    return fail(
        fmt::format("'{}' is not one of count=N, after=N, p=PROBABILITY, path=PREFIX, "
                    "larger-than=SIZE, containing=TEXT, retry-after=SECONDS, "
                    "retry-after-date=SECONDS",
                    part));
  }
  return {};
}

bool meets_conditions(const Rule& rule, std::string_view path, std::string_view body) {
  if (!path.starts_with(rule.path_prefix)) return false;
  if (rule.larger_than_bytes && body.size() <= *rule.larger_than_bytes) return false;
  return rule.containing.empty() || body.find(rule.containing) != std::string_view::npos;
}

}  // namespace

Result<std::vector<Rule>> parse_misbehaviour(std::string_view spec) {
  std::vector<Rule> rules;
  do {
    std::string_view parts = take_until(spec, ',');
    Rule rule;
    if (Status action = parse_action(take_until(parts, ':'), rule); !action) {
      return fail(std::move(action.error()));
    }
    while (!parts.empty()) {
      if (Status modifier = parse_modifier(take_until(parts, ':'), rule); !modifier) {
        return fail(std::move(modifier.error()));
      }
    }
    rules.push_back(std::move(rule));
  } while (!spec.empty());
  return rules;
}

Misbehaviour::Misbehaviour(std::vector<Rule> rules, std::uint64_t seed) : dice_(seed) {
  for (Rule& rule : rules) states_.push_back({.rule = std::move(rule)});
}

Conduct Misbehaviour::decide(std::string_view path, std::string_view body) {
  Conduct conduct;
  const std::lock_guard lock(mutex_);
  for (State& state : states_) {
    const Rule& rule = state.rule;
    if (rule.count && state.applied >= *rule.count) continue;
    if (!meets_conditions(rule, path, body)) continue;
    if (++state.met <= rule.after) continue;
    if (rule.probability < 1 && std::uniform_real_distribution<>()(dice_) >= rule.probability)
      continue;
    ++state.applied;
    if (rule.action == Rule::Action::kDelay) {
      conduct.delay += rule.delay;
      continue;
    }
    conduct.rule = rule;
    break;
  }
  return conduct;
}

}  // namespace sidecast::receiver
