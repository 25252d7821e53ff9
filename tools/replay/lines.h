// Lines of a text file, plain or gzip, one at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "engine/base/result.h"

namespace sidecast::replay {

class LineReader {
 public:
  [[nodiscard]] static Result<LineReader> open(const std::string& path);

  // False at the end. The line comes without its newline; its capacity exceeds its size by at least
  // `padding` bytes, as a JSON parser that reads ahead wants it.
  [[nodiscard]] Result<bool> next(std::string& line, std::size_t padding = 0);
  [[nodiscard]] std::size_t line_number() const noexcept { return line_number_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  struct Close {
    void operator()(void* file) const noexcept;
  };
  LineReader(std::string path, void* file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  std::unique_ptr<void, Close> file_;  // zlib's gzFile
  std::size_t line_number_ = 0;
};

}  // namespace sidecast::replay
