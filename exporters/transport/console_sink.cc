#include "exporters/transport/console_sink.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exporters/transport/file_sink.h"

namespace sidecast {
namespace {

constexpr std::chrono::milliseconds kLookUp{100};  // how often a wait looks whether to stop
constexpr std::size_t kPartBytes = 4096;  // a pipe that polls as writable has this much room

// Without ever blocking in a write. The descriptor is shared with whoever started the engine, so
// its flags are not touched: a pipe or terminal is opened again, with flags of our own.
class ConsoleSink final : public BlockingSink {
 public:
  explicit ConsoleSink(int descriptor) : given_(descriptor) {}
  ~ConsoleSink() override { release(); }

  Response write(const Request& request, std::chrono::milliseconds timeout,
                 const std::atomic<bool>& stopping) override {
    if (int error = open(); error != 0) {
      return channel_error(error, "the stream is not open: " + words(error));
    }
    const auto until = std::chrono::steady_clock::now() + timeout;
    // The last one stopped within a line: that line ends here, and comes again.
    if (is_within_line_) {
      if (Response failed; !write_piece("\n", until, stopping, failed)) return failed;
    }
    for (const Bytes piece : request.body) {
      if (Response failed; !write_piece(piece, until, stopping, failed)) return failed;
    }
    Response response;
    response.status = 200;
    return response;
  }
  void rest() override { release(); }

 private:
  static std::string words(int error) { return std::generic_category().message(error); }

  int open() {
    if (opened_ >= 0) return 0;
    struct stat found {};
    if (::fstat(given_, &found) != 0) return errno;
    is_socket_ = S_ISSOCK(found.st_mode);
    // A plain file never stalls, and opened again it would have a position of its own.
    const bool may_stall = S_ISFIFO(found.st_mode) || S_ISCHR(found.st_mode);
    if (may_stall) {
      const std::string name = fmt::format("/proc/self/fd/{}", given_);
      opened_ = ::open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    }
    if (opened_ < 0) opened_ = given_;
    return 0;
  }
  void release() {
    if (opened_ >= 0 && opened_ != given_) ::close(opened_);
    opened_ = -1;
  }

  bool wait_for_room() const {
    pollfd room{.fd = opened_, .events = POLLOUT, .revents = 0};
    return ::poll(&room, 1, static_cast<int>(kLookUp.count())) > 0;
  }

  bool write_piece(Bytes piece, std::chrono::steady_clock::time_point until,
                   const std::atomic<bool>& stopping, Response& failed) {
    while (!piece.empty()) {
      // relaxed: see BlockingChannel.
      if (std::chrono::steady_clock::now() >= until || stopping.load(std::memory_order_relaxed)) {
        failed.failure = Response::Failure::kTimeout;
        failed.failure_text = "nobody reads the stream";
        return false;
      }
      // Whose writes may block, is asked before.
      if (opened_ == given_ && !is_socket_ && !wait_for_room()) continue;
      const std::size_t part = std::min(piece.size(), kPartBytes);
      const ssize_t written = is_socket_
                                  ? ::send(opened_, piece.data(), part, MSG_DONTWAIT | MSG_NOSIGNAL)
                                  : ::write(opened_, piece.data(), part);
      if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        wait_for_room();
        continue;
      }
      if (written < 0) {
        const int error = errno;
        failed = channel_error(error, "write to the stream: " + words(error));
        return false;
      }
      is_within_line_ = written > 0 && piece[static_cast<std::size_t>(written) - 1] != '\n';
      piece.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }

  const int given_;
  int opened_ = -1;
  bool is_socket_ = false;
  bool is_within_line_ = false;
};

}  // namespace

std::unique_ptr<BlockingSink> make_console_sink(const std::string& url) {
  return std::make_unique<ConsoleSink>(url == kConsoleError ? STDERR_FILENO : STDOUT_FILENO);
}

std::unique_ptr<BlockingSink> console_sink_for_test(int descriptor) {
  return std::make_unique<ConsoleSink>(descriptor);
}

}  // namespace sidecast
