#include "tools/sidecast/connection_test.h"

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "engine/base/sha256.h"
#include "engine/deliver/attempt.h"
#include "engine/model/ids.h"
#include "exporters/compress/compress.h"
#include "exporters/write.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

constexpr std::size_t kServerTextShown = 200;
constexpr std::string_view kTestId = "sidecast-connection-test";

// A short chat that says what it is, with tokens of zero and no cost.
Trace test_trace(Arena& arena, Timestamp now) {
  Trace trace(arena);
  const Text id = arena.copy(fmt::format("{}-{}", kTestId, unix_ns(now)));
  trace.operation = Operation::kChat;
  trace.identity.generation_id = id;
  trace.trace_id = hash_trace_id(id);
  trace.settings.trace_name = kTestId;
  trace.model_requested = trace.model_served = kTestId;
  trace.provider = "sidecast";
  const auto add = [&arena](ArenaVector<Message>& messages, Text role, Text text) {
    Message& message = messages.emplace_back(arena);
    message.role = role;
    message.parts.emplace_back().text = text;
  };
  add(trace.input_messages, "user", "Is this a connection test?");
  add(trace.output_messages, "assistant", "Yes: sidecast sent it, and no model was asked.");
  trace.finish_reasons.push_back("stop");
  trace.usage = {.input = 0, .output = 0, .total = 0};
  trace.start = now - std::chrono::milliseconds(1);
  trace.end = now;
  return trace;
}

// As a worker freezes records: staged form, frame, compression.
struct TestBatch {
  ByteBuffer encoded;
  Arena arena;
  Batch batch;
};

std::shared_ptr<const Batch> test_batch(const DestinationConfig& destination, Timestamp now) {
  const auto test = std::make_shared<TestBatch>();
  const Format& format = destination.exporter->format();
  const Trace trace = test_trace(test->arena, now);
  const std::uint32_t span_count = write_record(
      trace, format, {.enabled = destination.privacy_mode, .keep = &destination.privacy_keep},
      test->arena, test->encoded);
  Batch& batch = test->batch;
  batch.records.push_back({.encoded = test->encoded.view(),
                           .trace_id = trace.trace_id,
                           .start = trace.start,
                           .generation_id = trace.identity.generation_id,
                           .api_key_name = {},
                           .span_count = span_count});
  if (format.hash_records) batch.record_hashes.push_back(sha256(test->encoded.view()));
  batch.content_type = format.encoder->content_type;
  const Bytes pieces[] = {format.prefix(), test->encoded.view(), format.suffix()};
  for (const Bytes piece : pieces) batch.uncompressed_bytes += piece.size();
  if (format.whole_batch) {
    Compressor compressor;
    batch.body =
        std::make_shared<const std::string>(compressor.compress(format.compression, pieces));
    if (format.hash_body) batch.body_hash = sha256(*batch.body);
    batch.content_encoding = content_encoding(format.compression);
  }
  return {test, &batch};
}

Result<Request> test_request(const DestinationConfig& destination, bool sends_trace,
                             Timestamp now) {
  if (!sends_trace) return destination.exporter->probe(now);
  auto requests = destination.exporter->encode(test_batch(destination, now));
  if (!requests) return fail(requests.error());
  return std::move(requests->front());
}

struct Answer {
  Status status;  // an Error when nothing could be sent
  Verdict verdict;
  Response response;
  TransferTimes times;
};

// The loop of delivery, for one exchange, on this thread.
Answer send(const DestinationConfigPtr& destination, const Request& request) {
  HttpLoop loop(
      {.connections_max = 1, .idle_connections_max = 1, .user_agent = "sidecast-connection-test"});
  Answer answer;
  auto target = exchange_target(loop, destination);
  if (!target) {
    answer.status = fail(target.error());
    return answer;
  }
  loop.post([&] {
    answer.status =
        exchange(*target, request,
                 [&](const Verdict& verdict, const Response& response, const TransferTimes& times) {
                   answer.verdict = verdict;
                   answer.response = response;
                   answer.times = times;
                   loop.stop();
                 });
    if (!answer.status) loop.stop();
  });
  loop.run();
  return answer;
}

std::string milliseconds(std::chrono::microseconds time) {
  return fmt::format("{:.1f} ms", static_cast<double>(time.count()) / 1000);
}

// How far it came: the phases that took time, in their order.
std::string phases(const TransferTimes& times) {
  std::string text = "DNS " + milliseconds(times.resolve);
  if (times.connect.count() > 0) text += ", connect " + milliseconds(times.connect);
  if (times.tls.count() > 0) text += ", TLS " + milliseconds(times.tls);
  text += ", all " + milliseconds(times.total);
  if (times.http_version == 20) text += ", HTTP/2";
  return text;
}

std::string_view advice(const Response& response) {
  switch (response.failure) {
    case Response::Failure::kResolve:
      return "check the host's name and this machine's DNS";
    case Response::Failure::kConnect:
      return "check host and port, and that the server is up and not behind a firewall";
    case Response::Failure::kTls:
      return "check that the port speaks TLS, and ca_file or the client certificate";
    case Response::Failure::kTimeout:
      return "check host and port, a firewall in between, or raise timeout";
    default:
      return "";
  }
}

ConnectionTest failed(const std::string& name, std::string_view why) {
  return {false, fmt::format("{}: failed: {}", printable(name, 128), why)};
}

// Sends it and says what came of it; `success` where an answer has no words of its own.
ConnectionTest ask(const DestinationConfigPtr& destination, const Request& request,
                   std::string_view success) {
  const Answer answer = send(destination, request);
  if (!answer.status) return failed(destination->name, answer.status.error().message());
  const Verdict& verdict = answer.verdict;
  ConnectionTest test;
  test.is_passed = verdict.kind == Verdict::Kind::kDelivered;
  std::string why = verdict.explanation;
  const bool is_http = request.transport == Transport::kHttp;
  if (why.empty() && test.is_passed) why = success;
  if (why.empty() && is_http) why = fmt::format("HTTP {}", answer.response.status);
  if (const std::string_view hint = advice(answer.response); !hint.empty()) {
    why += fmt::format("; {}", hint);
  }
  // A private server's answer may be no backend's at all.
  if (!test.is_passed && !verdict.server_text.empty() && !answer.times.is_peer_private) {
    why += fmt::format("; it says: {}", printable(verdict.server_text, kServerTextShown));
  }
  test.line = fmt::format("{}: {}: {} ({})", printable(destination->name, 128),
                          test.is_passed ? "ok" : "failed", printable(why, 600),
                          is_http ? phases(answer.times) : milliseconds(answer.times.total));
  return test;
}

}  // namespace

ConnectionTest test_connection(const DestinationConfigPtr& destination, bool sends_trace) {
  const auto request = test_request(*destination, sends_trace, wall_now());
  if (!request) return failed(destination->name, request.error().message());
  // Which 2xx it was is in the answer.
  const bool is_http = request->transport == Transport::kHttp;
  return ask(destination, *request, is_http ? "" : sends_trace ? "written" : "can be written to");
}

ConnectionTest create_table(const DestinationConfigPtr& destination) {
  const auto request = destination->exporter->create_table();
  if (!request) {
    return failed(destination->name,
                  "no request makes its table; where there is one, `sidecast ddl TYPE` prints it");
  }
  return ask(destination, *request, "the table was made");
}

}  // namespace sidecast
