// The state of a spool segment: who still has to take each of its frames. It lies in the engine's
// own directory, in shared memory, and moves with the ledger's counters by redo records, so that it
// is exact after any death. After a power cut it is gone, and the segment is counted in anew by
// what its own files say (recover.cc).
//
// Threads: a frame's word is written by the delivery thread when the frame is committed, and from
// then on by the spooler, which learns of it through a queue.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/spool/layout.h"

namespace sidecast::spool {

class SegmentState {
 public:
  struct Key {
    std::uint64_t epoch = 0;  // of the ledger whose counters it agrees with
    std::uint64_t segment_id = 0;
  };
  // `is_new`: what the segment's files hold is not yet counted in.
  [[nodiscard]] static Result<std::unique_ptr<SegmentState>> create(const std::string& path,
                                                                    Key key, bool is_new);
  // `is_unreachable`: whatever it holds, it could not be had just now.
  [[nodiscard]] static Result<std::unique_ptr<SegmentState>> open(const std::string& path,
                                                                  bool& is_unreachable);
  ~SegmentState();
  SegmentState(const SegmentState&) = delete;
  SegmentState& operator=(const SegmentState&) = delete;

  [[nodiscard]] std::uint64_t epoch() const noexcept;
  [[nodiscard]] std::uint64_t segment_id() const noexcept;
  // Frames that are committed, the first so many. What a segment holds beyond them is still the
  // stage's.
  [[nodiscard]] std::uint32_t frames() const noexcept;
  [[nodiscard]] std::uint64_t pending(std::uint32_t ordinal) const noexcept;
  // By a redo record only.
  void set(std::uint32_t ordinal, std::uint64_t pending) noexcept;

  [[nodiscard]] bool is_adopting() const noexcept;
  void end_adopting() noexcept;
  void remove() noexcept;

 private:
  struct File;
  SegmentState(std::string path, File* file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  File* file_;
};

}  // namespace sidecast::spool
