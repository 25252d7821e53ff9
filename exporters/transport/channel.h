// A way out that is not HTTP: what HttpLoop::send() hands a request to whose transport says so.
// Each loop has one channel of each kind, made at its first request and gone with the loop.
//
// A channel answers as a server would, so that verdicts have one table: a status of HTTP's, or a
// Response::Failure with words of our own (never content, never a secret).
//
// Threads: made, called and destroyed on the loop's thread. What may block (a disk, a terminal, a
// client library) runs on threads of the channel's own.
#pragma once

#include <memory>

#include "exporters/exporter.h"
#include "exporters/http/loop.h"

namespace sidecast {

class Channel {
 public:
  virtual ~Channel() = default;
  Channel() = default;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Never blocks. The completion runs once, later, on the loop's thread (HttpLoop::post), never
  // inside send(). A channel that is destroyed forgets what is under way, without completion, and
  // waits for nothing that may hang.
  virtual void send(Request request, const TransferOptions& options,
                    HttpLoop::Completion completion) = 0;
};

// Of any transport but kHttp.
[[nodiscard]] std::unique_ptr<Channel> make_channel(Transport transport, HttpLoop& loop);

}  // namespace sidecast
