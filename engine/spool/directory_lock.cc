#include "engine/spool/directory_lock.h"

#include <cerrno>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sidecast::spool {

Result<int> lock_directory(const std::string& directory) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::path(directory).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (!error && mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    error.assign(errno, std::generic_category());
  }
  if (error) return fail(fmt::format("make {}: {}", directory, error.message()));
  struct stat info {};
  if (stat(directory.c_str(), &info) != 0) {
    return fail(fmt::format("look at {}: {}", directory, std::generic_category().message(errno)));
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(fmt::format("{} may be written to by others; chmod go-w", directory));
  }
  // root may look after anybody's.
  if (info.st_uid != geteuid() && info.st_uid != 0 && geteuid() != 0) {
    return fail(
        fmt::format("{} belongs to user {}, not to the engine's or root", directory, info.st_uid));
  }
  const std::string path = directory + "/lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    return fail(fmt::format("open {}: {}", path, std::generic_category().message(errno)));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return fail(fmt::format("{} is in use by an engine or another tool", directory));
  }
  return fd;
}

}  // namespace sidecast::spool
