// The HTTP loop: one thread, one epoll, a libcurl multi handle for each trust class (pool.h), a
// mailbox to wake it. It moves bytes and knows nothing of batches, retries or destinations:
// engine/deliver decides, on this same thread.
//
// Threads: run() owns the calling thread until stop(). post() and stop() may be called from any
// thread; everything else only from the loop's thread (inside a posted task, timer or completion).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/locked_memory.h"
#include "engine/base/result.h"
#include "exporters/exporter.h"
#include "exporters/http/egress.h"

namespace sidecast {

inline constexpr std::size_t kResponseBytesMax = 4U << 20U;  // OTLP 1.11: responses up to 4 MiB

// What is known of who would be sent to, where not all can be at once (gate.h).
struct Standing {
  bool is_proven = true;       // it answered the last time
  std::uint32_t failures = 0;  // in a row, of one that is not proven
};

struct TransferOptions {
  Standing standing;
  // Whose request it is. Channels that keep something for a destination tell them apart by it.
  std::string destination;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{30'000};  // whole transfer
  // No connection is used for longer, so that a name which has moved is followed though its old
  // address still answers.
  std::chrono::seconds connection_lifetime{300};
  std::string ca_file;                // PEM; empty = the system's
  std::string client_cert_file;       // PEM, for servers that ask who calls; empty = none
  std::string client_key_file;        // PEM; empty = in client_cert_file
  std::string proxy;                  // empty = none, whatever the environment says
  std::string no_proxy;               // hosts that are reached without it: a,b or *
  LockedBytes proxy_credentials;      // user:password
  Egress egress = Egress::kOperator;  // which addresses may be connected to
  std::shared_ptr<const AddressRanges> egress_allowed;  // private ones for tenants too; may be null
  // Cleartext HTTP/2 without negotiation, for servers that speak nothing else. Costs a connection
  // per request: see loop.cc. https:// ignores it.
  bool http2_prior_knowledge = false;
};

// What `sidecast test` shows besides the answer.
struct TransferTimes {
  std::chrono::microseconds resolve{0};
  std::chrono::microseconds connect{0};
  std::chrono::microseconds tls{0};
  std::chrono::microseconds total{0};
  int http_version = 0;  // 11 or 20
  // The server's address, or the proxy's, is not public: what it answers is not for everybody's
  // eyes. True as well when there was no connection.
  bool is_peer_private = true;
};

class HttpLoop {
 public:
  using Task = std::function<void()>;
  using Completion = std::function<void(Response, const TransferTimes&)>;
  using TimerId = std::uint64_t;

  struct Settings {
    std::size_t connections_max = 512;      // transfers open at once, all destinations together
    std::size_t idle_connections_max = 64;  // kept for reuse
    // What channels may hold copies of at once, of what is under way; a larger request goes alone.
    std::size_t copied_bytes_max = 32U << 20U;
    std::string user_agent;
  };

  explicit HttpLoop(Settings settings);
  ~HttpLoop();
  HttpLoop(const HttpLoop&) = delete;
  HttpLoop& operator=(const HttpLoop&) = delete;

  // Runs until stop(); transfers still open are then cancelled without completion.
  void run();
  void stop();
  // Runs `task` on the loop's thread, tasks of one thread in their order. Lock-free for the caller
  // (moodycamel queue, eventfd-like wake-up through curl_multi_wakeup).
  void post(Task task);

  // Starts one request; one that does not travel by HTTP goes to the channel of its transport. The
  // completion runs once, later, on the loop's thread, never inside send(). HTTP/2 is negotiated by
  // ALPN over TLS; cleartext uses HTTP/1.1 with keep-alive. The body's bytes are read where they
  // lie until the completion has run; redirects are not followed. Beyond connections_max requests
  // wait for their turn (gate.h), and their timeout begins with it.
  void send(Request request, const TransferOptions& options, Completion completion);
  TimerId after(std::chrono::milliseconds delay, Task task);
  void cancel(TimerId timer);
  [[nodiscard]] std::size_t open_transfers() const noexcept;
  [[nodiscard]] const Settings& settings() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sidecast
