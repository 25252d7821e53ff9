// The parts of a KafkaChannel: a request that waits or is under way, and one destination's
// producer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "exporters/http/gate.h"
#include "exporters/kafka/channel.h"

namespace sidecast {
namespace kafka {

inline constexpr std::string_view kUndecided = "?";

}  // namespace kafka

// A request under way: `codes` has an entry for each message, `left` of them are not decided.
struct KafkaChannel::Pending {
  struct Slot {
    Pending* pending;
    std::size_t index;
    bool is_second_try = false;  // by itself, after its batch was refused
  };

  Pending(Request given, const TransferOptions& options,
          std::shared_ptr<const kafka::Connection> way, HttpLoop::Completion completion)
      : request(std::move(given)),
        connection(std::move(way)),
        key(connection->fingerprint() + ' ' + options.destination),
        standing(options.standing),
        is_tenants(options.egress == Egress::kTenant),
        party(party_name(options.destination, is_tenants)),
        done(std::move(completion)),
        codes(request.messages->size(), kafka::kUndecided),
        left(request.messages->size()) {
    wipe_values(request.settings);  // the connection has them
    slots.reserve(left);
    for (std::size_t i = 0; i < left; ++i) slots.push_back({this, i});
    for (const KeyedMessage& message : *request.messages) {
      for (const Bytes piece : message.value) bytes += piece.size();
    }
  }
  [[nodiscard]] std::uint64_t turn() const noexcept {
    return standing.is_proven ? 0 : 1 + std::uint64_t{standing.failures};
  }
  void decide(std::size_t index, std::string_view code) {
    codes[index] = code;
    --left;
  }
  void finish() {
    Response response;
    if (failure_text.empty()) response.messages = std::move(codes);
    response.failure = failure;
    response.failure_text = std::move(failure_text);
    TransferTimes times;
    times.total = std::chrono::duration_cast<std::chrono::microseconds>(monotonic_now() - begin);
    done(std::move(response), times);
  }

  Request request;
  std::shared_ptr<const kafka::Connection> connection;
  std::string key;  // of its producer
  Standing standing;
  bool is_tenants;
  std::string party;
  HttpLoop::Completion done;
  std::uint64_t bytes = 0;
  std::vector<std::string_view> codes;
  std::vector<Slot> slots;  // librdkafka has their addresses
  std::size_t left;
  Response::Failure failure = Response::Failure::kNone;
  std::string failure_text;  // not empty: there was no client
  Instant begin = monotonic_now();
};

struct KafkaChannel::Producer {
  std::shared_ptr<const kafka::Connection> connection;
  std::string key;  // in producers_
  bool is_tenants = false;
  std::string party;
  Standing standing;                    // as of its last request
  std::unique_ptr<kafka::Client> many;  // null: not open yet, or given up
  std::vector<Pending*> to_produce;
  std::unique_ptr<kafka::Client> alone;  // null until a batch was refused for its size
  bool is_alone_opening = false;
  std::vector<Pending::Slot*> to_produce_alone;
  Instant alone_until{};
  // The messages that are tried by themselves since a batch was refused.
  std::size_t second_tries = 0;
  bool is_one_too_large = false;
  bool is_one_stored = false;
  std::map<Pending*, PendingPtr> open;
  std::uint64_t bytes = 0;
  bool is_closed = false;
  Instant used = monotonic_now();
  Instant busy_since = monotonic_now();
};

}  // namespace sidecast
