// A small real HTTP/1.1 server for tests: on 127.0.0.1 at a port of its own, with or without TLS,
// answering by script and remembering what it was sent. It can also do what servers should not:
// hang, reset, answer by halves or without end.
//
// Threads: one accepts, one serves each connection. Every public function may be called from any
// thread. The destructor closes all and joins.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/certificate.h"

namespace sidecast::test {

using HeaderFields = std::vector<std::pair<std::string, std::string>>;

struct ReceivedRequest {
  std::string method;
  std::string target;
  HeaderFields headers;  // names in lower case
  std::string body;
  std::size_t connection = 0;  // 0 for the first that was accepted

  [[nodiscard]] std::string header(const std::string& name) const;  // empty when absent
  [[nodiscard]] bool has_header(const std::string& name) const;
};

struct ScriptedReply {
  enum class Manner {
    kWhole,
    kHeld,          // whole, but not before release()
    kNever,         // the request is read and no answer ever comes
    kReset,         // the request is read, then the connection is reset
    kResetUnread,   // reset after the first bytes of the request; not by a rule
    kClosed,        // the request is read, then the connection is closed without an answer
    kHalfHead,      // closed in the middle of the status line
    kHalf,          // half of the body, then the connection is closed
    kResetInBody,   // half of the body, then the connection is reset
    kNoHttp,        // bytes of some other protocol, then the connection is closed
    kUntilClose,    // whole, but only the end of the connection ends the body
    kDripped,       // one byte of the body at a time, with pauses
    kEndless,       // the body again and again, until the client goes
    kWholeAndClose  // whole, then closed without a word, as a server does with an idle connection
  };
  int status = 200;
  HeaderFields headers;
  std::string body;
  Manner manner = Manner::kWhole;
  std::chrono::milliseconds delay{0};  // before anything of it
};

class HttpServer {
 public:
  HttpServer();
  explicit HttpServer(const Certificate& certificate);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] std::string url() const;  // without a path

  // Replies are used up in the order of their requests; after them every request gets the default.
  void script(std::vector<ScriptedReply> replies);
  void set_default(ScriptedReply reply);
  // Asked with each whole request; its reply, if any, takes the place of the script's.
  using Rule = std::function<std::optional<ScriptedReply>(const ReceivedRequest&)>;
  void set_rule(Rule rule);
  void release();  // lets held replies go, those to come too

  [[nodiscard]] std::vector<ReceivedRequest> requests() const;
  [[nodiscard]] std::size_t connection_count() const;
  // False when the watchdog (30 s) ended the wait.
  [[nodiscard]] bool wait_for_requests(std::size_t count) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A port of 127.0.0.1 at which nothing listens (just now).
[[nodiscard]] std::uint16_t unused_port();

}  // namespace sidecast::test
