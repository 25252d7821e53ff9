#include "exporters/destinations/template.h"

#include "engine/base/base64.h"
#include "exporters/destinations/options.h"

namespace sidecast {
namespace {

constexpr std::string_view kBasic = "basic:";
constexpr std::string_view kUserOf = "user_of:";

// What comes next in a template: plain text, then one {...} without its braces.
struct Step {
  std::string_view text;
  std::optional<std::string_view> placeholder;
};

// Takes the step off the pattern. A brace that is not closed is text.
Step next_step(std::string_view& pattern) {
  const std::size_t open = pattern.find('{');
  const std::size_t close = open == pattern.npos ? pattern.npos : pattern.find('}', open);
  Step step;
  if (close == pattern.npos) {
    step.text = pattern;
    pattern = {};
    return step;
  }
  step.text = pattern.substr(0, open);
  step.placeholder = pattern.substr(open + 1, close - open - 1);
  pattern.remove_prefix(close + 1);
  return step;
}

// "basic:a:b" -> a, b; "user_of:a" -> a; "a" -> a.
std::vector<std::string_view> options_of(std::string_view placeholder) {
  if (placeholder.starts_with(kBasic)) return split_list(placeholder.substr(kBasic.size()), ':');
  if (placeholder.starts_with(kUserOf)) return {placeholder.substr(kUserOf.size())};
  return {placeholder};
}

std::string_view user_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == url.npos) return url;
  url.remove_prefix(scheme + 3);
  const std::size_t at = url.find('@');
  if (at == url.npos) return {};
  url = url.substr(0, at);
  return url.substr(0, url.find(':'));
}

}  // namespace

std::vector<std::string_view> options_of_template(std::string_view pattern) {
  std::vector<std::string_view> options;
  while (!pattern.empty()) {
    const Step step = next_step(pattern);
    if (!step.placeholder) break;
    for (const std::string_view option : options_of(*step.placeholder)) options.push_back(option);
  }
  return options;
}

Result<std::optional<std::string>> fill_template(std::string_view pattern,
                                                 const ValueOf& value_of) {
  std::string filled;
  while (!pattern.empty()) {
    const Step step = next_step(pattern);
    filled += step.text;
    if (!step.placeholder) break;
    std::string joined;
    for (const std::string_view option : options_of(*step.placeholder)) {
      const auto value = value_of(option);
      if (!value) return fail(value.error());
      const std::string_view trimmed = trim_blanks(*value);
      if (trimmed.empty()) return std::optional<std::string>();
      if (!joined.empty()) joined += ':';
      joined += trimmed;
    }
    if (step.placeholder->starts_with(kBasic)) {
      filled += to_base64(joined);
    } else if (step.placeholder->starts_with(kUserOf)) {
      const std::string_view user = user_of(joined);
      if (user.empty()) return std::optional<std::string>();
      filled += user;
    } else {
      filled += joined;
    }
  }
  return std::optional(std::move(filled));
}

}  // namespace sidecast
