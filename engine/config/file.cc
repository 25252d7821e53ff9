#include "engine/config/file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include <fmt/format.h>

#include "engine/config/units.h"

namespace sidecast {
namespace {

struct Close {
  void operator()(std::FILE* file) const noexcept { static_cast<void>(std::fclose(file)); }
};

auto system_error(const std::string& what) {
  return fail(fmt::format("{}: {}", what, std::generic_category().message(errno)));
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rbe"));
  if (file == nullptr) return system_error(fmt::format("cannot open {}", path));
  constexpr std::size_t kChunkBytes = 64U << 10U;
  std::string text;
  while (true) {
    const std::size_t size = text.size();
    text.resize(std::min(size + kChunkBytes, bytes_max + 1));
    text.resize(size + std::fread(text.data() + size, 1, text.size() - size, file.get()));
    if (std::ferror(file.get()) != 0) return system_error(fmt::format("cannot read {}", path));
    if (text.size() > bytes_max) {
      return fail(fmt::format("{} is larger than {}", path, size_text(bytes_max)));
    }
    if (std::feof(file.get()) != 0) return text;
  }
}

}  // namespace sidecast
