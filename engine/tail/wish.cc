#include "engine/tail/wish.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace sidecast::tail {
namespace {

constexpr const char* kName = "tail.sock";
constexpr int kBacklog = 8;

Error system_error(std::string_view what, const std::string& directory, int error) {
  return Error(
      fmt::format("{} {}/{}: {}", what, directory, kName, std::generic_category().message(error)));
}

// A socket, and its address by a descriptor of the directory: the path itself may be longer than an
// address can be.
class Place {
 public:
  explicit Place(const std::string& directory)
      : directory_(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    address_.sun_family = AF_UNIX;
    const std::string path = fmt::format("/proc/self/fd/{}/{}", directory_, kName);
    path.copy(address_.sun_path, sizeof address_.sun_path - 1);
  }
  ~Place() {
    if (directory_ >= 0) close(directory_);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  [[nodiscard]] bool is_there() const noexcept { return directory_ >= 0; }
  void remove() const noexcept { unlinkat(directory_, kName, 0); }
  [[nodiscard]] const sockaddr* address() const noexcept {
    return reinterpret_cast<const sockaddr*>(&address_);
  }
  static constexpr socklen_t kAddressBytes = sizeof(sockaddr_un);

 private:
  int directory_;
  sockaddr_un address_{};
};

// `use` says whether it could; its error is in errno.
template <typename Use>
Result<int> make_socket(const std::string& directory, int type, std::string_view what, Use use) {
  const Place place(directory);
  if (!place.is_there()) return fail(system_error(what, directory, errno));
  const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (fd >= 0 && use(fd, place)) return fd;
  Error error = system_error(what, directory, errno);
  if (fd >= 0) close(fd);
  return fail(std::move(error));
}

}  // namespace

Text text_of(const Wish::Chars& chars) noexcept {
  return {chars.data(), strnlen(chars.data(), chars.size())};
}

bool set_text(Wish::Chars& chars, Text text) noexcept {
  if (text.size() >= chars.size()) return false;
  chars = {};
  std::copy(text.begin(), text.end(), chars.begin());
  return true;
}

Result<int> listen_at(const std::string& directory) {
  return make_socket(
      directory, SOCK_SEQPACKET | SOCK_NONBLOCK, "listen at", [](int fd, const Place& place) {
        place.remove();
        return fchmod(fd, 0600) == 0 &&  // what is bound takes its mode from it
               bind(fd, place.address(), Place::kAddressBytes) == 0 && listen(fd, kBacklog) == 0;
      });
}

Result<int> connect_to(const std::string& directory) {
  return make_socket(directory, SOCK_SEQPACKET, "connect to", [](int fd, const Place& place) {
    return connect(fd, place.address(), Place::kAddressBytes) == 0;
  });
}

}  // namespace sidecast::tail
