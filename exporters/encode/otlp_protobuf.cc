// Written by hand, in two passes: the first adds up sizes, the second writes into room reserved
// once. So every length prefix is minimal and stands before its bytes without being patched, and
// nothing is copied twice. (A builder that inserts lengths afterwards moves the content once per
// level of nesting: four times for an attribute's value.)
//
// Field numbers: reference "otlp" §1; tools/otlp/otlp_trace.proto says the same and is what the
// tests decode with.
#include "exporters/encode/otlp_protobuf.h"

#include <array>
#include <bit>
#include <cstring>

#include "engine/base/assert.h"

namespace sidecast {
namespace {

static_assert(std::endian::native == std::endian::little,
              "fixed64 is written as it lies in memory");

// ---- Wire format -------------------------------------------------------------------------------

constexpr std::uint8_t kVarint = 0;
constexpr std::uint8_t kFixed64 = 1;
constexpr std::uint8_t kLength = 2;
constexpr std::uint8_t kFixed32 = 5;

// A field number above 15 takes a second byte: Span.flags is the only one.
constexpr std::uint8_t tag(unsigned field, std::uint8_t type) {
  return static_cast<std::uint8_t>(field << 3U | type);
}
constexpr std::size_t kSpanFlagsSize = 2 + 4;

// More than nearly every record has; beyond it sizes are computed again.
constexpr std::size_t kSpanSizesKept = 16;

std::size_t varint_size(std::uint64_t value) noexcept {
  if (value < 0x80) return 1;  // nearly always: names and short values
  return (static_cast<std::size_t>(std::bit_width(value | 1U)) + 6) / 7;
}

// A length-delimited field with that many bytes inside, tag and length included.
std::size_t field_size(std::size_t content) noexcept {
  return 1 + varint_size(content) + content;
}
std::size_t text_size(Text text) noexcept {
  return text.empty() ? 0 : field_size(text.size());
}
std::size_t count_size(std::uint32_t count) noexcept {
  return count == 0 ? 0 : 1 + varint_size(count);
}

class Cursor {
 public:
  explicit Cursor(char* at) noexcept : at_(at) {}
  [[nodiscard]] char* at() const noexcept { return at_; }

