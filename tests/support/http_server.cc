#include "tests/support/http_server.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sidecast::test {
namespace {

constexpr auto kWatchdog = std::chrono::seconds(30);
constexpr std::size_t kRequestHeadBytesMax = 1U << 20U;

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

int listen_on_loopback(std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(fd, 512) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("cannot listen on 127.0.0.1");
  }
  port = ntohs(address.sin_port);
  return fd;
}

// One accepted connection, in TLS or plain.
class Stream {
 public:
  Stream(int fd, SSL_CTX* context) : fd_(fd) {
    if (context == nullptr) return;
    tls_ = SSL_new(context);
    SSL_set_fd(tls_, fd_);
  }
  ~Stream() {
    if (tls_ != nullptr) SSL_free(tls_);
    ::close(fd_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  [[nodiscard]] bool accept() { return tls_ == nullptr || SSL_accept(tls_) == 1; }

  [[nodiscard]] bool read_more(std::string& to) {
    char buffer[65536];
    const auto count = tls_ == nullptr ? ::recv(fd_, buffer, sizeof buffer, 0)
                                       : SSL_read(tls_, buffer, sizeof buffer);
    if (count <= 0) return false;
    to.append(buffer, static_cast<std::size_t>(count));
    return true;
  }

  [[nodiscard]] bool write(const std::string& text) {
    for (std::size_t sent = 0; sent < text.size();) {
      const auto left = text.size() - sent;
      const auto count = tls_ == nullptr
                             ? ::send(fd_, text.data() + sent, left, MSG_NOSIGNAL)
                             : SSL_write(tls_, text.data() + sent, static_cast<int>(left));
      if (count <= 0) return false;
      sent += static_cast<std::size_t>(count);
    }
    return true;
  }

  // The close that follows sends RST instead of FIN.
  void reset_on_close() const {
    const linger hard{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  void shut_down() const { ::shutdown(fd_, SHUT_RDWR); }

 private:
  int fd_;
  SSL* tls_ = nullptr;
};

ReceivedRequest parse_head(const std::string& head) {
  ReceivedRequest request;
  const auto line_end = head.find("\r\n");
  const std::string line = head.substr(0, line_end);
  const auto first = line.find(' ');
  const auto second = line.find(' ', first + 1);
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, second - first - 1);
  for (auto at = line_end + 2; at < head.size();) {
    const auto end = std::min(head.find("\r\n", at), head.size());
    const std::string field = head.substr(at, end - at);
    const auto colon = field.find(':');
    if (colon != std::string::npos) {
      request.headers.emplace_back(lower_case(field.substr(0, colon)),
                                   trimmed(field.substr(colon + 1)));
    }
    at = end + 2;
  }
  return request;
}

}  // namespace

std::string ReceivedRequest::header(const std::string& name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

bool ReceivedRequest::has_header(const std::string& name) const {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const auto& field) { return field.first == name; });
}

struct HttpServer::Impl {
  explicit Impl(const Certificate* certificate);
  ~Impl();
  void accept_all();
  void serve(Stream& stream, std::size_t connection);
  bool answer(Stream& stream, const ScriptedReply& reply);  // false: the connection is over
  void drip(Stream& stream, const std::string& text);
  [[nodiscard]] bool pause(std::chrono::milliseconds time);  // false: the server ends
  ScriptedReply next_reply();

  int listener = -1;
  std::uint16_t port = 0;
  SSL_CTX* context = nullptr;
  std::atomic<bool> stopping{false};

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::deque<ScriptedReply> replies;
  ScriptedReply default_reply;
  Rule rule;
  bool released = false;
  std::vector<ReceivedRequest> received;
  std::vector<std::shared_ptr<Stream>> streams;
  std::vector<std::thread> threads;
  std::thread acceptor;
};

HttpServer::Impl::Impl(const Certificate* certificate) {
  if (certificate != nullptr) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to clients that may be gone
    context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(context, certificate->certificate_file.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, certificate->key_file.c_str(), SSL_FILETYPE_PEM) !=
            1) {
      throw std::runtime_error("cannot read the test's certificate");
    }
  }
  listener = listen_on_loopback(port);
  acceptor = std::thread([this] { accept_all(); });
}

HttpServer::Impl::~Impl() {
  stopping = true;
  ::shutdown(listener, SHUT_RDWR);
  acceptor.join();
  {
    const std::scoped_lock lock(mutex);
    for (const auto& stream : streams) {
      if (stream) stream->shut_down();
    }
    changed.notify_all();
  }
  for (std::thread& thread : threads) thread.join();
  ::close(listener);
  if (context != nullptr) SSL_CTX_free(context);
}

void HttpServer::Impl::accept_all() {
  while (!stopping) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const std::scoped_lock lock(mutex);
    const std::size_t connection = streams.size();
    auto stream = std::make_shared<Stream>(fd, context);
    streams.push_back(stream);
    threads.emplace_back([this, stream = std::move(stream), connection]() mutable {
      if (stream->accept()) serve(*stream, connection);
      const std::scoped_lock closing(mutex);
      streams[connection].reset();
      stream.reset();  // closes
    });
  }
}

ScriptedReply HttpServer::Impl::next_reply() {
  if (replies.empty()) return default_reply;
  ScriptedReply reply = std::move(replies.front());
  replies.pop_front();
  return reply;
}

