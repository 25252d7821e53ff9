#include "engine/directories.h"

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shm/reader.h"

namespace sidecast {
namespace {

// "gateway (uid 1000)".
std::string user_text(uid_t user) {
  const passwd* const entry =
      getpwuid(user);  // NOLINT(concurrency-mt-unsafe): starting thread only
  return entry == nullptr ? fmt::format("uid {}", user)
                          : fmt::format("{} (uid {})", entry->pw_name, user);
}

Error with_advice_on_rights(Error error, const std::string& ring_dir) {
  const std::string us = user_text(geteuid());
  struct stat info {};
  if (stat(ring_dir.c_str(), &info) != 0) {
    if (errno != ENOENT) return error;
    return Error(fmt::format("{}; make it for {}, or set ring_dir to where that user may",
                             error.message(), us));
  }
  if (geteuid() == 0 || info.st_uid == geteuid()) return error;
  const std::string owner = user_text(info.st_uid);
  return Error(
      fmt::format("{}; {} belongs to {} and this is {}: start sidecastd as {}, give the directory "
                  "to this user, "
                  "or set ring_dir to another",
                  error.message(), ring_dir, owner, us, owner));
}

}  // namespace

Status make_directories(const std::string& ring_dir, const EnginePaths& paths) {
  std::string reason;
  if (shm::RingDirectory::open(ring_dir, reason) == nullptr) {
    return fail(with_advice_on_rights(Error(reason), ring_dir));
  }
  for (const std::string& directory : {paths.directory, paths.stage, paths.spool}) {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) {
      return fail(with_advice_on_rights(
          Error(fmt::format("make {}: {}", directory, error.message())), ring_dir));
    }
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, error);
    if (error) {
      return fail(with_advice_on_rights(
          Error(fmt::format("close {} to others: {}", directory, error.message())), ring_dir));
    }
  }
  return {};
}

Error with_advice_on_room(Error error, const std::string& ring_dir) {
  struct statvfs room {};
  // A start needs about so much: ledger, redo records.
  constexpr std::uint64_t kEnoughBytes = 4U << 20U;
  if (statvfs(ring_dir.c_str(), &room) != 0) return error;
  const std::uint64_t free_bytes = std::uint64_t{room.f_bavail} * room.f_frsize;
  if (free_bytes >= kEnoughBytes) return error;
  return Error(
      fmt::format("{}; the file system of {} has {} KiB left: remove what is not needed there or "
                  "make it larger "
                  "(mount -o remount,size=..., --shm-size of a container), then start again",
                  error.message(), ring_dir, free_bytes >> 10U));
}

}  // namespace sidecast
