// Boost.Beast parses HTTP; Asio's coroutines carry the connections. Their exceptions end here.
#include "tools/receiver/receiver.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

namespace sidecast::receiver {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

template <typename T>
using Task = asio::awaitable<T>;

constexpr std::chrono::seconds kIdleMax{300};      // between two requests of a connection
constexpr std::chrono::seconds kTransferMax{120};  // for one body or one answer
constexpr std::chrono::seconds kLingerMax{2};      // for a refused body to pass
constexpr std::uint32_t kHeaderBytesMax = 64U << 10U;
constexpr std::chrono::milliseconds kAcceptPause{20};  // when there is no room for a connection

using Plain = beast::tcp_stream;
using Tls = beast::ssl_stream<beast::tcp_stream>;

auto into(error_code& code) {
  return asio::redirect_error(asio::use_awaitable, code);
}

HttpRequest to_request(http::request<http::string_body>& message) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  for (const auto& field : message) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(), [](char letter) {
      return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
    });
    const auto same = std::find_if(request.headers.begin(), request.headers.end(),
                                   [&](const auto& header) { return header.first == name; });
    if (same == request.headers.end()) {
      request.headers.emplace_back(std::move(name), std::string(field.value()));
    } else {
      same->second.append(", ").append(field.value().data(), field.value().size());
    }
  }
  request.body = std::move(message.body());
  return request;
}

http::response<http::string_body> to_response(HttpAnswer answer, unsigned version,
                                              bool keep_alive) {
  http::response<http::string_body> response;
  response.version(version);
  response.result(static_cast<unsigned>(answer.status));
  response.keep_alive(keep_alive);
  for (const auto& [name, value] : answer.headers) response.set(name, value);
  response.body() = std::move(answer.body);
  response.prepare_payload();
  return response;
}

// Closing with unread bytes would reset the connection and could take the answer with it.
template <typename Stream>
Task<void> discard_rest(Stream& stream) {
  auto& socket = beast::get_lowest_layer(stream);
  error_code code;
  socket.socket().shutdown(tcp::socket::shutdown_send, code);
  socket.expires_after(kLingerMax);
  std::vector<char> scratch(64U << 10U);
  while (!code) co_await stream.async_read_some(asio::buffer(scratch), into(code));
}

void reset_connection(tcp::socket& socket) {
  error_code ignored;  // a connection that is already gone is as good as reset
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

// One request and its answer; false ends the connection.
template <typename Stream>
Task<bool> serve_one(Stream& stream, beast::flat_buffer& buffer, Intake& intake) {
  auto& socket = beast::get_lowest_layer(stream);
  error_code code;
  http::request_parser<http::string_body> parser;
  parser.body_limit(intake.body_bytes_max());
  parser.header_limit(kHeaderBytesMax);

  socket.expires_after(kIdleMax);
  co_await http::async_read_header(stream, buffer, parser, into(code));
  if (!code) {
    socket.expires_after(kTransferMax);
    if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
      http::response<http::empty_body> go_on(http::status::continue_, 11);
      co_await http::async_write(stream, go_on, into(code));
    }
  }
  if (!code) co_await http::async_read(stream, buffer, parser, into(code));

  const unsigned version = parser.get().version();
  if (code == http::error::body_limit) {
    HttpAnswer answer = intake.refuse_unread(
        to_request(parser.get()),
        {413, "the body is larger than " + std::to_string(intake.body_bytes_max()) + " bytes"});
    auto response = to_response(std::move(answer), version, /*keep_alive=*/false);
    co_await http::async_write(stream, response, into(code));
    if (!code) co_await discard_rest(stream);
    co_return false;
  }
  if (code) co_return false;

  const bool keep_alive = parser.get().keep_alive();
  Reply reply = intake.receive(to_request(parser.get()), wall_now());
  if (reply.delay.count() > 0) {
    asio::steady_timer timer(co_await asio::this_coro::executor, reply.delay);
    co_await timer.async_wait(into(code));
  }
  if (reply.reset) {
    reset_connection(socket.socket());
    co_return false;
  }
  auto response = to_response(std::move(reply.answer), version, keep_alive);
  socket.expires_after(kTransferMax);
  co_await http::async_write(stream, response, into(code));
  co_return !code && keep_alive;
}

