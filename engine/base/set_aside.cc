#include "engine/base/set_aside.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <vector>

namespace sidecast {
namespace {

constexpr std::size_t kFilesMax = 16;
constexpr std::uint64_t kBytesMax = 64ULL << 20U;

struct Aside {
  std::filesystem::file_time_type changed;
  std::filesystem::path path;
  std::uint64_t size_bytes;
};

}  // namespace

void bound_set_aside(const std::string& directory, std::string_view suffix) noexcept {
  std::error_code error;
  std::vector<Aside> files;
  std::filesystem::directory_iterator found(directory, error);
  const std::filesystem::directory_iterator end;
  for (; !error && found != end; found.increment(error)) {
    std::error_code gone;
    if (!found->path().native().ends_with(suffix) || !found->is_regular_file(gone) || gone)
      continue;
    Aside file{found->last_write_time(gone), found->path(), 0};
    file.size_bytes = found->file_size(gone);
    if (!gone) files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(),
            [](const Aside& a, const Aside& b) { return a.changed > b.changed; });
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    bytes += files[i].size_bytes;
    if (i >= kFilesMax || bytes > kBytesMax) std::filesystem::remove(files[i].path, error);
  }
}

}  // namespace sidecast
