// The receiver's output: a file of whole lines. Each append is one write(2), so a kill can tear at
// most the last line, and that request was not answered; open() takes such a tail off again.
//
// Threads: append() from any.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

namespace sidecast::receiver {

class SpanFile {
 public:
  // Appends to what is there. New files are private to the user: lines carry headers, and headers
  // carry keys.
  [[nodiscard]] static Result<std::unique_ptr<SpanFile>> open(const std::string& path);
  ~SpanFile();
  SpanFile(const SpanFile&) = delete;
  SpanFile& operator=(const SpanFile&) = delete;

  // All of `lines` or, on a full disk or the like, nothing.
  [[nodiscard]] Status append(Bytes lines);

 private:
  SpanFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  [[nodiscard]] Status drop_torn_line();

  std::string path_;
  int fd_;
  std::mutex mutex_;  // one append at a time
};

}  // namespace sidecast::receiver
