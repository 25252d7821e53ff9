#include "exporters/destinations/grpc.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <string>

#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>

#include "engine/base/base64.h"
#include "exporters/destinations/answer.h"
#include "exporters/destinations/options.h"
#include "exporters/destinations/partial_success.h"

namespace sidecast {
namespace {

constexpr std::size_t kFrameHeadBytes = 5;  // compressed or not, then the length, big-endian
constexpr std::size_t kDetailsBytesMax = 64U << 10U;
constexpr std::int64_t kRetrySecondsMax =
    std::int64_t{7} * 24 * 3600;  // keeps sums of times in range

// google/rpc/code.proto.
enum class Code : std::uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// Numbers that are none of the list mean unknown.
Code code_of(std::string_view text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_known = error == std::errc() && end == text.data() + text.size() &&
                        number <= static_cast<unsigned>(Code::kUnauthenticated);
  return is_known ? static_cast<Code>(number) : Code::kUnknown;
}

// What an HTTP status means where something that is no gRPC server answered, a proxy perhaps.
Code code_of_http(int status) {
  switch (status) {
    case 401:
    case 407:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return Code::kUnavailable;
    case 400:
    case 431:
      return Code::kInternal;
    default:
      return Code::kUnknown;
  }
}

// grpc-message is percent-encoded; what is not is taken as it stands.
std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    const bool is_escape =
        text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr ==
            text.data() + i + 3;
    decoded += is_escape ? static_cast<char>(value) : text[i];
    if (is_escape) i += 2;
  }
  return decoded;
}

// Base64 of the standard alphabet whose padding may be missing; empty when it is none.
std::string base64_decoded(std::string_view text) {
  if (text.size() > kDetailsBytesMax) return {};
  std::string url(text);
  while (url.ends_with('=')) url.pop_back();
  std::replace(url.begin(), url.end(), '+', '-');
  std::replace(url.begin(), url.end(), '/', '_');
  return from_base64url(url).value_or("");
}

Milliseconds duration_of(protozero::pbf_reader duration) {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;
  while (duration.next()) {
    switch (duration.tag_and_type()) {
      case protozero::tag_and_type(1, protozero::pbf_wire_type::varint):
        seconds = duration.get_int64();
        break;
      case protozero::tag_and_type(2, protozero::pbf_wire_type::varint):
        nanos = duration.get_int32();
        break;
      default:
        duration.skip();
    }
  }
  const auto whole = std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, kRetrySecondsMax));
  const auto rest = std::chrono::nanoseconds(std::clamp(nanos, 0, 999'999'999));
  return whole + std::chrono::ceil<Milliseconds>(rest);
}

// The delay of the RetryInfo among the details of a google.rpc.Status.
std::optional<Milliseconds> retry_delay(const Response& response) {
  const std::string status =
      base64_decoded(trim_blanks(header_value(response, "grpc-status-details-bin")));
  try {
    protozero::pbf_reader fields(status);
    while (fields.next(3, protozero::pbf_wire_type::length_delimited)) {
      protozero::pbf_reader any = fields.get_message();
      std::string type;
      protozero::data_view value;
      while (any.next()) {
        switch (any.tag_and_type()) {
          case protozero::tag_and_type(1, protozero::pbf_wire_type::length_delimited):
            type = any.get_string();
            break;
          case protozero::tag_and_type(2, protozero::pbf_wire_type::length_delimited):
            value = any.get_view();
            break;
          default:
            any.skip();
        }
      }
      if (!type.ends_with("/google.rpc.RetryInfo")) continue;
      protozero::pbf_reader retry_info(value);
      if (retry_info.next(1, protozero::pbf_wire_type::length_delimited)) {
        return duration_of(retry_info.get_message());
      }
    }
  } catch (const protozero::exception&) {
    // Not a Status after all: it says nothing.
  }
  return std::nullopt;
}

// The answer's one message, or nothing when it has none that can be read. We ask for no compression
// of answers, so a compressed one is not read.
std::optional<std::string_view> message_of(std::string_view body) {
  if (body.size() < kFrameHeadBytes || body[0] != 0) return std::nullopt;
  std::size_t bytes = 0;
  for (std::size_t i = 1; i < kFrameHeadBytes; ++i) {
    bytes = bytes << 8U | static_cast<unsigned char>(body[i]);
  }
  if (bytes > body.size() - kFrameHeadBytes) return std::nullopt;
  return body.substr(kFrameHeadBytes, bytes);
}

std::string explanation_of(Code code, std::string_view advice) {
  std::string line = "gRPC " + std::string(grpc_code_name(static_cast<int>(code)));
  if (!advice.empty()) line += "; " + std::string(advice);
  return line;
}

