// A receiver in a process of its own, so that its cost is not ours: HTTP/1.1 with keep-alive on
// 127.0.0.1, reads whole bodies, answers 200 and throws them away.
#pragma once

#include <cstdint>
#include <string>

#include <sys/types.h>

namespace sidecast::bench {

class Receiver {
 public:
  Receiver();
  ~Receiver();  // ends the process by its own id
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  [[nodiscard]] std::string url() const;  // of the traces endpoint

 private:
  pid_t pid_ = 0;
  std::uint16_t port_ = 0;
};

}  // namespace sidecast::bench
