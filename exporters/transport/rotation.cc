#include "exporters/transport/rotation.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exporters/compress/compress.h"

namespace sidecast {
namespace {

constexpr std::size_t kChunkBytes = 4U << 20U;  // compressed at a time, as one member or frame
constexpr std::string_view kTimeShape = "-ddddddddTdddddd.dddddddddZ";  // d = digit
constexpr std::string_view kUnfinished = ".unfinished";

std::string words(int error) {
  return std::generic_category().message(error);
}

struct Parts {
  std::string folder;
  std::string stem;       // "traces"
  std::string extension;  // ".jsonl", or empty
};

Parts parts_of(const std::string& path) {
  Parts parts;
  const std::size_t slash = path.rfind('/');
  parts.folder = slash == 0 ? "/" : path.substr(0, slash);
  parts.stem = path.substr(slash + 1);
  const std::size_t dot = parts.stem.rfind('.');
  if (dot != std::string::npos && dot > 0) {
    parts.extension = parts.stem.substr(dot);
    parts.stem.resize(dot);
  }
  return parts;
}

bool is_time(std::string_view text) {
  return std::equal(
      text.begin(), text.end(), kTimeShape.begin(), kTimeShape.end(),
      [](char c, char shape) { return shape == 'd' ? c >= '0' && c <= '9' : c == shape; });
}

struct Rotated {
  std::string name;
  bool is_compressed = false;
  bool operator<(const Rotated& other) const { return name < other.name; }
};

std::optional<Rotated> rotated_of(const Parts& parts, std::string_view name) {
  std::string_view rest = name;
  if (!rest.starts_with(parts.stem)) return std::nullopt;
  rest.remove_prefix(parts.stem.size());
  if (!is_time(rest.substr(0, kTimeShape.size()))) return std::nullopt;
  rest.remove_prefix(kTimeShape.size());
  if (!rest.starts_with(parts.extension)) return std::nullopt;
  rest.remove_prefix(parts.extension.size());
  if (rest.empty()) return Rotated{std::string(name), false};
  if (rest == ".gz" || rest == ".zst") return Rotated{std::string(name), true};
  return std::nullopt;
}

// Sorted, so by time.
std::vector<Rotated> list(const Parts& parts) {
  std::vector<Rotated> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(parts.folder.c_str()), &::closedir);
  if (folder == nullptr) return found;
  // A stream of our own, which glibc reads safely.
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  while (const dirent* const entry = ::readdir(folder.get())) {
    if (auto rotated = rotated_of(parts, entry->d_name)) found.push_back(std::move(*rotated));
  }
  std::sort(found.begin(), found.end());
  return found;
}

// A descriptor that is closed with its room.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int get() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

bool write_all(int to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(to, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// Locked for it, and still there: two engines may write to the same file.
bool is_ours_to_compress(int file, const std::string& name) {
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) return false;
  struct stat opened {};
  struct stat named {};
  return ::fstat(file, &opened) == 0 && ::lstat(name.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && S_ISREG(opened.st_mode);
}

int copy_compressed(int from, int to, Compression compression) {
  Compressor compressor;
  std::string chunk(kChunkBytes, '\0');
  while (true) {
    std::size_t filled = 0;
    while (filled < chunk.size()) {
      const ssize_t got = ::read(from, chunk.data() + filled, chunk.size() - filled);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno;
      if (got == 0) break;
      filled += static_cast<std::size_t>(got);
    }
    if (filled == 0) return 0;
    const Bytes pieces[] = {std::string_view(chunk).substr(0, filled)};
    if (!write_all(to, compressor.compress(compression, pieces))) return errno;
  }
}

}  // namespace

std::string rotated_path(const std::string& path, Timestamp now) {
  const Parts parts = parts_of(path);
  const std::int64_t ns = unix_ns(now);
  const auto seconds = static_cast<std::time_t>(ns / 1'000'000'000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> time{};
  std::strftime(time.data(), time.size(), "%Y%m%dT%H%M%S", &utc);
  return fmt::format("{}/{}-{}.{:09}Z{}", parts.folder == "/" ? "" : parts.folder, parts.stem,
                     time.data(), ns % 1'000'000'000, parts.extension);
}

Status compress_rotated(const std::string& path, Compression compression) {
  if (compression == Compression::kNone) return {};
  const Parts parts = parts_of(path);
  for (const Rotated& rotated : list(parts)) {
    if (rotated.is_compressed) continue;
    const std::string plain = parts.folder + "/" + rotated.name;
    const std::string done = plain + (compression == Compression::kGzip ? ".gz" : ".zst");
    const std::string unfinished = done + std::string(kUnfinished);
    const File from(::open(plain.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (from.get() < 0 && errno == ENOENT) continue;  // another engine was quicker
    if (from.get() < 0) return fail("open " + plain + ": " + words(errno));
    if (!is_ours_to_compress(from.get(), plain)) continue;
    ::unlink(unfinished.c_str());  // of an engine that was killed over it
    int error = 0;
    {
      const File to(
          ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
      if (to.get() < 0) return fail("create " + unfinished + ": " + words(errno));
      error = copy_compressed(from.get(), to.get(), compression);
      if (error == 0 && ::fsync(to.get()) != 0) error = errno;
    }
    if (error == 0 && ::rename(unfinished.c_str(), done.c_str()) != 0) error = errno;
    if (error != 0) {
      ::unlink(unfinished.c_str());
      return fail("compress " + plain + ": " + words(error));
    }
    ::unlink(plain.c_str());
  }
  return {};
}

Status remove_surplus(const std::string& path, std::uint64_t keep) {
  if (keep == 0) return {};
  const Parts parts = parts_of(path);
  const std::vector<Rotated> rotated = list(parts);
  for (std::size_t i = 0; i + keep < rotated.size(); ++i) {
    const std::string name = parts.folder + "/" + rotated[i].name;
    if (::unlink(name.c_str()) != 0 && errno != ENOENT) {
      return fail("remove " + name + ": " + words(errno));
    }
  }
  return {};
}

}  // namespace sidecast
