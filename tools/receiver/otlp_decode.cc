#include "tools/receiver/otlp_decode.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace sidecast::receiver {
namespace {

using Attributes = google::protobuf::RepeatedPtrField<otlp::KeyValue>;

constexpr std::size_t kTraceIdBytes = 16;
constexpr std::size_t kSpanIdBytes = 8;

bool is_zero(std::string_view id) {
  return std::all_of(id.begin(), id.end(), [](char byte) { return byte == '\0'; });
}

std::string check_id(std::string_view id, std::size_t bytes, std::string_view name) {
  if (id.size() != bytes) {
    return std::string(name) + " has " + std::to_string(id.size()) + " bytes, not " +
           std::to_string(bytes);
  }
  if (is_zero(id)) return std::string(name) + " is all zero";
  return {};
}

std::string check_keys(const Attributes& attributes) {
  std::vector<std::string_view> keys;
  keys.reserve(static_cast<std::size_t>(attributes.size()));
  for (const otlp::KeyValue& attribute : attributes) {
    if (attribute.key().empty()) return "an attribute has an empty key";
    keys.emplace_back(attribute.key());
  }
  std::sort(keys.begin(), keys.end());
  const auto repeated = std::adjacent_find(keys.begin(), keys.end());
  if (repeated != keys.end()) return "attribute '" + std::string(*repeated) + "' stands twice";
  return {};
}

std::string check_span(const otlp::Span& span) {
  if (std::string fault = check_id(span.trace_id(), kTraceIdBytes, "traceId"); !fault.empty()) {
    return fault;
  }
  if (std::string fault = check_id(span.span_id(), kSpanIdBytes, "spanId"); !fault.empty()) {
    return fault;
  }
  if (!span.parent_span_id().empty()) {
    std::string fault = check_id(span.parent_span_id(), kSpanIdBytes, "parentSpanId");
    if (!fault.empty()) return fault;
  }
  if (span.end_time_unix_nano() < span.start_time_unix_nano())
    return "the span ends before it starts";
  if (std::string fault = check_keys(span.attributes()); !fault.empty()) return fault;
  for (const otlp::Span::Event& event : span.events()) {
    if (std::string fault = check_keys(event.attributes()); !fault.empty())
      return "event: " + fault;
  }
  for (const otlp::Span::Link& link : span.links()) {
    std::string fault = check_id(link.trace_id(), kTraceIdBytes, "traceId");
    if (fault.empty()) fault = check_id(link.span_id(), kSpanIdBytes, "spanId");
    if (!fault.empty()) return "link: " + fault;
  }
  return {};
}

}  // namespace

std::string check_export_request(const otlp::ExportTraceServiceRequest& request) {
  for (const otlp::ResourceSpans& resource_spans : request.resource_spans()) {
    std::string fault = check_keys(resource_spans.resource().attributes());
    if (!fault.empty()) return "resource: " + fault;
    for (const otlp::ScopeSpans& scope_spans : resource_spans.scope_spans()) {
      for (const otlp::Span& span : scope_spans.spans()) {
        fault = check_span(span);
        if (!fault.empty()) return "span '" + span.name() + "': " + fault;
      }
    }
  }
  return {};
}

Accepted<otlp::ExportTraceServiceRequest> decode_export_request(Encoding encoding,
                                                                std::string_view body) {
  Accepted<otlp::ExportTraceServiceRequest> request;
  if (encoding == Encoding::kJson) {
    request = parse_export_json(body);
    if (!request) return request;
  } else if (!request->ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return refuse(400, "the body is not a protobuf ExportTraceServiceRequest");
  }
  if (std::string fault = check_export_request(*request); !fault.empty()) {
    return refuse(400, std::move(fault));
  }
  return request;
}

}  // namespace sidecast::receiver
