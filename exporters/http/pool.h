// One libcurl multi handle, and with it one pool of connections, over the loop's epoll. Each trust
// class has its own (http/egress.h), so that a connection that the operator's destinations opened
// is never there for a tenant's to use again, whatever host a tenant names.
//
// Threads: belongs to the loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <curl/curl.h>

#include "engine/base/clock.h"

namespace sidecast {

class Pool {
 public:
  // What it watches comes back from epoll with `key` in the upper half of its data, the descriptor
  // in the lower.
  Pool(int epoll, std::uint32_t key);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void add(CURL* easy);
  void remove(CURL* easy);
  [[nodiscard]] std::size_t open() const noexcept { return open_; }
  // Connections that may be open at all, in use or kept for reuse.
  void bound_connections(std::size_t count);

  void on_event(int descriptor, std::uint32_t events);
  void on_time(Instant now);
  [[nodiscard]] std::optional<Instant> due() const noexcept { return due_; }
  // Those that ended since the last call. Each is still to be removed.
  [[nodiscard]] std::vector<std::pair<CURL*, CURLcode>> take_finished();

 private:
  static int watch(CURL* easy, curl_socket_t socket, int what, void* self, void* known);
  static int set_time(CURLM* multi, long milliseconds, void* self);

  CURLM* multi_;
  const int epoll_;
  const std::uint32_t key_;
  std::size_t open_ = 0;
  std::optional<Instant> due_;
};

}  // namespace sidecast
