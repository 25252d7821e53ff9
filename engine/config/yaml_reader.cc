#include "engine/config/yaml_reader.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/config/units.h"

namespace sidecast {
namespace {

std::string_view kind_name(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::kNothing:
      return "empty";
    case YamlNode::Kind::kScalar:
      return "a single value";
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
  }
  return "";
}

template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

// YAML 1.2's two words only: `yes` and `off` mean different things to different parsers.
std::optional<bool> parse_flag(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

// A parser that also checks the range.
template <typename T, typename Parse>
auto within(Between<T> range, const Parse& parse) {
  return [range, parse](std::string_view text) -> std::optional<T> {
    const std::optional<T> value = parse(text);
    // Written so that NaN is outside.
    if (!value || !(*value >= range.min && *value <= range.max)) return std::nullopt;
    return value;
  };
}

// A long wrong value would hide the message.
std::string quoted(std::string_view text) {
  constexpr std::size_t kShownMax = 60;
  if (text.size() <= kShownMax) return fmt::format("'{}'", text);
  return fmt::format("a text of {} bytes", text.size());
}

// Insertions, deletions, substitutions and swaps of neighbours that turn `from` into `to`.
std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> before_last(to.size() + 1);
  std::vector<std::size_t> last(to.size() + 1);
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= from.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t substituted = last[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, substituted});
      const bool is_swap = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
      if (is_swap) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last[to.size()];
}

}  // namespace

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  constexpr std::size_t kWordMax = 64;  // keeps a hostile key from costing much
  if (word.size() > kWordMax) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= best_distance) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

std::optional<ReadText> read_scalar(const YamlNode& node, std::string_view name,
                                    ReadContext context, Sealed sealed) {
  if (node.kind != YamlNode::Kind::kScalar) {
    context.problems.error(node.position, fmt::format("'{}' must be a single value, but it is {}",
                                                      name, kind_name(node.kind)));
    return std::nullopt;
  }
  auto expanded = context.expander.expand(node.text);
  if (!expanded) {
    context.problems.error(node.position,
                           fmt::format("'{}': {}", name, expanded.error().message()));
    return std::nullopt;
  }
  const bool is_sealed = expanded->text.starts_with(kSealedPrefix);
  if (is_sealed && sealed == Sealed::kRefused) {
    context.problems.error(
        node.position,
        fmt::format("'{}' is no secret; only secrets and headers may be sealed", name));
    return std::nullopt;
  }
  return ReadText{std::move(expanded->text), node.text, node.position,
                  expanded->from_outside || is_sealed, is_sealed};
}

MapReader::MapReader(const YamlNode& map, ReadContext context) : map_(map), context_(context) {
  std::unordered_set<std::string_view> seen;
  for (const YamlEntry& entry : map.entries) {
    if (seen.insert(entry.key).second) continue;
    context_.problems.error(
        entry.position, fmt::format("{} stands here twice; keep one of them", quoted(entry.key)));
  }
}

Position MapReader::position_of(std::string_view key) const noexcept {
  for (const YamlEntry& entry : map_.entries) {
    if (entry.key == key) return entry.position;
  }
  return map_.position;
}

bool MapReader::has(std::string_view key) const noexcept {
  return std::any_of(map_.entries.begin(), map_.entries.end(),
                     [key](const YamlEntry& entry) { return entry.key == key; });
}

const YamlEntry* MapReader::find(std::string_view key) {
  known_keys_.push_back(key);
  const auto found = std::find_if(map_.entries.begin(), map_.entries.end(),
                                  [key](const YamlEntry& entry) { return entry.key == key; });
  return found == map_.entries.end() ? nullptr : &*found;
}

std::optional<ReadText> MapReader::read_text(std::string_view key) {
  const YamlEntry* const entry = find(key);
  if (entry == nullptr) return std::nullopt;
  return read_scalar(*entry->value, key, context_);
}

std::optional<ReadText> MapReader::read_secret(std::string_view key) {
  const YamlEntry* const entry = find(key);
  if (entry == nullptr) return std::nullopt;
  return read_scalar(*entry->value, key, context_, Sealed::kAllowed);
}

template <typename Parse>
auto MapReader::read_converted(std::string_view key, const std::string& expected,
                               const Parse& parse) -> decltype(parse(std::string_view())) {
  const YamlEntry* const entry = find(key);
  if (entry == nullptr) return std::nullopt;
  const auto text = read_scalar(*entry->value, key, context_);
  if (!text) return std::nullopt;
  auto value = parse(text->text);
  if (!value) {
    context_.problems.error(text->position, fmt::format("'{}' must be {}, not {}", key, expected,
                                                        quoted(text->as_written)));
  }
  return value;
}

