// Appends attributes to one span or event. Absent and empty values are left out: a dialect names
// what it would send and lets the writer drop what is not there.
//
// Names of our own are unique by construction. Names that come from outside (metadata, free-form
// attributes) go through add_outside(), which keeps the first of two equal ones: duplicates are
// undefined behaviour in OTLP. See AttributeWriter.KeepsTheFirstOfTwoEqualNames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>

#include "engine/base/json_writer.h"
#include "engine/model/span.h"
#include "engine/model/trace.h"

namespace sidecast {

// The parts one after the other, in the arena.
[[nodiscard]] Text join(std::initializer_list<Text> parts, Arena& arena);

// `index` in decimal, for the flattened names of lists.
[[nodiscard]] Text decimal(std::size_t index, Arena& arena);

class AttributeWriter {
 public:
  AttributeWriter(ArenaVector<Attribute>& attributes, Arena& arena) noexcept
      : attributes_(attributes), arena_(arena), table_(arena.resource()) {}

  void text(Text key, Text value) {
    if (!value.empty()) attributes_.push_back({key, value});
  }
  void integer(Text key, std::optional<std::int64_t> value) {
    if (value) attributes_.push_back({key, *value});
  }
  void number(Text key, std::optional<double> value) {
    if (value) attributes_.push_back({key, *value});
  }
  void boolean(Text key, bool value) { attributes_.push_back({key, value}); }
  // `values` must live as long as the span does.
  void texts(Text key, std::span<const Text> values) {
    if (!values.empty()) attributes_.push_back({key, values});
  }

  // A named value from outside, under prefix + its key. Scalars keep their type, lists and objects
  // are JSON text; nulls, empty names and names already in the list are left out.
  void add_outside(Text prefix, const Metadatum& metadatum);
  void add_outside(Text prefix, std::span<const Metadatum> metadata);

  // The attributes hold this name already. For defaults that the gateway may have given itself.
  [[nodiscard]] bool has(Text key) const noexcept;

 private:
  // The name is new: it is now in the table, as that of the next attribute.
  [[nodiscard]] bool claim(Text key);
  [[nodiscard]] std::uint32_t& place_of(Text key) noexcept;
  void index_attributes();

  ArenaVector<Attribute>& attributes_;
  Arena& arena_;
  // Which names are there already: an open-addressing table of positions in attributes_, one more
  // than the position, 0 = free. Made when the first name from outside comes, never more than half
  // full; linear comparison would make thousands of metadata keys quadratic.
  ArenaVector<std::uint32_t> table_;
  std::size_t in_table_ = 0;  // attributes already in there
};

// JSON text under construction; finish() moves it to the arena, once.
class JsonText {
 public:
  explicit JsonText(std::size_t bytes_expected = 256) : writer_(buffer_) {
    buffer_.reserve(bytes_expected);
  }
  [[nodiscard]] JsonWriter& writer() noexcept { return writer_; }
  [[nodiscard]] Text finish(Arena& arena) const { return arena.copy(buffer_.view()); }

 private:
  ByteBuffer buffer_;
  JsonWriter writer_;
};

// Members of an open object; absent values are left out, so that a reader sees null and not an
// empty text.
class JsonMembers {
 public:
  explicit JsonMembers(JsonWriter& json) noexcept : json_(json) {}

  void text(Text name, Text value) {
    if (!value.empty()) next(name).string(value);
  }
  void integer(Text name, std::optional<std::int64_t> value) {
    if (value) next(name).integer(*value);
  }
  void number(Text name, std::optional<double> value) {
    if (value) next(name).number(*value);
  }
  void json(Text name, Text value) {
    if (!value.empty()) next(name).raw(value);
  }
  [[nodiscard]] bool empty() const noexcept { return empty_; }

 private:
  JsonWriter& next(Text name) {
    empty_ = false;
    return json_.key(name);
  }

  JsonWriter& json_;
  bool empty_ = true;
};

// One JSON object whose members `fill(JsonMembers&)` writes, or empty when it writes none.
template <typename Fill>
[[nodiscard]] Text json_object(Arena& arena, Fill fill) {
  JsonText text;
  text.writer().begin_object();
  JsonMembers members(text.writer());
  fill(members);
  text.writer().end_object();
  return members.empty() ? Text() : text.finish(arena);
}

// The value as JSON: scalars with their type, JSON text as it is.
void write_json(JsonWriter& writer, const Metadatum& metadatum);

}  // namespace sidecast
