#include "shm/settings.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sidecast::shm {
namespace {

constexpr char kSettingsNewName[] = ".settings.new";

}  // namespace

SettingsRead read_settings(int directory, SettingsPage& page) noexcept {
  page = {};
  // NONBLOCK: a named pipe in the way must not stop a gateway.
  const int file = openat(directory, kSettingsName, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return SettingsRead::kAbsent;
  struct stat page_status = {};
  struct stat directory_status = {};
  SettingsPage found{};
  const bool is_ours = fstat(file, &page_status) == 0 && fstat(directory, &directory_status) == 0 &&
                       S_ISREG(page_status.st_mode) &&
                       page_status.st_uid == directory_status.st_uid &&
                       pread(file, &found, sizeof found, 0) == ssize_t{sizeof found};
  close(file);
  if (!is_ours || found.magic != kSettingsMagic) return SettingsRead::kAbsent;
  if (kLayoutVersion < found.layout_version_min || kLayoutVersion > found.layout_version_max) {
    return SettingsRead::kVersion;
  }
  page = found;
  return SettingsRead::kRead;
}

bool publish_settings(int directory, const SettingsPage& page, std::string& error) {
  const auto failed = [&](const char* what) {
    error = std::string("settings page: ") + what + ": " + strerrordesc_np(errno);
    return false;
  };
  // Also because a full file system has no room for another: then nothing need be written.
  SettingsPage known;
  if (read_settings(directory, known) == SettingsRead::kRead && known == page) return true;
  // A page left half-made by an engine that died, or a gateway's file of that name: the directory's
  // owner may remove either.
  if (unlinkat(directory, kSettingsNewName, 0) != 0 && errno != ENOENT) return failed("unlink");
  const int file = openat(directory, kSettingsNewName,
                          O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (file < 0) return failed("create");
  const bool is_written = fchmod(file, 0644) == 0 &&  // whatever the umask
                          write(file, &page, sizeof page) == ssize_t{sizeof page};
  if (!is_written) {
    const bool answer = failed("write");
    close(file);
    unlinkat(directory, kSettingsNewName, 0);
    return answer;
  }
  close(file);
  if (renameat(directory, kSettingsNewName, directory, kSettingsName) != 0) {
    return failed("rename");
  }
  return true;
}

}  // namespace sidecast::shm