void MapReader::read_flag(std::string_view key, bool& value) {
  if (const auto read = read_converted(key, "true or false", parse_flag)) value = *read;
}

void MapReader::read_count(std::string_view key, std::uint32_t& value,
                           Between<std::uint32_t> range) {
  const std::string expected = fmt::format("a whole number from {} to {}", range.min, range.max);
  const auto read = read_converted(key, expected, within(range, parse_number<std::uint32_t>));
  if (read) value = *read;
}

void MapReader::read_number(std::string_view key, double& value, Between<double> range) {
  const std::string expected = fmt::format("a number from {} to {}", range.min, range.max);
  const auto read = read_converted(key, expected, within(range, parse_number<double>));
  if (read) value = *read;
}

void MapReader::read_size(std::string_view key, std::uint64_t& value_bytes,
                          Between<std::uint64_t> range) {
  const std::string expected =
      fmt::format("a size from {} to {}, like 64MiB", size_text(range.min), size_text(range.max));
  const auto read = read_converted(key, expected, within(range, parse_size_bytes));
  if (read) value_bytes = *read;
}

void MapReader::read_duration(std::string_view key, std::chrono::milliseconds& value,
                              Between<std::chrono::milliseconds> range) {
  const std::string expected = fmt::format("a duration from {} to {}, like 500ms",
                                           duration_text(range.min), duration_text(range.max));
  const auto read = read_converted(key, expected, within(range, parse_duration));
  if (read) value = *read;
}

void MapReader::read_set(std::string_view key, std::vector<std::string>& values,
                         std::size_t bytes_max) {
  const YamlNode* const list = read_list(key);
  if (list == nullptr) return;
  std::vector<std::string> read;
  for (const auto& item : list->items) {
    auto text = read_scalar(*item, key, context_);
    if (!text) continue;
    if (text->text.empty()) {
      context_.problems.error(text->position, fmt::format("'{}' holds an empty text", key));
      continue;
    }
    if (text->text.size() > bytes_max) {
      context_.problems.error(text->position,
                              fmt::format("'{}' holds a text of {} bytes; use at most {}", key,
                                          text->text.size(), bytes_max));
      continue;
    }
    read.push_back(std::move(text->text));
  }
  std::sort(read.begin(), read.end());
  read.erase(std::unique(read.begin(), read.end()), read.end());
  values = std::move(read);
}

std::vector<MapReader::NamedText> MapReader::read_texts_by_name(std::string_view key) {
  const YamlNode* const map = read_map(key);
  if (map == nullptr) return {};
  const MapReader reader(*map, context_);  // for its duplicate check
  std::vector<NamedText> texts;
  for (const YamlEntry& entry : map->entries) {
    auto value = read_scalar(*entry.value, entry.key, context_, Sealed::kAllowed);
    if (value) texts.push_back({entry.key, entry.position, *std::move(value)});
  }
  return texts;
}

const YamlNode* MapReader::read_kind(std::string_view key, YamlNode::Kind kind) {
  const YamlEntry* const entry = find(key);
  if (entry == nullptr) return nullptr;
  if (entry->value->kind == kind) return entry->value.get();
  context_.problems.error(entry->value->position,
                          fmt::format("'{}' must be {}, but it is {}", key, kind_name(kind),
                                      kind_name(entry->value->kind)));
  return nullptr;
}

const YamlNode* MapReader::read_map(std::string_view key) {
  return read_kind(key, YamlNode::Kind::kMap);
}

const YamlNode* MapReader::read_list(std::string_view key) {
  return read_kind(key, YamlNode::Kind::kList);
}

void MapReader::refuse(std::string_view key, std::string_view message) {
  refused_keys_.push_back(key);
  if (!has(key)) return;
  error_at(key, fmt::format("'{}' is not supported yet; {}", key, message));
}

void MapReader::error_at(std::string_view key, std::string_view message) {
  context_.problems.error(position_of(key), message);
}

void MapReader::finish() {
  for (const YamlEntry& entry : map_.entries) {
    if (context_.problems.is_full()) return;
    const auto is_in = [&entry](const std::vector<std::string_view>& keys) {
      return std::find(keys.begin(), keys.end(), entry.key) != keys.end();
    };
    if (is_in(known_keys_) || is_in(refused_keys_)) continue;
    const std::string_view meant = nearest(entry.key, known_keys_);
    context_.problems.error(
        entry.position, meant.empty() ? fmt::format("unknown key {}; known here: {}",
                                                    quoted(entry.key), fmt::join(known_keys_, ", "))
                                      : fmt::format("unknown key {}; did you mean '{}'?",
                                                    quoted(entry.key), meant));
  }
}

}  // namespace sidecast
