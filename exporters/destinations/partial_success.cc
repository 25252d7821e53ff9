#include "exporters/destinations/partial_success.h"

#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <simdjson.h>

#include "exporters/destinations/options.h"

namespace sidecast {
namespace {

// 64-bit numbers are strings in OTLP JSON, and numbers in much that claims to be.
std::int64_t lenient_integer(const simdjson::dom::element& element) {
  std::int64_t number = 0;
  if (element.get(number) == simdjson::SUCCESS) return number;
  double fraction = 0;
  if (element.get(fraction) == simdjson::SUCCESS) {
    return fraction >= 1 && fraction < 9e18 ? static_cast<std::int64_t>(fraction) : 0;
  }
  std::string_view text;
  if (element.get(text) != simdjson::SUCCESS) return 0;
  const auto parsed = parse_number("", text, {.min = 0, .max = INT64_MAX});
  return parsed ? static_cast<std::int64_t>(*parsed) : 0;
}

}  // namespace

std::optional<PartialSuccess> partial_success_of_protobuf(std::string_view body) {
  std::optional<PartialSuccess> partial;
  try {
    protozero::pbf_reader response(body.data(), body.size());
    while (response.next(1, protozero::pbf_wire_type::length_delimited)) {
      protozero::pbf_reader fields = response.get_message();
      if (!partial) partial.emplace();
      while (fields.next()) {
        switch (fields.tag_and_type()) {
          case protozero::tag_and_type(1, protozero::pbf_wire_type::varint):
            partial->rejected_spans = fields.get_int64();
            break;
          case protozero::tag_and_type(2, protozero::pbf_wire_type::length_delimited):
            partial->message = fields.get_string();
            break;
          default:
            fields.skip();
        }
      }
    }
  } catch (const protozero::exception&) {
    return std::nullopt;
  }
  return partial;
}

std::optional<PartialSuccess> partial_success_of_json(std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  for (const char* outer : {"partialSuccess", "partial_success"}) {
    simdjson::dom::element fields;
    if (document[outer].get(fields) != simdjson::SUCCESS) continue;
    PartialSuccess partial;
    simdjson::dom::element element;
    for (const char* name : {"rejectedSpans", "rejected_spans"}) {
      if (fields[name].get(element) == simdjson::SUCCESS) {
        partial.rejected_spans = lenient_integer(element);
      }
    }
    for (const char* name : {"errorMessage", "error_message"}) {
      std::string_view text;
      if (fields[name].get(text) == simdjson::SUCCESS) partial.message = text;
    }
    return partial;
  }
  return std::nullopt;
}

}  // namespace sidecast