Verdict judge_success(const Request& request, const Response& response) {
  Verdict verdict;
  const auto message = message_of(response.body);
  if (!message || response.body_truncated) return verdict;
  const auto partial = partial_success_of_protobuf(*message);
  if (!partial) return verdict;
  verdict.server_text = shown_text(request, partial->message);
  if (partial->rejected_spans > 0) {
    verdict.kind = Verdict::Kind::kPartial;
    verdict.reason = RejectReason::kPartial;
    verdict.rejected_spans = static_cast<std::uint64_t>(partial->rejected_spans);
    verdict.explanation =
        explanation_of(Code::kOk, "rejected spans: " + std::to_string(verdict.rejected_spans));
  } else if (!partial->message.empty()) {
    verdict.explanation = explanation_of(Code::kOk, "accepted, with a warning");
  }
  return verdict;
}

Verdict judge_code(Code code, const Response& response, std::string_view text) {
  Verdict verdict;
  std::string_view advice;
  switch (code) {
    case Code::kCancelled:
    case Code::kDeadlineExceeded:
    case Code::kAborted:
    case Code::kOutOfRange:
    case Code::kUnavailable:
    case Code::kDataLoss:
      verdict.kind = Verdict::Kind::kRetry;
      verdict.retry_hint = retry_delay(response);
      break;
    case Code::kResourceExhausted:
      // With a delay the server is short of something, without one the message is too large.
      verdict.retry_hint = retry_delay(response);
      if (verdict.retry_hint) {
        verdict.kind = Verdict::Kind::kRetry;
      } else if (names_size(text)) {
        verdict.kind = Verdict::Kind::kSplit;
        verdict.reason = RejectReason::kTooLarge;
        advice = "the message is larger than it takes";
      } else {
        verdict.kind = Verdict::Kind::kRejected;
        verdict.blames_content = true;
      }
      break;
    case Code::kUnauthenticated:
    case Code::kPermissionDenied:
      verdict.kind = Verdict::Kind::kPause;
      advice = "check the credentials";
      break;
    case Code::kNotFound:
    case Code::kUnimplemented:
      verdict.kind = Verdict::Kind::kPause;
      advice = "check the endpoint; it may lack this compression: try compression: none";
      break;
    default:
      verdict.kind = Verdict::Kind::kRejected;
      verdict.blames_content = code == Code::kInvalidArgument;
  }
  verdict.explanation = explanation_of(code, advice);
  return verdict;
}

}  // namespace

std::vector<Header> grpc_headers() {
  return {{"content-type", "application/grpc"}, {"te", "trailers"}};
}

Status set_grpc_message(Request& request, Bytes message, std::string_view encoding,
                        std::shared_ptr<const void> kept) {
  if (message.size() > std::numeric_limits<std::uint32_t>::max()) {
    return fail("frame a gRPC message: " + std::to_string(message.size()) +
                " bytes are more than its length can say");
  }
  struct Frame {
    std::array<char, kFrameHeadBytes> head{};
    std::shared_ptr<const void> message;
  };
  auto frame = std::make_shared<Frame>();
  frame->head[0] = encoding.empty() ? 0 : 1;
  for (std::size_t i = 1; i < kFrameHeadBytes; ++i) {
    frame->head[i] = static_cast<char>(message.size() >> 8U * (kFrameHeadBytes - 1 - i) & 0xffU);
  }
  frame->message = std::move(kept);
  request.http2 = true;
  if (!encoding.empty()) set_header(request, "grpc-encoding", std::string(encoding));
  request.body = {Bytes(frame->head.data(), frame->head.size())};
  if (!message.empty()) request.body.push_back(message);
  request.keep_alive = std::move(frame);
  return {};
}

Verdict judge_grpc(const Request& request, const Response& response, Timestamp now) {
  if (response.failure != Response::Failure::kNone) {
    return judge_refusal(request, response, now, {});
  }
  const std::string_view status = trim_blanks(header_value(response, "grpc-status"));
  const std::string text = percent_decoded(header_value(response, "grpc-message"));
  Verdict verdict;
  if (!status.empty()) {
    const Code code = code_of(status);
    if (code == Code::kOk) return judge_success(request, response);
    verdict = judge_code(code, response, text);
  } else if (response.status != 200) {
    verdict = judge_code(code_of_http(response.status), response, text);
    verdict.explanation += " (HTTP " + std::to_string(response.status) + ")";
  } else if (is_grpc(response)) {
    verdict.kind = Verdict::Kind::kRetry;
    verdict.explanation = "gRPC: the answer ended without a status";
  } else {
    verdict.kind = Verdict::Kind::kPause;
    verdict.explanation = explain(response, "", "check the endpoint: no gRPC server answered");
  }
  verdict.server_text = shown_text(request, text);
  return verdict;
}

}  // namespace sidecast
