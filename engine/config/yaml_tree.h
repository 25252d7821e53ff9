// A YAML document as a tree that keeps what yaml-cpp's own nodes lose: the position of every key
// and duplicate keys. The only room that includes yaml-cpp; its exceptions end here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "engine/config/problems.h"

namespace sidecast {

struct YamlEntry;

// Immutable once parsed. An alias is the node it names, shared; never a cycle.
struct YamlNode {
  enum class Kind : std::uint8_t { kNothing, kScalar, kList, kMap };
  Kind kind = Kind::kNothing;
  Position position;
  std::string text;                                    // kScalar
  std::vector<std::shared_ptr<const YamlNode>> items;  // kList
  std::vector<YamlEntry> entries;                      // kMap, as they stand, duplicates too
};

struct YamlEntry {
  std::string key;
  Position position;
  std::shared_ptr<const YamlNode> value;  // never null
};

// One document. Depth and number of nodes are bounded; tags, keys that are not text and control
// characters are refused, because they could only be mistakes.
[[nodiscard]] tl::expected<std::shared_ptr<const YamlNode>, ConfigProblem> parse_yaml(
    std::string_view text);

}  // namespace sidecast
