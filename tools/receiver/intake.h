// One request, from its bytes to its answer: checked, decoded, stored, answered, or refused. No
// socket and no clock but for a Retry-After date; the loops are in receiver.cc.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "tools/receiver/misbehave.h"
#include "tools/receiver/otlp_decode.h"
#include "tools/receiver/refusal.h"
#include "tools/receiver/span_file.h"
#include "tools/receiver/span_lines.h"

namespace sidecast::receiver {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string target;
  HeaderList headers;  // lower-case names, in order, repeated ones joined by ", "
  std::string body;    // as it came over the wire
};

struct HttpAnswer {
  int status = 200;
  HeaderList headers;
  std::string body;
};

// What to do with the connection: wait, then answer or reset.
struct Reply {
  std::chrono::milliseconds delay{0};
  bool reset = false;
  HttpAnswer answer;
};

// Sums since the start; each is exact, together they are of one moment only when nothing arrives.
struct IntakeCounts {
  std::uint64_t requests = 0;        // all, refused ones included
  std::uint64_t spans = 0;           // stored
  std::uint64_t refused = 0;         // requests refused for what they were
  std::uint64_t misbehaved = 0;      // requests met by a fault that was asked for, delays included
  std::uint64_t bytes_received = 0;  // of bodies, as they came
  std::uint64_t bytes_decoded = 0;
};

// Thread-safe.
class Intake {
 public:
  // `out` may be null: then spans are checked and counted only.
  Intake(std::size_t body_bytes_max, std::vector<Rule> misbehaviour, std::uint64_t seed,
         SpanFile* out);

  [[nodiscard]] Reply receive(HttpRequest request, Timestamp now);
  // The answer to a request whose body was not even read, in words for its sender.
  [[nodiscard]] HttpAnswer refuse_unread(const HttpRequest& request, const Refusal& refusal);
  [[nodiscard]] IntakeCounts counts() const noexcept;
  [[nodiscard]] std::size_t body_bytes_max() const noexcept { return body_bytes_max_; }

 private:
  Reply refusal(const HttpRequest& request, const Refusal& why);
  Accepted<Reply> receive_decoded(const HttpRequest& request, Encoding encoding,
                                  const std::string& body, Timestamp now);
  Accepted<std::uint64_t> store(const HttpRequest& request, Encoding encoding,
                                std::string_view body, std::uint64_t reject);

  const std::size_t body_bytes_max_;
  Misbehaviour misbehaviour_;
  SpanFile* const out_;

  // Written by any thread; relaxed, since they are only ever summed up.
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> spans_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> misbehaved_{0};
  std::atomic<std::uint64_t> bytes_received_{0};
  std::atomic<std::uint64_t> bytes_decoded_{0};
};

}  // namespace sidecast::receiver
