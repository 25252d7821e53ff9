#include "exporters/destinations/s3_key.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "engine/base/sha256.h"

namespace sidecast {
namespace {

constexpr std::size_t kPartBytesMax = 128;
constexpr std::size_t kGenerationDigits = 12;  // 48 bits: of one trace and second, that is plenty
// 32 of the trace id, 20 of any 64-bit time, the generation's, and "--.json/".
constexpr std::size_t kFileNameBytesMax = 32 + 20 + kGenerationDigits + 8;

bool is_plain(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

// Text of the operator's own: as above, and slashes and = between components (year=2026/...).
Status check_literal(std::string_view option, std::string_view text) {
  for (const char c : text) {
    if (!is_plain(c) && c != '/' && c != '=') {
      return fail(std::string(option) +
                  " may hold letters, digits and . _ - = /, and in path_template variables in "
                  "braces: {prefix} {date} {year} {month} {day} {hour} {apiKeyName}");
    }
  }
  return {};
}

// No empty and no dot components: some services and most tools resolve them.
Status check_components(std::string_view option, std::string_view path) {
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view component = path.substr(begin, end - begin);
    if (component.empty() || component == "." || component == "..") {
      return fail(std::string(option) + " has an empty or dot component (//, /./ or /../)");
    }
    begin = end + 1;
  }
  return {};
}

}  // namespace

std::string sanitised_key_part(std::string_view text) {
  std::string part(text.substr(0, kPartBytesMax));
  for (char& c : part) {
    if (!is_plain(c)) c = '_';
  }
  if (part.empty()) return "unknown";
  if (part.find_first_not_of('.') == std::string::npos) return std::string(part.size(), '_');
  return part;
}

Result<S3KeyTemplate> S3KeyTemplate::parse(std::string_view path_template,
                                           std::string_view prefix) {
  S3KeyTemplate result;
  while (prefix.starts_with('/')) prefix.remove_prefix(1);
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (prefix.empty()) return fail("prefix is empty; it names the folder of all objects");
  if (Status status = check_literal("prefix", prefix); !status) return fail(status.error());
  if (Status status = check_components("prefix", prefix); !status) return fail(status.error());
  result.prefix_ = prefix;

  while (path_template.starts_with('/')) path_template.remove_prefix(1);
  while (path_template.ends_with('/')) path_template.remove_suffix(1);
  struct Name {
    std::string_view text;
    Variable variable;
    std::size_t bytes_max;
  };
  const Name names[] = {{"{prefix}", Variable::kNone, prefix.size()},
                        {"{date}", Variable::kDate, 10},
                        {"{year}", Variable::kYear, 4},
                        {"{month}", Variable::kMonth, 2},
                        {"{day}", Variable::kDay, 2},
                        {"{hour}", Variable::kHour, 2},
                        {"{apiKeyName}", Variable::kApiKeyName, kPartBytesMax}};
  std::string example;  // with each variable at its longest
  std::string literal;
  while (!path_template.empty()) {
    const std::size_t brace = std::min(path_template.find('{'), path_template.size());
    const std::string_view text = path_template.substr(0, brace);
    if (Status status = check_literal("path_template", text); !status) return fail(status.error());
    literal += text;
    example += text;
    path_template.remove_prefix(brace);
    if (path_template.empty()) break;
    const Name* found = nullptr;
    for (const Name& name : names) {
      if (path_template.starts_with(name.text)) found = &name;
    }
    if (found == nullptr) return fail(check_literal("path_template", "{").error());
    path_template.remove_prefix(found->text.size());
    if (found->variable == Variable::kNone) {
      literal += prefix;
      example += prefix;
      continue;
    }
    example.append(found->bytes_max, 'x');
    result.parts_.push_back({std::move(literal), found->variable});
    literal.clear();
  }
  if (Status status = check_components("path_template", example); !status) {
    return fail(status.error());
  }
  if (example.size() + kFileNameBytesMax > kS3KeyBytesMax) {
    return fail("path_template and prefix make keys longer than S3's 1024 bytes");
  }
  result.parts_.push_back({std::move(literal), Variable::kNone});
  return result;
}

std::string S3KeyTemplate::folder(const BatchRecord& record) const {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(record.start);
  const auto days = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(days);
  const int year = static_cast<int>(date.year());
  const auto month = static_cast<unsigned>(date.month());
  const auto day = static_cast<unsigned>(date.day());
  std::string key;
  for (const Part& part : parts_) {
    key += part.literal;
    switch (part.variable) {
      case Variable::kNone:
        break;
      case Variable::kDate:
        key += fmt::format("{:04}-{:02}-{:02}", year, month, day);
        break;
      case Variable::kYear:
        key += fmt::format("{:04}", year);
        break;
      case Variable::kMonth:
        key += fmt::format("{:02}", month);
        break;
      case Variable::kDay:
        key += fmt::format("{:02}", day);
        break;
      case Variable::kHour: {
        const auto hours = std::chrono::duration_cast<std::chrono::hours>(seconds - days);
        key += fmt::format("{:02}", hours.count());
        break;
      }
      case Variable::kApiKeyName:
        key += sanitised_key_part(record.api_key_name);
        break;
    }
  }
  return key;
}

std::string S3KeyTemplate::key(const BatchRecord& record) const {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(record.start);
  const std::string generation = to_hex(as_bytes(sha256(record.generation_id)));
  return fmt::format("{}/{}-{}-{}.json", folder(record), to_hex(record.trace_id.view()),
                     seconds.time_since_epoch().count(),
                     std::string_view(generation).substr(0, kGenerationDigits));
}

std::string S3KeyTemplate::batch_key(const std::vector<BatchRecord>& records,
                                     std::string_view suffix) const {
  std::string ids;
  for (const BatchRecord& record : records) {
    ids += record.generation_id;
    ids += '\n';
  }
  const BatchRecord& first = records.front();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(first.start);
  return fmt::format("{}/{}-{}{}", folder(first), seconds.time_since_epoch().count(),
                     to_hex(as_bytes(sha256(ids)).substr(0, 16)), suffix);
}

bool S3KeyTemplate::names_api_key() const noexcept {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const Part& part) { return part.variable == Variable::kApiKeyName; });
}

}  // namespace sidecast
