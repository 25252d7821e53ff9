#include "tools/receiver/intake.h"

#include <algorithm>
#include <ctime>
#include <optional>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include "engine/base/arena.h"
#include "engine/base/json_writer.h"
#include "engine/base/utf8.h"
#include "tools/receiver/body.h"

namespace sidecast::receiver {
namespace {

constexpr std::string_view kProtobufType = "application/x-protobuf";
constexpr std::string_view kJsonType = "application/json";

std::string to_lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  });
  return lower;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string_view header(const HttpRequest& request, std::string_view name) {
  for (const auto& [key, value] : request.headers) {
    if (key == name) return value;
  }
  return {};
}

// Parameters such as charset are ignored.
std::optional<Encoding> encoding_of(const HttpRequest& request) {
  const std::string_view value = header(request, "content-type");
  const std::string type = to_lower(trim(value.substr(0, value.find(';'))));
  if (type == kProtobufType) return Encoding::kProtobuf;
  if (type == kJsonType) return Encoding::kJson;
  return std::nullopt;
}

// google.rpc.Code of an HTTP status, for error bodies.
int rpc_code(int status) {
  switch (status) {
    case 400:
      return 3;  // INVALID_ARGUMENT
    case 401:
      return 16;  // UNAUTHENTICATED
    case 403:
      return 7;  // PERMISSION_DENIED
    case 404:
      return 5;  // NOT_FOUND
    case 413:
    case 429:
      return 8;  // RESOURCE_EXHAUSTED
    case 502:
    case 503:
      return 14;  // UNAVAILABLE
    case 504:
      return 4;  // DEADLINE_EXCEEDED
    case 500:
      return 13;  // INTERNAL
    case 405:
    case 415:
    case 501:
      return 12;  // UNIMPLEMENTED
    default:
      return 2;  // UNKNOWN
  }
}

// google.rpc.Status: code = 1, message = 2. Its .proto is not among the installed ones.
std::string rpc_status(Encoding encoding, int status, std::string_view message) {
  if (encoding == Encoding::kJson) {
    ByteBuffer buffer;
    JsonWriter json(buffer);
    json.begin_object()
        .key("code")
        .integer(rpc_code(status))
        .key("message")
        .string(message)
        .end_object();
    return std::string(buffer.view());
  }
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  google::protobuf::internal::WireFormatLite::WriteInt32(1, rpc_code(status), &coded);
  google::protobuf::internal::WireFormatLite::WriteString(2, std::string(message), &coded);
  coded.Trim();
  return bytes;
}

HttpAnswer error_answer(std::optional<Encoding> encoding, int status, std::string_view message) {
  HttpAnswer answer;
  answer.status = status;
  if (encoding) {
    answer.headers.emplace_back("Content-Type",
                                *encoding == Encoding::kJson ? kJsonType : kProtobufType);
    answer.body = rpc_status(*encoding, status, message);
  } else {
    answer.headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
    answer.body = std::string(message) + "\n";
  }
  if (status == 405) answer.headers.emplace_back("Allow", "POST");
  return answer;
}

HttpAnswer success_answer(Encoding encoding, std::uint64_t rejected_spans, bool is_partial) {
  constexpr std::string_view kWhy = "rejected on request";
  HttpAnswer answer;
  if (encoding == Encoding::kJson) {
    answer.headers.emplace_back("Content-Type", kJsonType);
    answer.body =
        is_partial
            ? fmt::format(R"({{"partialSuccess":{{"rejectedSpans":"{}","errorMessage":"{}"}}}})",
                          rejected_spans, kWhy)
            : "{}";
    return answer;
  }
  answer.headers.emplace_back("Content-Type", kProtobufType);
  otlp::ExportTraceServiceResponse response;
  if (is_partial) {
    response.mutable_partial_success()->set_rejected_spans(
        static_cast<std::int64_t>(rejected_spans));
    response.mutable_partial_success()->set_error_message(std::string(kWhy));
  }
  answer.body = response.SerializeAsString();
  return answer;
}

HttpAnswer status_answer(Encoding encoding, const Rule& rule, Timestamp now) {
  if (rule.status < 300) {
    // As real servers do: a 2xx whose body is not a response message.
    return {.status = rule.status,
            .headers = {{"Content-Type", "text/plain"}},
            .body = rule.status == 204 ? "" : "ok\n"};
  }
  HttpAnswer answer = error_answer(encoding, rule.status, "misbehaving on request");
  if (rule.retry_after == Rule::RetryAfter::kSeconds) {
    answer.headers.emplace_back("Retry-After", std::to_string(rule.retry_after_delay.count()));
  } else if (rule.retry_after == Rule::RetryAfter::kDate) {
    const auto when =
        std::chrono::time_point_cast<std::chrono::seconds>(now + rule.retry_after_delay);
    answer.headers.emplace_back(
        "Retry-After", fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT",
                                   fmt::gmtime(std::chrono::system_clock::to_time_t(when))));
  }
  return answer;
}

