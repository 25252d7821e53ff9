// Typed access to one YAML map. Each read_... looks a key up, checks and converts its value, and
// remembers that the key is known; finish() reports every key that nobody asked for, with the
// nearest known one. So the code that reads a config is the list of what may stand in it.
//
// A read leaves its target alone when the key is absent or wrong; what is wrong is reported with
// its position. Messages quote a value as it stands in the file, never what a ${...} gave.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/config/expand.h"
#include "engine/config/problems.h"
#include "engine/config/yaml_tree.h"

namespace sidecast {

// What all readers of one config share.
struct ReadContext {
  Problems& problems;
  Expander& expander;
};

// Inclusive.
template <typename T>
struct Between {
  T min;
  T max;
};

// A value, where it stands and whether some of it came from ${...}.
struct ReadText {
  std::string text;
  std::string_view as_written;  // in the tree: what messages may quote
  Position position;
  bool from_outside = false;
  bool is_sealed = false;  // "sealed:...", to be opened when it is needed
};

class MapReader {
 public:
  // Reports duplicate keys. `map` must be a map and outlive the reader.
  MapReader(const YamlNode& map, ReadContext context);

  [[nodiscard]] Position position() const noexcept { return map_.position; }
  // Of the key, else of the map.
  [[nodiscard]] Position position_of(std::string_view key) const noexcept;
  [[nodiscard]] bool has(std::string_view key) const noexcept;
  [[nodiscard]] ReadContext context() const noexcept { return context_; }

  // Any scalar, references expanded. Nothing when absent or wrong.
  std::optional<ReadText> read_text(std::string_view key);
  // The same for a secret, which may be sealed.
  std::optional<ReadText> read_secret(std::string_view key);
  void read_flag(std::string_view key, bool& value);
  void read_count(std::string_view key, std::uint32_t& value, Between<std::uint32_t> range);
  void read_number(std::string_view key, double& value, Between<double> range);
  void read_size(std::string_view key, std::uint64_t& value_bytes, Between<std::uint64_t> range);
  void read_duration(std::string_view key, std::chrono::milliseconds& value,
                     Between<std::chrono::milliseconds> range);
  // A list of texts, none of them empty. Sorted, each once: in no list of ours does order count.
  void read_set(std::string_view key, std::vector<std::string>& values,
                std::size_t bytes_max = std::string_view::npos);
  // The values of a map of texts, as they stand; they may be sealed.
  struct NamedText {
    std::string name;
    Position name_position;
    ReadText value;
  };
  std::vector<NamedText> read_texts_by_name(std::string_view key);

  // Null when absent or wrong.
  const YamlNode* read_map(std::string_view key);
  const YamlNode* read_list(std::string_view key);

  // For what a future version will know: an error with what to do until then.
  void refuse(std::string_view key, std::string_view message);

  void error_at(std::string_view key, std::string_view message);

  void finish();

 private:
  const YamlEntry* find(std::string_view key);
  const YamlNode* read_kind(std::string_view key, YamlNode::Kind kind);
  // Converts with `parse`; `expected` completes "'key' must be ...".
  template <typename Parse>
  auto read_converted(std::string_view key, const std::string& expected, const Parse& parse)
      -> decltype(parse(std::string_view()));

  const YamlNode& map_;
  ReadContext context_;
  std::vector<std::string_view> known_keys_;
  std::vector<std::string_view> refused_keys_;  // reported already, and never suggested
};

// A scalar with its references expanded; `name` is for the message.
enum class Sealed { kRefused, kAllowed };
std::optional<ReadText> read_scalar(const YamlNode& node, std::string_view name,
                                    ReadContext context, Sealed sealed = Sealed::kRefused);

// The nearest of `candidates` if it is near enough to be what was meant, else empty.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       const std::vector<std::string_view>& candidates);

}  // namespace sidecast
