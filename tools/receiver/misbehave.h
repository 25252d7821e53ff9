// Faults on request: what the receiver does instead of answering 200, so that retries, splits and
// outages can be tested against a real server.
//
//   spec     = rule { "," rule }
//   rule     = action { ":" modifier }
//   action   = "status=" CODE      answer CODE; a 2xx stores the spans and sends an unrelated body
//            | "partial=" N        answer 200, reject the last N spans and do not store them
//            | "reset"             reset the connection before any answer; nothing is stored
//            | "lose-answer"       store the spans, then reset: the sender must repeat itself
//            | "delay=" DURATION   wait, then go on to the next rule
//   modifier = "count=" N          at most N times
//            | "after=" N          not for the first N requests that meet the other conditions
//            | "p=" PROBABILITY    with this probability, 0 to 1
//            | "path=" PREFIX      only for paths that begin so
//            | "larger-than=" SIZE only for decoded bodies of more bytes; "512KiB", "2MiB"
//            | "containing=" TEXT  only for decoded bodies that contain the text
//            | "retry-after=" SECONDS        with a status: the header, as a number
//            | "retry-after-date=" SECONDS   with a status: the header, as a date so far ahead
//   DURATION = NUMBER ("ms" | "s")
//
// The first rule that applies decides; delays add up on the way to it. Example:
// "status=503:retry-after=2:count=5,delay=200ms:p=0.1".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace sidecast::receiver {

struct Rule {
  enum class Action { kStatus, kPartial, kReset, kLoseAnswer, kDelay };
  enum class RetryAfter { kNone, kSeconds, kDate };

  Action action = Action::kReset;
  int status = 0;                      // kStatus
  std::uint64_t rejected_spans = 0;    // kPartial
  std::chrono::milliseconds delay{0};  // kDelay
  RetryAfter retry_after = RetryAfter::kNone;
  std::chrono::seconds retry_after_delay{0};

  std::optional<std::uint64_t> count;  // nothing = for ever
  std::uint64_t after = 0;
  double probability = 1;
  std::string path_prefix;
  std::optional<std::uint64_t> larger_than_bytes;
  std::string containing;
};

// An Error names the part of the spec that is wrong and what could stand there.
[[nodiscard]] Result<std::vector<Rule>> parse_misbehaviour(std::string_view spec);

// What to do with one request.
struct Conduct {
  std::chrono::milliseconds delay{0};  // before anything else
  std::optional<Rule> rule;            // nothing = behave
};

// Holds the rules' counts and dice. Thread-safe. The dice are seeded, so that a run can be
// repeated.
class Misbehaviour {
 public:
  Misbehaviour(std::vector<Rule> rules, std::uint64_t seed);

  // `body` is the decoded body.
  [[nodiscard]] Conduct decide(std::string_view path, std::string_view body);

 private:
  struct State {
    Rule rule;
    std::uint64_t met = 0;  // requests that met the conditions
    std::uint64_t applied = 0;
  };

  std::mutex mutex_;
  std::vector<State> states_;  // under mutex_
  std::mt19937_64 dice_;       // under mutex_
};

}  // namespace sidecast::receiver
