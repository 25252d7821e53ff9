// One file of lines: appended to, rotated, repaired. Blocking; belongs to one thread.
//
// A body is appended whole or not at all: what a full disk cut off is taken back, and what a killed
// engine left of a line goes before the next body is written, since its records were never settled.
// Each append holds the file's lock and looks for the file under its name again, so that other
// engines, `sidecast test` and logrotate may use it too.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/clock.h"
#include "exporters/exporter.h"

namespace sidecast {

struct RotationRules {
  std::uint64_t bytes_max = 0;                   // rotated before it would grow over it; 0 = never
  std::chrono::seconds age_max{0};               // since it was made; 0 = never
  std::uint64_t keep = 0;                        // rotated files that stay; 0 = all
  Compression compression = Compression::kNone;  // of rotated files
  bool sync = false;  // a body is on the disk before it counts as written
};

class FileWriter {
 public:
  // What went wrong, in our words and the system's; empty = nothing.
  struct Failed {
    int error = 0;
    std::string what;
    [[nodiscard]] explicit operator bool() const noexcept { return error != 0; }
  };

  explicit FileWriter(std::string path) : path_(std::move(path)) {}
  ~FileWriter() { close(); }
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  // `body` ends in a line break. An unfinished last line that begins with `line_start` was ours and
  // goes; any other gets its line break.
  [[nodiscard]] Failed append(std::span<const Bytes> body, std::string_view line_start,
                              const RotationRules& rules, Timestamp now);
  // As append() would find it, without writing.
  [[nodiscard]] Failed check();
  void close() noexcept;

 private:
  [[nodiscard]] Failed open();
  [[nodiscard]] Failed lock();
  [[nodiscard]] Failed open_and_lock();
  [[nodiscard]] Failed mend_end(std::string_view line_start);
  [[nodiscard]] bool is_due(std::uint64_t body_bytes, const RotationRules& rules,
                            Timestamp now) const;
  [[nodiscard]] Failed rotate(const RotationRules& rules, Timestamp now);
  [[nodiscard]] Failed write(std::span<const Bytes> body, bool sync);
  void tidy(const RotationRules& rules);

  std::string path_;
  int file_ = -1;
  std::uint64_t size_ = 0;
  bool has_said_untidy_ = false;
};

}  // namespace sidecast