template <typename Stream>
Task<void> serve(Stream& stream, Intake& intake) {
  beast::flat_buffer buffer;
  while (co_await serve_one(stream, buffer, intake)) {
  }
}

}  // namespace

struct Receiver::Impl {
  explicit Impl(Intake& to) : intake(to) {}

  Task<void> accept_loop() {
    for (;;) {
      error_code code;
      if (connection_count < connections_max) {
        // Each connection has a strand of its own, so that its timers and reads never run at once.
        tcp::socket socket = co_await acceptor.async_accept(asio::make_strand(context), into(code));
        if (!code) {
          start_connection(std::move(socket));
          continue;
        }
      }
      // No descriptor or no room: let others end first.
      asio::steady_timer timer(context, kAcceptPause);
      co_await timer.async_wait(into(code));
    }
  }

  void start_connection(tcp::socket socket) {
    error_code ignored;  // without it answers only come later
    socket.set_option(tcp::no_delay(true), ignored);
    ++connection_count;
    const auto executor = socket.get_executor();
    asio::co_spawn(executor, serve_connection(std::move(socket)),
                   [this](const std::exception_ptr&) { --connection_count; });
  }

  Task<void> serve_connection(tcp::socket socket) {
    if (!tls) {
      Plain stream(std::move(socket));
      co_await serve(stream, intake);
      co_return;
    }
    Tls stream(std::move(socket), *tls);
    error_code code;
    beast::get_lowest_layer(stream).expires_after(kTransferMax);
    co_await stream.async_handshake(asio::ssl::stream_base::server, into(code));
    if (!code) co_await serve(stream, intake);
  }

  Intake& intake;
  asio::io_context context;
  std::unique_ptr<asio::ssl::context> tls;
  tcp::acceptor acceptor{context};
  std::string address;
  std::size_t connections_max = 0;
  std::atomic<std::size_t> connection_count{0};
  std::vector<std::thread> threads;
};

Receiver::Receiver(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Receiver::~Receiver() {
  stop();
}
const std::string& Receiver::address() const noexcept {
  return impl_->address;
}

std::uint16_t Receiver::port() const noexcept {
  error_code ignored;
  return impl_->acceptor.local_endpoint(ignored).port();
}

Result<std::unique_ptr<Receiver>> Receiver::start(const ReceiverOptions& options, Intake& intake) {
  auto impl = std::make_unique<Impl>(intake);
  impl->connections_max = options.connections_max;
  const std::string wanted = options.host + ":" + std::to_string(options.port);
  try {
    if (!options.tls_certificate_file.empty()) {
      impl->tls = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
      impl->tls->use_certificate_chain_file(options.tls_certificate_file);
      impl->tls->use_private_key_file(options.tls_key_file, asio::ssl::context::pem);
    }
    tcp::resolver resolver(impl->context);
    const auto found =
        resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive);
    const tcp::endpoint endpoint = found.begin()->endpoint();
    impl->acceptor.open(endpoint.protocol());
    impl->acceptor.set_option(tcp::acceptor::reuse_address(true));
    impl->acceptor.bind(endpoint);
    impl->acceptor.listen();
    impl->address = options.host + ":" + std::to_string(impl->acceptor.local_endpoint().port());
    asio::co_spawn(impl->context, impl->accept_loop(), asio::detached);
    for (std::size_t i = 0; i < std::max<std::size_t>(1, options.threads); ++i) {
      impl->threads.emplace_back([&context = impl->context] { context.run(); });
    }
  } catch (const std::exception& exception) {
    // The threads that did start must end before their context goes.
    Receiver half_started(std::move(impl));
    return fail("listen on " + wanted + ": " + exception.what());
  }
  return std::unique_ptr<Receiver>(new Receiver(std::move(impl)));
}

void Receiver::stop() {
  impl_->context.stop();
  for (std::thread& thread : impl_->threads) thread.join();
  impl_->threads.clear();
}

}  // namespace sidecast::receiver
