#include "exporters/kafka/probe.h"

#include <algorithm>

namespace sidecast::kafka {
namespace {

// Between two looks at what went wrong meanwhile.
constexpr std::chrono::milliseconds kSlice{250};
// A topic that the cluster makes when it is asked for has no leader at first.
constexpr std::chrono::seconds kTopicPatience{5};

bool is_being_made(std::string_view code) {
  return code == "LEADER_NOT_AVAILABLE" || code == "UNKNOWN_TOPIC_OR_PART" ||
         code == "_UNKNOWN_TOPIC";
}

}  // namespace

Response ask_for_topic(const Connection& connection, const std::atomic<bool>& stop) {
  Response response;
  const auto client = Client::open(connection, Client::Batches::kMany, {});
  if (!client) {
    response.failure = Response::Failure::kOther;
    response.failure_text = client.error().message();
    return response;
  }
  const Instant begin = monotonic_now();
  const auto is_over = [&](std::chrono::milliseconds patience) {
    return monotonic_now() - begin >= std::min(patience, connection.timeout);
  };
  std::string_view code;
  // relaxed: nothing but the flag.
  while (!stop.load(std::memory_order_relaxed)) {
    int partitions = 0;
    code = (*client)->ask_for_topic(std::min(kSlice, connection.timeout), partitions);
    static_cast<void>((*client)->serve([](void*, std::string_view) {}));
    if (code.empty()) {
      response.body = "the topic is there, with " + std::to_string(partitions) + " partitions";
      break;
    }
    const Trouble& trouble = (*client)->trouble();
    const bool is_silence = code == "_TRANSPORT" || code == "_TIMED_OUT";
    if (is_silence && trouble.is_hopeless) {
      code = trouble.code;
      response.failure = trouble.failure;
      break;
    }
    if (is_silence && is_over(connection.timeout)) {
      response.failure = Response::Failure::kTimeout;
      if (!trouble.code.empty()) code = trouble.code;
      break;
    }
    if (!is_silence && (!is_being_made(code) || is_over(kTopicPatience))) break;
  }
  response.messages = {code};
  if (response.failure != Response::Failure::kNone) {
    response.failure_text = "Kafka: " + std::string(code);
  }
  return response;
}

}  // namespace sidecast::kafka
