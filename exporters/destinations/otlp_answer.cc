// What an OTLP receiver's answer means: delivered, delivered in part, or a refusal like any other.
// Pure; every byte of an answer is hostile.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <simdjson.h>

#include "exporters/destinations/answer.h"
#include "exporters/destinations/options.h"
#include "exporters/destinations/otlp.h"

namespace sidecast {
namespace {

std::string lower_case(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

struct PartialSuccess {
  std::int64_t rejected_spans = 0;
  std::string message;
};

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

std::optional<PartialSuccess> partial_success(const Request& request, const Response& response) {
  if (response.body.empty() || response.body_truncated) return std::nullopt;
  std::string type = lower_case(header_value(response, "content-type"));
  const auto is_known = [&type] {
    return type.find("json") != std::string::npos || type.find("protobuf") != std::string::npos;
  };
  if (!is_known()) {
    for (const Header& header : request.headers) {
      if (lower_case(header.name) == "content-type") type = lower_case(header.value);
    }
  }
  return type.find("json") != std::string::npos ? partial_success_of_json(response.body)
                                                : partial_success_of_protobuf(response.body);
}

}  // namespace

Verdict judge_otlp(const Request& request, const Response& response, Timestamp now,
                   std::span<const int> retried_statuses) {
  const bool is_success = response.failure == Response::Failure::kNone && response.status >= 200 &&
                          response.status < 300;
  if (!is_success) return judge_refusal(request, response, now, retried_statuses);
  Verdict verdict;
  if (is_html(response) || is_grpc(response)) {
    // No receiver of this protocol, whatever its status: a login page, an app that answers every
    // path, the port for gRPC, which tells a failure behind its 200. Counting it as delivered would
    // lose all data without a word.
    verdict.kind = Verdict::Kind::kPause;
    verdict.explanation = explain(response, "",
                                  is_html(response) ? "check the endpoint: a web page answered"
                                                    : "check the endpoint: a gRPC server answered");
    verdict.server_text = shown_text(request, server_text(response));
    return verdict;
  }
  const auto partial = partial_success(request, response);
  if (!partial) return verdict;
  verdict.server_text = shown_text(request, partial->message);
  if (partial->rejected_spans > 0) {
    verdict.kind = Verdict::Kind::kPartial;
    verdict.reason = RejectReason::kPartial;
    verdict.rejected_spans = static_cast<std::uint64_t>(partial->rejected_spans);
    verdict.explanation =
        explain(response, "", "rejected spans: " + std::to_string(verdict.rejected_spans));
  } else if (!partial->message.empty()) {
    // Without rejected spans the message is a warning; it is told and changes nothing.
    verdict.explanation = explain(response, "", "accepted, with a warning");
  }
  return verdict;
}

}  // namespace sidecast
