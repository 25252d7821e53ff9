// JSON text, written straight into a ByteBuffer: commas and escapes are its business, the shape is
// the caller's. Strings must be valid UTF-8. One writer per document; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"

namespace sidecast {

// Appends `text` with JSON escapes and without the quotes.
void append_json_escaped(ByteBuffer& out, Text text);

class JsonWriter {
 public:
  explicit JsonWriter(ByteBuffer& out) noexcept : out_(out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(Text name);  // then exactly one value
  JsonWriter& string(Text value);
  JsonWriter& integer(std::int64_t value);
  JsonWriter& unsigned_integer(std::uint64_t value);
  // Infinities and NaN, which JSON lacks, become null.
  JsonWriter& number(double value);
  JsonWriter& boolean(bool value);
  JsonWriter& null();
  JsonWriter& raw(Text json);  // must be one valid JSON value

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  void separate();

  ByteBuffer& out_;
  bool need_comma_ = false;  // a value stands before this place in the same list
};

}  // namespace sidecast
