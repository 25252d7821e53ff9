// The receiver's sockets: HTTP/1.1 with keep-alive, optionally over TLS, on a few threads. What a
// request means is decided in intake.h; here are only its loops. Bounded: connections, header and
// body bytes, idle time.
//
// Threads: start() and stop() from one thread; stop() returns when every thread has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/result.h"
#include "tools/receiver/intake.h"

namespace sidecast::receiver {

struct ReceiverOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0 = any free one
  std::size_t threads = 2;
  std::size_t connections_max = 256;
  // PEM files; both empty = no TLS.
  std::string tls_certificate_file;
  std::string tls_key_file;
};

class Receiver {
 public:
  // Listens and serves from here on. `intake` must outlive the receiver.
  [[nodiscard]] static Result<std::unique_ptr<Receiver>> start(const ReceiverOptions& options,
                                                               Intake& intake);
  ~Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // HOST:PORT as bound, with the port that was found for 0.
  [[nodiscard]] const std::string& address() const noexcept;
  [[nodiscard]] std::uint16_t port() const noexcept;

  // Closes every connection; what is being stored is stored to its end. May be called twice.
  void stop();

 private:
  struct Impl;
  explicit Receiver(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sidecast::receiver
