#include "exporters/transport/file_writer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/base/test_point.h"
#include "exporters/transport/rotation.h"

namespace sidecast {
namespace {

constexpr int kLockTries = 50;
constexpr std::chrono::milliseconds kLockPause{20};
constexpr int kReopenTries = 5;
constexpr std::size_t kTailBytes = 64U << 10U;

FileWriter::Failed failed(int error, const std::string& doing) {
  return {error, doing + ": " + std::generic_category().message(error)};
}

std::uint64_t bytes_of(std::span<const Bytes> body) {
  std::uint64_t total = 0;
  for (const Bytes piece : body) total += piece.size();
  return total;
}

void sync_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == 0 ? "/" : path.substr(0, slash);
  const int opened = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) return;
  ::fsync(opened);
  ::close(opened);
}

}  // namespace

void FileWriter::close() noexcept {
  if (file_ >= 0) ::close(file_);  // and with it the lock
  file_ = -1;
}

FileWriter::Failed FileWriter::open() {
  close();
  // Nothing but a plain file: a pipe would hang, a link could be anybody's.
  file_ =
      ::open(path_.c_str(),
             O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
  if (file_ < 0) return failed(errno, "open the file");
  struct stat found {};
  if (::fstat(file_, &found) != 0) return failed(errno, "look at the file");
  if (!S_ISREG(found.st_mode)) {
    close();
    return {EISDIR, "it is no plain file"};
  }
  return {};
}

FileWriter::Failed FileWriter::lock() {
  for (int i = 0; i < kLockTries; ++i) {
    if (::flock(file_, LOCK_EX | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK && errno != EINTR) return failed(errno, "lock the file");
    std::this_thread::sleep_for(kLockPause);
  }
  return {EWOULDBLOCK, "another process holds the file's lock"};
}

// Until the file that is locked is the one of that name: it may have been moved away meanwhile.
FileWriter::Failed FileWriter::open_and_lock() {
  for (int i = 0; i < kReopenTries; ++i) {
    if (file_ < 0) {
      if (Failed error = open()) return error;
    }
    if (Failed error = lock()) return error;
    struct stat ours {};
    struct stat named {};
    if (::fstat(file_, &ours) != 0) return failed(errno, "look at the file");
    if (::lstat(path_.c_str(), &named) == 0 && ours.st_ino == named.st_ino &&
        ours.st_dev == named.st_dev) {
      size_ = static_cast<std::uint64_t>(ours.st_size);
      return {};
    }
    close();
  }
  return {EAGAIN, "the file is moved away again and again"};
}

FileWriter::Failed FileWriter::mend_end(std::string_view line_start) {
  char last = '\n';
  if (size_ > 0 && ::pread(file_, &last, 1, static_cast<off_t>(size_ - 1)) < 0) {
    return failed(errno, "read the file's end");
  }
  if (last == '\n') return {};
  std::uint64_t begin = size_;  // of the last line, found backwards by blocks
  while (begin > 0) {
    const std::uint64_t count = std::min<std::uint64_t>(kTailBytes, begin);
    std::string block(count, '\0');
    const ssize_t got =
        ::pread(file_, block.data(), block.size(), static_cast<off_t>(begin - count));
    if (got < 0) return failed(errno, "read the file's end");
    block.resize(static_cast<std::size_t>(got));
    const std::size_t line_break = block.rfind('\n');
    if (line_break != std::string::npos) {
      begin = begin - count + line_break + 1;
      break;
    }
    begin -= count;
  }
  std::string start(std::min<std::uint64_t>(line_start.size(), size_ - begin), '\0');
  if (::pread(file_, start.data(), start.size(), static_cast<off_t>(begin)) < 0) {
    return failed(errno, "read the file's end");
  }
  if (line_start.starts_with(start)) {
    log_warning(
        "{}: its last line was cut off {} bytes long, by an engine that was killed; those "
        "records come again, so it is removed",
        path_, size_ - begin);
    if (::ftruncate(file_, static_cast<off_t>(begin)) != 0) return failed(errno, "mend the file");
    size_ = begin;
    return {};
  }
  if (::write(file_, "\n", 1) != 1) return failed(errno, "write to the file");
  ++size_;
  return {};
}

bool FileWriter::is_due(std::uint64_t body_bytes, const RotationRules& rules, Timestamp now) const {
  if (size_ == 0) return false;
  if (rules.bytes_max > 0 && size_ + body_bytes > rules.bytes_max) return true;
  if (rules.age_max.count() == 0) return false;
  struct statx found {};
  if (::statx(file_, "", AT_EMPTY_PATH, STATX_BTIME | STATX_MTIME, &found) != 0) return false;
  // Where the file system keeps no birth, its last change says at least when it was idle so long.
  const auto& since = (found.stx_mask & STATX_BTIME) != 0 ? found.stx_btime : found.stx_mtime;
  const Timestamp made{std::chrono::seconds(since.tv_sec)};
  return now - made >= rules.age_max;
}

FileWriter::Failed FileWriter::rotate(const RotationRules& rules, Timestamp now) {
  if (rules.sync && ::fdatasync(file_) != 0) return failed(errno, "sync the file");
  const std::string to = rotated_path(path_, now);
  int error = 0;
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) {
    error = errno;
  }
  // Some file systems know no such flag; a name with nanoseconds is nobody's yet.
  if (error == EINVAL && ::rename(path_.c_str(), to.c_str()) == 0) error = 0;
  if (error != 0) return failed(error, "rotate the file");
  close();
  if (rules.sync) sync_folder(path_);
  return open_and_lock();
}

// What is rotated out is safe already: trouble with it is said once and keeps nothing up.
void FileWriter::tidy(const RotationRules& rules) {
  for (const Status& status :
       {compress_rotated(path_, rules.compression), remove_surplus(path_, rules.keep)}) {
    if (status) continue;
    if (!has_said_untidy_) log_warning("{}: {}", path_, status.error().message());
    has_said_untidy_ = true;
    return;
  }
  has_said_untidy_ = false;
}

FileWriter::Failed FileWriter::write(std::span<const Bytes> body, bool sync) {
  const auto take_back = [this](Failed error) {
    // What cannot be taken back is mended by the next append.
    if (::ftruncate(file_, static_cast<off_t>(size_)) != 0) close();
    return error;
  };
  for (Bytes piece : body) {
    while (!piece.empty()) {
      // In parts, so that a test can end the process between two of them.
      const ssize_t written = ::write(file_, piece.data(), std::min(piece.size(), kTailBytes));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return take_back(failed(errno, "write to the file"));
      piece.remove_prefix(static_cast<std::size_t>(written));
      if (!piece.empty()) SIDECAST_TEST_POINT("file.half_written");
    }
  }
  if (sync && ::fdatasync(file_) != 0) return take_back(failed(errno, "sync the file"));
  size_ += bytes_of(body);
  return {};
}

FileWriter::Failed FileWriter::append(std::span<const Bytes> body, std::string_view line_start,
                                      const RotationRules& rules, Timestamp now) {
  if (Failed error = open_and_lock()) return error;
  Failed error = mend_end(line_start);
  bool has_rotated = false;
  if (!error && is_due(bytes_of(body), rules, now)) {
    error = rotate(rules, now);
    has_rotated = true;
  }
  if (!error) error = write(body, rules.sync);
  if (file_ >= 0) ::flock(file_, LOCK_UN);
  if (has_rotated) tidy(rules);
  return error;
}

FileWriter::Failed FileWriter::check() {
  return open();
}

}  // namespace sidecast