// Header values and targets may hold any octets; lines must be UTF-8.
std::string printable(std::string_view text) {
  if (is_valid_utf8(text)) return std::string(text);
  Arena arena(1024);
  return std::string(to_valid_utf8(text, arena));
}

RequestNote note_of(const HttpRequest& request) {
  RequestNote note{.path = printable(request.target),
                   .content_type = printable(header(request, "content-type")),
                   .content_encoding = printable(header(request, "content-encoding")),
                   .headers = {}};
  for (const auto& [name, value] : request.headers)
    note.headers.emplace_back(name, printable(value));
  return note;
}

}  // namespace

Intake::Intake(std::size_t body_bytes_max, std::vector<Rule> misbehaviour, std::uint64_t seed,
               SpanFile* out)
    : body_bytes_max_(body_bytes_max), misbehaviour_(std::move(misbehaviour), seed), out_(out) {}

Reply Intake::receive(HttpRequest request, Timestamp now) {
  const std::optional<Encoding> encoding = encoding_of(request);
  if (request.method != "POST") {
    return refusal(request, {405, "OTLP is sent with POST"});
  }
  if (!encoding) {
    return refusal(request,
                   {415, fmt::format("Content-Type must be {} or {}", kProtobufType, kJsonType)});
  }
  bytes_received_.fetch_add(request.body.size(), std::memory_order_relaxed);
  const std::string content_encoding = to_lower(trim(header(request, "content-encoding")));
  Accepted<Reply> reply = decode_body(content_encoding, std::move(request.body), body_bytes_max_)
                              .and_then([&](const std::string& body) {
                                return receive_decoded(request, *encoding, body, now);
                              });
  if (!reply) return refusal(request, reply.error());
  requests_.fetch_add(1, std::memory_order_relaxed);
  return *std::move(reply);
}

Reply Intake::refusal(const HttpRequest& request, const Refusal& why) {
  Reply reply;
  reply.answer = refuse_unread(request, why);
  return reply;
}

HttpAnswer Intake::refuse_unread(const HttpRequest& request, const Refusal& refusal) {
  requests_.fetch_add(1, std::memory_order_relaxed);
  refused_.fetch_add(1, std::memory_order_relaxed);
  return error_answer(encoding_of(request), refusal.status, refusal.message);
}

Accepted<Reply> Intake::receive_decoded(const HttpRequest& request, Encoding encoding,
                                        const std::string& body, Timestamp now) {
  bytes_decoded_.fetch_add(body.size(), std::memory_order_relaxed);
  const Conduct conduct = misbehaviour_.decide(request.target, body);
  const bool misbehaves = conduct.rule.has_value() || conduct.delay.count() > 0;
  if (misbehaves) misbehaved_.fetch_add(1, std::memory_order_relaxed);

  Reply reply;
  reply.delay = conduct.delay;
  const Rule* const rule = conduct.rule ? &*conduct.rule : nullptr;
  const bool is_status = rule != nullptr && rule->action == Rule::Action::kStatus;
  if (rule != nullptr &&
      (rule->action == Rule::Action::kReset || (is_status && rule->status >= 300))) {
    reply.reset = !is_status;
    if (is_status) reply.answer = status_answer(encoding, *rule, now);
    return reply;
  }

  const bool is_partial = rule != nullptr && rule->action == Rule::Action::kPartial;
  const Accepted<std::uint64_t> rejected =
      store(request, encoding, body, is_partial ? rule->rejected_spans : 0);
  if (!rejected) return tl::unexpected<Refusal>(rejected.error());
  reply.reset = rule != nullptr && rule->action == Rule::Action::kLoseAnswer;
  reply.answer = is_status ? status_answer(encoding, *rule, now)
                           : success_answer(encoding, *rejected, is_partial);
  return reply;
}

// Decodes and stores all spans but the last `reject`; returns how many those really were.
Accepted<std::uint64_t> Intake::store(const HttpRequest& request, Encoding encoding,
                                      std::string_view body, std::uint64_t reject) {
  const auto decoded = decode_export_request(encoding, body);
  if (!decoded) return tl::unexpected<Refusal>(decoded.error());
  const std::uint64_t span_count = count_spans(*decoded);
  const std::uint64_t rejected = std::min(reject, span_count);
  if (out_ != nullptr) {
    ByteBuffer lines;
    append_span_lines(*decoded, note_of(request), span_count - rejected, lines);
    if (const Status stored = out_->append(lines.view()); !stored) {
      return refuse(503, stored.error().message());
    }
  }
  spans_.fetch_add(span_count - rejected, std::memory_order_relaxed);
  return rejected;
}

IntakeCounts Intake::counts() const noexcept {
  constexpr auto kRelaxed = std::memory_order_relaxed;  // sums for people; nothing depends on them
  return {.requests = requests_.load(kRelaxed),
          .spans = spans_.load(kRelaxed),
          .refused = refused_.load(kRelaxed),
          .misbehaved = misbehaved_.load(kRelaxed),
          .bytes_received = bytes_received_.load(kRelaxed),
          .bytes_decoded = bytes_decoded_.load(kRelaxed)};
}

}  // namespace sidecast::receiver
