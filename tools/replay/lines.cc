#include "tools/replay/lines.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include <zlib.h>

namespace sidecast::replay {
namespace {

constexpr unsigned kBufferBytes = 256U << 10U;

gzFile as_gz(void* file) noexcept {
  return static_cast<gzFile>(file);
}

}  // namespace

void LineReader::Close::operator()(void* file) const noexcept {
  gzclose_r(as_gz(file));
}

Result<LineReader> LineReader::open(const std::string& path) {
  const gzFile file = gzopen(path.c_str(), "rbe");  // passes plain text through
  if (file == nullptr) return fail("open " + path + ": " + std::generic_category().message(errno));
  gzbuffer(file, kBufferBytes);
  return LineReader(path, file);
}

Result<bool> LineReader::next(std::string& line, std::size_t padding) {
  std::array<char, 16U << 10U> piece;
  line.clear();
  for (;;) {
    if (gzgets(as_gz(file_.get()), piece.data(), static_cast<int>(piece.size())) == nullptr) {
      int code = Z_OK;
      const char* const text = gzerror(as_gz(file_.get()), &code);
      if (code != Z_OK) return fail("read " + path_ + ": " + text);
      if (line.empty()) return false;
      break;  // the last line has no newline
    }
    const std::size_t length = std::strlen(piece.data());
    line.append(piece.data(), length);
    if (line.ends_with('\n')) {
      line.pop_back();
      break;
    }
  }
  if (line.ends_with('\r')) line.pop_back();
  line.reserve(line.size() + padding);
  ++line_number_;
  return true;
}

}  // namespace sidecast::replay