  void byte(std::uint8_t value) noexcept { *at_++ = static_cast<char>(value); }
  void varint(std::uint64_t value) noexcept {
    for (; value >= 0x80; value >>= 7U) byte(static_cast<std::uint8_t>(value | 0x80U));
    byte(static_cast<std::uint8_t>(value));
  }
  void raw(Bytes bytes) noexcept {
    std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  // The head of a length-delimited field; its content follows.
  void open(unsigned field, std::size_t content) noexcept {
    byte(tag(field, kLength));
    varint(content);
  }
  void bytes(unsigned field, Bytes value) noexcept {
    open(field, value.size());
    if (!value.empty()) raw(value);
  }
  // proto3: an empty text is left out.
  void text(unsigned field, Text value) noexcept {
    if (!value.empty()) bytes(field, value);
  }
  void number(unsigned field, std::uint64_t value) noexcept {
    byte(tag(field, kVarint));
    varint(value);
  }
  template <typename T>
  void fixed(unsigned field, T value) noexcept {
    byte(tag(field, sizeof(T) == 8 ? kFixed64 : kFixed32));
    raw({reinterpret_cast<const char*>(&value), sizeof value});
  }

 private:
  char* at_;
};

// ---- Values and attributes ---------------------------------------------------------------------
// AnyValue is a oneof: unlike elsewhere in proto3, empty and zero values are written.

std::size_t list_size(std::span<const Text> texts) noexcept {
  std::size_t size = 0;
  for (const Text text : texts) size += field_size(field_size(text.size()));
  return size;
}
constexpr std::size_t kDoubleSize = 1 + 8;

std::size_t value_size(const AttributeValue& value) noexcept {
  if (const auto* text = std::get_if<Text>(&value)) return field_size(text->size());
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    return 1 + varint_size(static_cast<std::uint64_t>(*integer));
  }
  if (std::holds_alternative<double>(value)) return kDoubleSize;
  if (std::holds_alternative<bool>(value)) return 1 + 1;
  if (const auto* texts = std::get_if<std::span<const Text>>(&value)) {
    return field_size(list_size(*texts));
  }
  return field_size(std::get<std::span<const double>>(value).size() * field_size(kDoubleSize));
}

void write_value(Cursor& out, const AttributeValue& value) noexcept {
  if (const auto* text = std::get_if<Text>(&value)) {
    out.bytes(1, *text);
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    out.number(3, static_cast<std::uint64_t>(*integer));
  } else if (const auto* number = std::get_if<double>(&value)) {
    out.fixed(4, *number);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    out.number(2, *flag ? 1 : 0);
  } else if (const auto* texts = std::get_if<std::span<const Text>>(&value)) {
    out.open(5, list_size(*texts));
    for (const Text element : *texts) {
      out.open(1, field_size(element.size()));
      out.bytes(1, element);
    }
  } else {
    const auto numbers = std::get<std::span<const double>>(value);
    out.open(5, numbers.size() * field_size(kDoubleSize));
    for (const double element : numbers) {
      out.open(1, kDoubleSize);
      out.fixed(4, element);
    }
  }
}

std::size_t attribute_size(const Attribute& attribute) noexcept {
  return text_size(attribute.key) + field_size(value_size(attribute.value));
}

std::size_t attributes_size(const ArenaVector<Attribute>& attributes) noexcept {
  std::size_t size = 0;
  for (const Attribute& attribute : attributes) size += field_size(attribute_size(attribute));
  return size;
}

void write_attributes(Cursor& out, unsigned field,
                      const ArenaVector<Attribute>& attributes) noexcept {
  for (const Attribute& attribute : attributes) {
    const std::size_t value = value_size(attribute.value);
    out.open(field, text_size(attribute.key) + field_size(value));
    out.text(1, attribute.key);
    out.open(2, value);
    write_value(out, attribute.value);
  }
}

// ---- Events, status, spans ---------------------------------------------------------------------

// Before 1970 there is no unsigned time; 0 means unknown.
std::uint64_t wire_time(Timestamp time) noexcept {
  const std::int64_t ns = unix_ns(time);
  return ns < 0 ? 0 : static_cast<std::uint64_t>(ns);
}

std::size_t event_size(const SpanEvent& event) noexcept {
  return 1 + 8 + text_size(event.name) + attributes_size(event.attributes);
}

void write_event(Cursor& out, const SpanEvent& event) noexcept {
  out.open(11, event_size(event));
  out.fixed(1, wire_time(event.time));
  out.text(2, event.name);
  write_attributes(out, 3, event.attributes);
}

std::size_t status_size(const Span& span) noexcept {
  const std::size_t code = span.status == StatusCode::kUnset ? 0 : 2;
  return text_size(span.status_message) + code;
}

std::size_t span_size(const Span& span) noexcept {
  std::size_t size = field_size(span.trace_id.bytes.size()) + field_size(span.span_id.bytes.size());
  if (!span.parent_span_id.is_zero()) size += field_size(span.parent_span_id.bytes.size());
  size += text_size(span.name) + 2 /* kind */ + 2 * (1 + 8) /* times */;
  size += attributes_size(span.attributes) + count_size(span.dropped_attributes);
  for (const SpanEvent& event : span.events) size += field_size(event_size(event));
  const std::size_t status = status_size(span);
  if (status != 0) size += field_size(status);
  return size + (span.flags == 0 ? 0 : kSpanFlagsSize);
}

void write_span(Cursor& out, const Span& span, std::size_t size) noexcept {
  out.open(2, size);
  out.bytes(1, span.trace_id.view());
  out.bytes(2, span.span_id.view());
  if (!span.parent_span_id.is_zero()) out.bytes(4, span.parent_span_id.view());
  out.text(5, span.name);
  out.number(6, static_cast<std::uint64_t>(span.kind));
  out.fixed(7, wire_time(span.start));
  out.fixed(8, wire_time(span.end));
  write_attributes(out, 9, span.attributes);
  if (span.dropped_attributes != 0) out.number(10, span.dropped_attributes);
  for (const SpanEvent& event : span.events) write_event(out, event);
  if (const std::size_t status = status_size(span); status != 0) {
    out.open(15, status);
    out.text(2, span.status_message);
    if (span.status != StatusCode::kUnset) out.number(3, static_cast<std::uint64_t>(span.status));
  }
  if (span.flags != 0) {
    out.byte(0x85);  // field 16, fixed32, in two bytes
    out.byte(0x01);
    out.raw({reinterpret_cast<const char*>(&span.flags), sizeof span.flags});
  }
}

}  // namespace

void encode_otlp_protobuf(const Trace& /*trace*/, const SpanSet& set, ByteBuffer& out) {
  const std::size_t resource = attributes_size(set.resource);
  const std::size_t scope = text_size(set.scope_name) + text_size(set.scope_version);
  // A span's size is asked for twice; adding up its attributes is a third of the work here.
  std::array<std::size_t, kSpanSizesKept> sizes{};
  std::size_t scope_spans = field_size(scope);
  for (std::size_t i = 0; i < set.spans.size(); ++i) {
    const std::size_t size = span_size(set.spans[i]);
    if (i < sizes.size()) sizes[i] = size;
    scope_spans += field_size(size);
  }
  const std::size_t entry = field_size(resource) + field_size(scope_spans);

  char* const start = out.reserve(field_size(entry));
  Cursor cursor(start);
  cursor.open(1, entry);  // resource_spans
  cursor.open(1, resource);
  write_attributes(cursor, 1, set.resource);
  cursor.open(2, scope_spans);
  cursor.open(1, scope);
  cursor.text(1, set.scope_name);
  cursor.text(2, set.scope_version);
  for (std::size_t i = 0; i < set.spans.size(); ++i) {
    write_span(cursor, set.spans[i], i < sizes.size() ? sizes[i] : span_size(set.spans[i]));
  }
  SIDECAST_ASSERT(cursor.at() == start + field_size(entry));
  out.advance(field_size(entry));
}

}  // namespace sidecast
