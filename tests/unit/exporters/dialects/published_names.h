// The published attribute names and their types (published_names.txt), and what is wrong with a
// span's attributes by them and by the rules of flattened lists.
#pragma once

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <simdjson.h>

#include "engine/model/span.h"

namespace sidecast {

class PublishedNames {
 public:
  // Of one dialect: the conventions' names and what its backend documents besides.
  PublishedNames(const std::string& file, const std::string& dialect) {
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) {
      std::istringstream words(line);
      std::string first;
      std::string second;
      std::string third;
      words >> first >> second >> third;
      if (first.empty() || first == "#") continue;
      if (third.empty()) add(first, second);
      if (!third.empty() && first == dialect) add(second, third);
    }
  }

  // The types the name may have, or none when nobody published it.
  [[nodiscard]] std::set<std::string> types_of(Text name) const {
    const auto found = types_.find(pattern_of(name));
    if (found != types_.end()) return found->second;
    for (const auto& [prefix, types] : open_) {
      if (name.size() > prefix.size() && name.starts_with(prefix)) return types;
    }
    return {};
  }

  // The first thing that is wrong, or nothing.
  [[nodiscard]] std::string complaint(const Attribute& attribute) const {
    const std::string name(attribute.key);
    const std::set<std::string> types = types_of(attribute.key);
    if (types.empty()) return name + " is published nowhere";
    if (types.count("any") == 0 && types.count(type_of(attribute.value)) == 0 &&
        !(types.count("json_string") != 0 && std::holds_alternative<Text>(attribute.value))) {
      return name + " is " + type_of(attribute.value) + " and should be " + *types.begin();
    }
    const auto* const text = std::get_if<Text>(&attribute.value);
    if (text == nullptr) return {};
    if (text->find(";base64,") != Text::npos) return name + " holds inlined media";
    // Arguments are what the model wrote, cut off or not.
    const bool is_arguments = name.ends_with(".arguments");
    const bool is_json = (types.count("json_string") != 0 || is_always_json(name)) && !is_arguments;
    if (is_json && parser_.parse(text->data(), text->size()).error() != simdjson::SUCCESS) {
      return name + " is no JSON: " + std::string(text->substr(0, 200));
    }
    return {};
  }

  // Gaps in indices, and lists whose bare name is an attribute.
  [[nodiscard]] static std::string list_complaint(const ArenaVector<Attribute>& attributes) {
    std::map<std::string, std::set<std::size_t>> lists;  // prefix -> indices seen under it
    std::set<Text> names;
    for (const Attribute& attribute : attributes) {
      names.insert(attribute.key);
      std::string prefix;
      // What users named is theirs, whatever it looks like.
      if (attribute.key.find("metadata.") != Text::npos) continue;
      for (const Text word : words_of(attribute.key)) {
        if (is_index(word)) lists[prefix].insert(std::stoul(std::string(word)));
        prefix += (prefix.empty() ? "" : ".") + std::string(word);
      }
    }
    for (const auto& [prefix, indices] : lists) {
      if (*indices.rbegin() != indices.size() - 1) return "a gap in " + prefix;
      if (names.count(prefix) != 0) return "the bare prefix " + prefix;
    }
    return names.size() == attributes.size() ? "" : "a name that is there twice";
  }

  [[nodiscard]] static std::string type_of(const AttributeValue& value) {
    static const char* const kTypes[] = {"string", "int", "double", "bool", "string[]", "double[]"};
    return kTypes[value.index()];
  }

 private:
  static bool is_index(Text word) {
    return !word.empty() && word.size() < 10 &&
           std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
  }

  static std::vector<Text> words_of(Text name) {
    std::vector<Text> words;
    while (true) {
      const std::size_t dot = name.find('.');
      words.push_back(name.substr(0, dot));
      if (dot == Text::npos) return words;
      name.remove_prefix(dot + 1);
    }
  }

  // "llm.tools.<i>.tool.json_schema" and "llm.tools.3.tool.json_schema" alike.
  static std::string pattern_of(Text name) {
    std::string pattern;
    for (const Text word : words_of(name)) {
      const bool is_any = is_index(word) || word == "<i>" || word == "<j>" || word == "<k>";
      pattern += (pattern.empty() ? "" : ".") + (is_any ? "#" : std::string(word));
    }
    return pattern;
  }

  // JSON by our own doing, whatever type the conventions give the name.
  static bool is_always_json(const std::string& name) {
    return name == "gen_ai.prompt" || name == "gen_ai.completion" ||
           name == "gen_ai.input.messages" || name == "gen_ai.output.messages" ||
           name == "gen_ai.system_instructions" || name == "gen_ai.tool.definitions";
  }

  void add(const std::string& name, const std::string& types) {
    std::set<std::string> all;
    std::istringstream stream(types);
    for (std::string type; std::getline(stream, type, '|');) all.insert(type);
    const std::size_t key = name.find("<key>");
    if (key != std::string::npos) {
      open_[name.substr(0, key)] = all;
    } else {
      types_[pattern_of(name)] = all;
    }
  }

  mutable simdjson::dom::parser parser_;
  std::map<std::string, std::set<std::string>> types_;
  std::map<std::string, std::set<std::string>>
      open_;  // "trace.metadata." of "trace.metadata.<key>"
};

}  // namespace sidecast
