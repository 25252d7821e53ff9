#include "tools/receiver/span_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sidecast::receiver {
namespace {

tl::unexpected<Error> fail_errno(const std::string& what) {
  return fail(what + ": " + std::generic_category().message(errno));
}

}  // namespace

Result<std::unique_ptr<SpanFile>> SpanFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno("open " + path);
  std::unique_ptr<SpanFile> file(new SpanFile(path, fd));
  if (Status tail = file->drop_torn_line(); !tail) return fail(std::move(tail.error()));
  return file;
}

SpanFile::~SpanFile() {
  ::close(fd_);
}

Status SpanFile::drop_torn_line() {
  struct stat info {};
  if (fstat(fd_, &info) != 0) return fail_errno("stat " + path_);
  if (!S_ISREG(info.st_mode)) return {};  // /dev/stdout, a pipe: nothing to repair
  off_t end = info.st_size;
  std::array<char, 64U << 10U> block;
  while (end > 0) {
    const auto count = static_cast<std::size_t>(std::min<off_t>(end, block.size()));
    const off_t start = end - static_cast<off_t>(count);
    if (pread(fd_, block.data(), count, start) != static_cast<ssize_t>(count)) {
      return fail_errno("read " + path_);
    }
    const std::size_t newline = std::string_view(block.data(), count).rfind('\n');
    if (newline != std::string_view::npos) {
      end = start + static_cast<off_t>(newline) + 1;
      break;
    }
    end = start;
  }
  if (end != info.st_size && ftruncate(fd_, end) != 0) return fail_errno("truncate " + path_);
  return {};
}

Status SpanFile::append(Bytes lines) {
  const std::lock_guard lock(mutex_);
  std::size_t written = 0;
  while (written < lines.size()) {
    const ssize_t count = ::write(fd_, lines.data() + written, lines.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      Status failure = fail_errno("write " + path_);
      // What was written of these lines goes away again, so that nothing is stored twice.
      struct stat info {};
      if (fstat(fd_, &info) == 0 && S_ISREG(info.st_mode) &&
          ftruncate(fd_, info.st_size - static_cast<off_t>(written)) != 0) {
        return fail_errno("truncate " + path_);
      }
      return failure;
    }
    written += static_cast<std::size_t>(count);
  }
  return {};
}

}  // namespace sidecast::receiver