void HttpServer::Impl::serve(Stream& stream, std::size_t connection) {
  std::string bytes;
  while (!stopping) {
    std::size_t head_end = 0;
    while ((head_end = bytes.find("\r\n\r\n")) == std::string::npos) {
      if (bytes.size() > kRequestHeadBytesMax || !stream.read_more(bytes)) return;
    }
    ReceivedRequest request = parse_head(bytes.substr(0, head_end));
    request.connection = connection;
    ScriptedReply reply;
    {
      const std::scoped_lock lock(mutex);
      reply = next_reply();
    }
    if (reply.manner == ScriptedReply::Manner::kResetUnread) return stream.reset_on_close();
    const std::string length = request.header("content-length");
    const std::size_t body_bytes = length.empty() ? 0 : std::stoull(length);
    const std::size_t total = head_end + 4 + body_bytes;
    while (bytes.size() < total) {
      if (!stream.read_more(bytes)) return;
    }
    request.body = bytes.substr(head_end + 4, body_bytes);
    bytes.erase(0, total);
    const bool is_head = request.method == "HEAD";
    {
      const std::scoped_lock lock(mutex);
      if (rule) reply = rule(request).value_or(std::move(reply));
      received.push_back(std::move(request));
      changed.notify_all();
    }
    if (is_head) reply.body.clear();
    if (!answer(stream, reply)) return;
  }
}

bool HttpServer::Impl::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex);
  return !changed.wait_for(lock, time, [&] { return stopping.load(); });
}

void HttpServer::Impl::drip(Stream& stream, const std::string& text) {
  constexpr std::chrono::milliseconds kPause{20};
  for (const char byte : text) {
    if (!stream.write(std::string(1, byte)) || !pause(kPause)) return;
  }
}

bool HttpServer::Impl::answer(Stream& stream, const ScriptedReply& reply) {
  using Manner = ScriptedReply::Manner;
  if (reply.delay.count() > 0 && !pause(reply.delay)) return false;
  if (reply.manner == Manner::kReset) {
    stream.reset_on_close();
    return false;
  }
  if (reply.manner == Manner::kClosed) return false;
  if (reply.manner == Manner::kNoHttp) {
    (void)stream.write(std::string("\0\0\x12\x04 these are no words of HTTP\r\n", 34));
    return false;
  }
  if (reply.manner == Manner::kHeld || reply.manner == Manner::kNever) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return stopping || (released && reply.manner == Manner::kHeld); });
    if (stopping) return false;
  }
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Scripted\r\n";
  for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
  if (reply.manner == Manner::kHalfHead) {
    (void)stream.write("HTTP/1.1 20");
    return false;
  }
  if (reply.manner == Manner::kUntilClose) {
    (void)stream.write(head + "Connection: close\r\n\r\n" + reply.body);
    return false;
  }
  if (reply.manner == Manner::kEndless) {
    if (!stream.write(head + "Connection: close\r\n\r\n")) return false;
    while (!stopping && stream.write(reply.body)) {
    }
    return false;
  }
  if (reply.status != 204 && reply.status != 304) {
    head += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
  }
  head += "\r\n";
  if (reply.manner == Manner::kHalf || reply.manner == Manner::kResetInBody) {
    if (reply.manner == Manner::kResetInBody) stream.reset_on_close();
    (void)stream.write(head + reply.body.substr(0, reply.body.size() / 2));
    return false;
  }
  if (reply.manner == Manner::kDripped) {
    if (stream.write(head)) drip(stream, reply.body);
    return false;
  }
  return stream.write(head + reply.body) && reply.manner != Manner::kWholeAndClose;
}

HttpServer::HttpServer() : impl_(std::make_unique<Impl>(nullptr)) {}
HttpServer::HttpServer(const Certificate& certificate)
    : impl_(std::make_unique<Impl>(&certificate)) {}
HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const noexcept {
  return impl_->port;
}

std::string HttpServer::url() const {
  return (impl_->context == nullptr ? "http://127.0.0.1:" : "https://127.0.0.1:") +
         std::to_string(impl_->port);
}

void HttpServer::script(std::vector<ScriptedReply> replies) {
  const std::scoped_lock lock(impl_->mutex);
  for (ScriptedReply& reply : replies) impl_->replies.push_back(std::move(reply));
}

void HttpServer::set_default(ScriptedReply reply) {
  const std::scoped_lock lock(impl_->mutex);
  impl_->default_reply = std::move(reply);
}

void HttpServer::set_rule(Rule rule) {
  const std::scoped_lock lock(impl_->mutex);
  impl_->rule = std::move(rule);
}

void HttpServer::release() {
  const std::scoped_lock lock(impl_->mutex);
  impl_->released = true;
  impl_->changed.notify_all();
}

std::vector<ReceivedRequest> HttpServer::requests() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->received;
}

std::size_t HttpServer::connection_count() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->streams.size();
}

bool HttpServer::wait_for_requests(std::size_t count) const {
  std::unique_lock lock(impl_->mutex);
  return impl_->changed.wait_for(lock, kWatchdog, [&] { return impl_->received.size() >= count; });
}

std::uint16_t unused_port() {
  std::uint16_t port = 0;
  ::close(listen_on_loopback(port));
  return port;
}

}  // namespace sidecast::test
