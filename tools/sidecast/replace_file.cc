#include "tools/sidecast/replace_file.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sidecast {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) noexcept : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) static_cast<void>(::close(number_));
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  int number_;
};

Status write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(std::generic_category().message(errno));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// Its owner and mode as well, before its name can be seen.
Status write_like(int file, const std::string& original, std::string_view text) {
  struct stat before {};
  if (::stat(original.c_str(), &before) == 0) {
    const bool is_like = ::fchmod(file, before.st_mode & 07777U) == 0 &&
                         (before.st_uid == ::geteuid() && before.st_gid == ::getegid()
                              ? true
                              : ::fchown(file, before.st_uid, before.st_gid) == 0);
    if (!is_like) return fail("its owner or mode cannot be kept");
  }
  if (Status written = write_all(file, text); !written) return written;
  if (::fsync(file) != 0) return fail(std::generic_category().message(errno));
  return {};
}

}  // namespace

Status replace_file(const std::string& path, std::string_view text) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::weakly_canonical(path, error);
  if (error) return fail(fmt::format("cannot replace {}: {}", path, error.message()));
  std::string temporary = target.string() + ".XXXXXX";
  const Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.number() < 0) {
    return fail(
        fmt::format("cannot write beside {}: {}", path, std::generic_category().message(errno)));
  }
  const Status written = write_like(file.number(), target.string(), text);
  if (!written || ::rename(temporary.c_str(), target.c_str()) != 0) {
    const std::string why =
        written ? std::generic_category().message(errno) : written.error().message();
    static_cast<void>(::unlink(temporary.c_str()));
    return fail(fmt::format("cannot replace {}: {}; it is as it was", path, why));
  }
  return {};
}

}  // namespace sidecast
