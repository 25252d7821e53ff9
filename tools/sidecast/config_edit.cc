#include "tools/sidecast/config_edit.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "engine/base/seal.h"
#include "engine/config/yaml_tree.h"

namespace sidecast {
namespace {

constexpr std::string_view kKey = "destinations";
constexpr std::size_t kIndentUsual = 2;

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
}

// Only these quotes know escapes: between others a line break would be another line of the file.
std::string in_double_quotes(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (is_control(c)) {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      continue;
    }
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

// A value in a block map: lists and maps as they were given, plain words as they are, all else in
// quotes.
std::string yaml_value(std::string_view text) {
  if (std::any_of(text.begin(), text.end(), is_control)) return in_double_quotes(text);
  if (text.starts_with('[') || text.starts_with('{')) return std::string(text);
  const bool is_plain =
      !text.empty() && text.front() != '-' && std::all_of(text.begin(), text.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("_./-").find(c) != std::string_view::npos;
      });
  if (is_plain) return std::string(text);
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += c;
  }
  return quoted + "'";
}

std::string item_text(const Settings& settings, std::size_t indent) {
  std::string text;
  for (const auto& [name, value] : settings) {
    text += std::string(indent, ' ') + (text.empty() ? "- " : "  ");
    text += fmt::format("{}: {}\n", name, yaml_value(value));
  }
  return text;
}

// With the line ends that belong to them.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

std::size_t indent_of(std::string_view line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == line.npos;
}

// The lines, with `item` after the first `count` of them.
std::string joined(const std::vector<std::string_view>& lines, std::size_t count,
                   const std::string& item) {
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i == count) text += item;
    text += lines[i];
    if (i + 1 == count && !text.ends_with('\n')) text += '\n';
  }
  if (count == lines.size()) text += item;
  return text;
}

// After the last line of the last item: what is indented more than its dash, comments too, but not
// the empty lines at its end.
Result<std::string> add_after_last(const std::vector<std::string_view>& lines, const YamlNode& list,
                                   const Settings& settings) {
  const std::size_t last = list.items.back()->position.line - 1;
  const std::size_t dash = last < lines.size() ? indent_of(lines[last]) : 0;
  if (last >= lines.size() || !lines[last].substr(dash).starts_with('-')) {
    return fail("its destinations are not written as lines that begin with '-'");
  }
  std::size_t end = last + 1;
  for (std::size_t i = end; i < lines.size(); ++i) {
    if (is_blank(lines[i])) continue;
    if (indent_of(lines[i]) <= dash) break;
    end = i + 1;
  }
  return joined(lines, end, item_text(settings, dash));
}

}  // namespace

Result<std::string> add_destination_to(std::string_view config, const Settings& settings) {
  const auto root = parse_yaml(config);
  if (!root) return fail(problem_line("the config", root.error()));
  const std::vector<std::string_view> lines = lines_of(config);
  const auto& entries = (*root)->entries;
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [](const YamlEntry& entry) { return entry.key == kKey; });
  if (found == entries.end()) {
    return joined(lines, lines.size(),
                  fmt::format("{}:\n{}", kKey, item_text(settings, kIndentUsual)));
  }
  const std::size_t key_line = found->position.line - 1;
  if (found->value->kind == YamlNode::Kind::kNothing) {
    return joined(lines, key_line + 1, item_text(settings, kIndentUsual));
  }
  if (found->value->kind != YamlNode::Kind::kList) return fail("its 'destinations' is no list");
  if (!found->value->items.empty()) return add_after_last(lines, *found->value, settings);
  // `destinations: []`, which was written by someone who had none yet.
  const std::size_t bracket = lines[key_line].find("[]");
  if (bracket == std::string_view::npos) return fail("its empty list spans several lines");
  std::string key(lines[key_line]);
  key.erase(bracket, 2);
  std::vector<std::string_view> changed = lines;
  changed[key_line] = key;
  return joined(changed, key_line + 1, item_text(settings, kIndentUsual));
}

Result<Resealed> reseal_all(std::string_view text, const Reseal& reseal) {
  Resealed result;
  std::size_t done = 0;
  for (std::size_t at = 0; (at = text.find(kSealedPrefix, at)) != text.npos;) {
    std::size_t end = at + kSealedPrefix.size();
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 ||
                                 text[end] == '-' || text[end] == '_')) {
      ++end;
    }
    if (end == at + kSealedPrefix.size()) {  // a word about them, in a comment
      at = end;
      continue;
    }
    auto sealed = reseal(text.substr(at, end - at));
    if (!sealed) {
      const auto line =
          1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
      return fail(fmt::format("line {}: {}", line, sealed.error().message()));
    }
    result.text += text.substr(done, at - done);
    result.text += *sealed;
    ++result.count;
    done = at = end;
  }
  result.text += text.substr(done);
  return result;
}

}  // namespace sidecast
