// Random SpanSets for the encoders' round trips: every kind of value, empty ones included, lists,
// events, ids, extreme numbers. Texts are valid UTF-8, which is what an encoder is promised.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "engine/model/span.h"

namespace sidecast {

class SpanSetGenerator {
 public:
  explicit SpanSetGenerator(Arena& arena) : arena_(arena) {}

  SpanSet span_set() {
    SpanSet set(arena_);
    attributes(set.resource);
    set.scope_name = text();
    set.scope_version = text();
    const auto count = *rc::gen::inRange(0, 4);
    for (int i = 0; i < count; ++i) span(set.spans.emplace_back(arena_));
    return set;
  }

 private:
  Text text() {
    // Sizes on both sides of 128: lengths of one and of two bytes.
    static const std::vector<std::string> kPieces = {"",
                                                     "a",
                                                     "key",
                                                     "\"quoted\\\n\t",
                                                     "\x01\x1f\x7f",
                                                     "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80",
                                                     std::string(127, 'x'),
                                                     std::string(128, 'y'),
                                                     std::string(20'000, 'z')};
    return arena_.copy(*rc::gen::elementOf(kPieces) + *rc::gen::elementOf(kPieces));
  }

  std::int64_t integer() {
    return *rc::gen::oneOf(
        rc::gen::arbitrary<std::int64_t>(),
        rc::gen::element<std::int64_t>(0, 1, -1, 127, 128, std::numeric_limits<std::int64_t>::max(),
                                       std::numeric_limits<std::int64_t>::min()));
  }

  double number() {
    return *rc::gen::oneOf(rc::gen::arbitrary<double>(),
                           rc::gen::element<double>(0.0, 1.0, -1.5, 1e300, 0.1));
  }

  template <typename T, typename Make>
  std::span<const T> list(Make make) {
    const auto count = static_cast<std::size_t>(*rc::gen::inRange(0, 4));
    T* const values = std::pmr::polymorphic_allocator<T>(arena_.resource()).allocate(count);
    for (std::size_t i = 0; i < count; ++i) new (&values[i]) T(make());
    return {values, count};
  }

  AttributeValue value() {
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
        return text();
      case 1:
        return integer();
      case 2:
        return number();
      case 3:
        return *rc::gen::arbitrary<bool>();
      case 4:
        return list<Text>([this] { return text(); });
      default:
        return list<double>([this] { return number(); });
    }
  }

  void attributes(ArenaVector<Attribute>& to) {
    const auto count = *rc::gen::inRange(0, 8);
    for (int i = 0; i < count; ++i) {
      to.push_back({arena_.copy("key." + std::to_string(i) + std::string(text())), value()});
    }
  }

  template <typename Id>
  Id id() {
    Id id;
    for (unsigned char& byte : id.bytes) byte = *rc::gen::arbitrary<unsigned char>();
    id.bytes.back() |= 1U;
    return id;
  }

  Timestamp time() { return timestamp_from_ns(*rc::gen::positive<std::int64_t>()); }

  void span(Span& span) {
    span.trace_id = id<TraceId>();
    span.span_id = id<SpanId>();
    if (*rc::gen::arbitrary<bool>()) span.parent_span_id = id<SpanId>();
    span.flags = *rc::gen::element<std::uint32_t>(0, 0x101, 0x301);
    span.name = text();
    span.kind = *rc::gen::element(SpanKind::kInternal, SpanKind::kServer, SpanKind::kClient,
                                  SpanKind::kProducer, SpanKind::kConsumer);
    span.start = time();
    span.end = time();
    span.status = *rc::gen::element(StatusCode::kUnset, StatusCode::kOk, StatusCode::kError);
    span.status_message = text();
    span.dropped_attributes = *rc::gen::element<std::uint32_t>(0, 1, 300);
    attributes(span.attributes);
    const auto count = *rc::gen::inRange(0, 3);
    for (int i = 0; i < count; ++i) {
      SpanEvent& event = span.events.emplace_back(arena_);
      event.name = text();
      event.time = time();
      attributes(event.attributes);
    }
  }

  Arena& arena_;
};

}  // namespace sidecast
