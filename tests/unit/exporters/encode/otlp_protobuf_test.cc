// Our protobuf bytes, read by protobuf's own classes.
#include "exporters/encode/otlp_protobuf.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "exporters/registry.h"
#include "otlp_trace.pb.h"
#include "tests/unit/exporters/encode/span_set_generator.h"

namespace sidecast {
namespace {

namespace otlp = opentelemetry::proto::trace::v1;

template <typename List>
bool same_attributes(const ArenaVector<Attribute>& wrote, const List& read) {
  if (static_cast<std::size_t>(read.size()) != wrote.size()) return false;
  for (int i = 0; i < read.size(); ++i) {
    const Attribute& attribute = wrote[static_cast<std::size_t>(i)];
    if (read[i].key() != attribute.key) return false;
    const otlp::AnyValue& value = read[i].value();
    if (const auto* text = std::get_if<Text>(&attribute.value)) {
      if (!value.has_string_value() || value.string_value() != *text) return false;
    } else if (const auto* integer = std::get_if<std::int64_t>(&attribute.value)) {
      if (!value.has_int_value() || value.int_value() != *integer) return false;
    } else if (const auto* number = std::get_if<double>(&attribute.value)) {
      if (!value.has_double_value() || value.double_value() != *number) return false;
    } else if (const auto* flag = std::get_if<bool>(&attribute.value)) {
      if (!value.has_bool_value() || value.bool_value() != *flag) return false;
    } else {
      if (!value.has_array_value()) return false;
      const auto& elements = value.array_value().values();
      const auto* texts = std::get_if<std::span<const Text>>(&attribute.value);
      const auto* numbers = std::get_if<std::span<const double>>(&attribute.value);
      const std::size_t size = texts != nullptr ? texts->size() : numbers->size();
      if (static_cast<std::size_t>(elements.size()) != size) return false;
      for (std::size_t k = 0; k < size; ++k) {
        const otlp::AnyValue& element = elements[static_cast<int>(k)];
        const bool same =
            texts != nullptr
                ? element.has_string_value() && element.string_value() == (*texts)[k]
                : element.has_double_value() && element.double_value() == (*numbers)[k];
        if (!same) return false;
      }
    }
  }
  return true;
}

void check_span(const Span& wrote, const otlp::Span& read) {
  RC_ASSERT(read.trace_id() == wrote.trace_id.view());
  RC_ASSERT(read.span_id() == wrote.span_id.view());
  RC_ASSERT(read.parent_span_id() ==
            (wrote.parent_span_id.is_zero() ? Bytes() : wrote.parent_span_id.view()));
  RC_ASSERT(read.flags() == wrote.flags);
  RC_ASSERT(read.name() == wrote.name);
  RC_ASSERT(static_cast<int>(read.kind()) == static_cast<int>(wrote.kind));
  RC_ASSERT(static_cast<std::int64_t>(read.start_time_unix_nano()) == unix_ns(wrote.start));
  RC_ASSERT(static_cast<std::int64_t>(read.end_time_unix_nano()) == unix_ns(wrote.end));
  RC_ASSERT(static_cast<int>(read.status().code()) == static_cast<int>(wrote.status));
  RC_ASSERT(read.status().message() == wrote.status_message);
  RC_ASSERT(read.dropped_attributes_count() == wrote.dropped_attributes);
  RC_ASSERT(same_attributes(wrote.attributes, read.attributes()));
  RC_ASSERT(static_cast<std::size_t>(read.events_size()) == wrote.events.size());
  for (int i = 0; i < read.events_size(); ++i) {
    const SpanEvent& event = wrote.events[static_cast<std::size_t>(i)];
    RC_ASSERT(read.events(i).name() == event.name);
    RC_ASSERT(static_cast<std::int64_t>(read.events(i).time_unix_nano()) == unix_ns(event.time));
    RC_ASSERT(same_attributes(event.attributes, read.events(i).attributes()));
  }
}

void check_entry(const SpanSet& wrote, const otlp::ResourceSpans& read) {
  RC_ASSERT(same_attributes(wrote.resource, read.resource().attributes()));
  RC_ASSERT(read.scope_spans_size() == 1);
  const otlp::ScopeSpans& scope = read.scope_spans(0);
  RC_ASSERT(scope.scope().name() == wrote.scope_name);
  RC_ASSERT(scope.scope().version() == wrote.scope_version);
  RC_ASSERT(static_cast<std::size_t>(scope.spans_size()) == wrote.spans.size());
  for (int i = 0; i < scope.spans_size(); ++i) {
    check_span(wrote.spans[static_cast<std::size_t>(i)], scope.spans(i));
  }
}

RC_GTEST_PROP(OtlpProtobuf, ProtobufReadsBackWhatWasWritten, ()) {
  Arena arena;
  const Trace trace(arena);
  const SpanSet set = SpanSetGenerator(arena).span_set();
  ByteBuffer out;
  encode_otlp_protobuf(trace, set, out);
  otlp::ExportTraceServiceRequest request;
  RC_ASSERT(request.ParseFromArray(out.data(), static_cast<int>(out.size())));
  RC_ASSERT(request.resource_spans_size() == 1);
  RC_ASSERT(request.GetReflection()->GetUnknownFields(request).empty());
  check_entry(set, request.resource_spans(0));
  // Minimal lengths and defaults left out: protobuf itself writes the same number of bytes.
  RC_ASSERT(request.ByteSizeLong() == out.size());
}

RC_GTEST_PROP(OtlpProtobuf, EntriesOfManyRecordsMakeOneRequest, ()) {
  Arena arena;
  const Trace trace(arena);
  const Encoder* const encoder = find_encoder("otlp_protobuf");
  RC_ASSERT(encoder != nullptr);
  ByteBuffer body;
  body.append(encoder->prefix);
  std::vector<SpanSet> sets;
  const auto count = *rc::gen::inRange<std::size_t>(1, 5);
  for (std::size_t i = 0; i < count; ++i) {
    if (i != 0) body.append(encoder->separator);
    sets.push_back(SpanSetGenerator(arena).span_set());
    encoder->write(trace, sets.back(), body);
  }
  body.append(encoder->suffix);
  otlp::ExportTraceServiceRequest request;
  RC_ASSERT(request.ParseFromArray(body.data(), static_cast<int>(body.size())));
  RC_ASSERT(static_cast<std::size_t>(request.resource_spans_size()) == count);
  for (std::size_t i = 0; i < count; ++i) {
    check_entry(sets[i], request.resource_spans(static_cast<int>(i)));
  }
}

TEST(OtlpProtobuf, TimesBefore1970BecomeUnknown) {
  Arena arena;
  const Trace trace(arena);
  SpanSet set(arena);
  Span& span = set.spans.emplace_back(arena);
  span.start = timestamp_from_ns(-5);
  span.end = timestamp_from_ns(7);
  ByteBuffer out;
  encode_otlp_protobuf(trace, set, out);
  otlp::ExportTraceServiceRequest request;
  ASSERT_TRUE(request.ParseFromArray(out.data(), static_cast<int>(out.size())));
  const otlp::Span& read = request.resource_spans(0).scope_spans(0).spans(0);
  EXPECT_EQ(read.start_time_unix_nano(), 0U);
  EXPECT_EQ(read.end_time_unix_nano(), 7U);
}

}  // namespace
}  // namespace sidecast
