// A channel over blocking calls: one thread for each place that is written to (a file, a stream),
// so that one on a disk that hangs holds up nobody else. A place's requests are written one after
// the other, in their order.
//
// A thread starts with a place's first request and ends when none came for a while. It cannot be
// stopped inside a system call, so nobody joins it: it owns what it uses, and a channel that is
// destroyed waits a moment and then leaves it behind.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "exporters/transport/channel.h"

namespace sidecast {

// What one place's thread writes with. Called by one thread at a time.
class BlockingSink {
 public:
  virtual ~BlockingSink() = default;
  BlockingSink() = default;
  BlockingSink(const BlockingSink&) = delete;
  BlockingSink& operator=(const BlockingSink&) = delete;

  // May block. Where it waits for somebody, it gives up after `timeout`, and soon once `stopping`.
  [[nodiscard]] virtual Response write(const Request& request, std::chrono::milliseconds timeout,
                                       const std::atomic<bool>& stopping) = 0;
  // Nothing came for a while: lets go of what it holds open.
  virtual void rest() = 0;
};

class BlockingChannel final : public Channel {
 public:
  using MakeSink = std::unique_ptr<BlockingSink> (*)(const std::string& url);

  BlockingChannel(HttpLoop& loop, MakeSink make_sink);
  ~BlockingChannel() override;

  void send(Request request, const TransferOptions& options,
            HttpLoop::Completion completion) override;

 private:
  struct Home;   // where answers go, as long as there is a loop
  struct Place;  // one url's queue, thread and sink

  static void run(const std::shared_ptr<Place>& place);

  std::shared_ptr<Home> home_;
  MakeSink make_sink_;
  std::map<std::string, std::shared_ptr<Place>, std::less<>> places_;
};

}  // namespace sidecast
