#include "bench/pipeline/receiver.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sidecast::bench {
namespace {

constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

struct Connection {
  int fd = -1;
  std::string head;             // until the blank line
  std::uint64_t body_left = 0;  // bytes of the current body still to come
};

std::uint64_t content_length(std::string_view head) {
  constexpr std::string_view kName = "ontent-Length: ";  // the first letter's case varies
  const std::size_t at = head.find(kName);
  return at == std::string_view::npos ? 0
                                      : std::strtoull(head.data() + at + kName.size(), nullptr, 10);
}

// False: the connection is over.
bool serve(Connection& connection, std::vector<char>& buffer) {
  const ssize_t got = read(connection.fd, buffer.data(), buffer.size());
  if (got <= 0) return false;
  std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
  while (!bytes.empty()) {
    if (connection.body_left == 0) {
      connection.head.append(bytes);
      const std::size_t end = connection.head.find("\r\n\r\n");
      if (end == std::string::npos) return connection.head.size() < 65'536;
      connection.body_left = content_length(connection.head);
      bytes.remove_prefix(bytes.size() - (connection.head.size() - end - 4));
      connection.head.clear();
    }
    const std::size_t part = std::min<std::uint64_t>(bytes.size(), connection.body_left);
    bytes.remove_prefix(part);
    connection.body_left -= part;
    if (connection.body_left == 0 && write(connection.fd, kAnswer.data(), kAnswer.size()) !=
                                         static_cast<ssize_t>(kAnswer.size())) {
      return false;
    }
  }
  return true;
}

[[noreturn]] void run(int listener) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // never outlives the benchmark
  std::vector<Connection> connections;
  std::vector<char> buffer(1U << 20U);
  while (true) {
    std::vector<pollfd> wanted{{.fd = listener, .events = POLLIN, .revents = 0}};
    for (const Connection& one : connections) {
      wanted.push_back({.fd = one.fd, .events = POLLIN, .revents = 0});
    }
    if (poll(wanted.data(), wanted.size(), -1) < 0) die("poll");
    for (std::size_t i = 1; i < wanted.size(); ++i) {
      if (wanted[i].revents == 0 || serve(connections[i - 1], buffer)) continue;
      close(connections[i - 1].fd);
      connections[i - 1].fd = -1;
    }
    std::erase_if(connections, [](const Connection& one) { return one.fd < 0; });
    if (wanted[0].revents != 0) {
      Connection one;
      one.fd = accept(listener, nullptr, nullptr);
      const int on = 1;
      setsockopt(one.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      if (one.fd >= 0) connections.push_back(std::move(one));
    }
  }
}

}  // namespace

Receiver::Receiver() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listener < 0 || bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 64) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    die("receiver");
  }
  port_ = ntohs(address.sin_port);
  pid_ = fork();
  if (pid_ == 0) run(listener);
  close(listener);
}

Receiver::~Receiver() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string Receiver::url() const {
  return fmt::format("http://127.0.0.1:{}/v1/traces", port_);
}

}  // namespace sidecast::bench
