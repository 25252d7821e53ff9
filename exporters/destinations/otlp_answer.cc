// What an OTLP receiver's answer means: delivered, delivered in part, or a refusal like any other.
// Pure; every byte of an answer is hostile.
#include <optional>
#include <string>
#include <string_view>

#include "exporters/destinations/answer.h"
#include "exporters/destinations/otlp.h"
#include "exporters/destinations/partial_success.h"

namespace sidecast {
namespace {

std::string lower_case(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
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
