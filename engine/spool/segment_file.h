// A segment of the spool on disk, and its done-log. Written with pwrite into room that was
// allocated before, so that a full or failing disk is an error and never a signal. Nothing in it is
// believed without its checksum. Threads: belongs to one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/spool/frame.h"
#include "engine/spool/layout.h"

namespace sidecast::spool {

class SegmentFile {
 public:
  // Makes and allocates a segment with room for frames of `capacity` bytes in all.
  [[nodiscard]] static Result<std::unique_ptr<SegmentFile>> create(const std::string& directory,
                                                                   std::uint64_t sequence,
                                                                   std::uint64_t capacity,
                                                                   std::int64_t created_ns);
  enum class Access { kRead, kChange };
  // Why a file is none: broken, or of a version that we do not know, or not to be had just now.
  enum class Unusable { kDamaged, kOtherVersion, kUnreachable };
  [[nodiscard]] static Result<std::unique_ptr<SegmentFile>> open(const std::string& path,
                                                                 Access access,
                                                                 Unusable* why = nullptr);
  ~SegmentFile();
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string done_path() const;
  [[nodiscard]] std::uint64_t id() const noexcept { return header_.id; }
  [[nodiscard]] std::uint64_t sequence() const noexcept { return header_.sequence; }
  [[nodiscard]] std::int64_t created_ns() const noexcept { return header_.created_ns; }
  [[nodiscard]] std::uint64_t file_bytes() const noexcept { return size_; }
  // Where the next frame goes; of an opened segment, once scan() has found it.
  [[nodiscard]] std::uint64_t tail() const noexcept { return tail_; }
  [[nodiscard]] bool has_room(std::uint64_t bytes) const noexcept { return size_ - tail_ >= bytes; }

  // Gives its descriptors back, of which a process has few; wake() comes before the next use.
  void rest() noexcept;
  enum class Waking { kAwake, kNotNow, kGone };
  [[nodiscard]] Waking wake();

  // Writes a frame at the tail. After an error the tail is where it was.
  [[nodiscard]] Status append(const NewFrame& frame, std::uint32_t ordinal);
  // Gives back the room behind `end`: nothing more is appended, or it was never committed.
  [[nodiscard]] Status cut(std::uint64_t end);
  [[nodiscard]] Status sync();
  [[nodiscard]] Result<std::string> read(std::uint64_t offset, std::uint64_t size) const;

  struct Found {
    FrameHead head;
    std::uint64_t offset = 0;
  };
  struct Scan {
    std::vector<Found> frames;       // with a sound head, in the order of the file
    std::vector<std::string> flaws;  // what else there is, "offset N: ..."; bounded
    std::uint64_t end = kFramesAt;   // behind the last sound frame
    bool is_torn = false;            // and something broken behind it
  };
  // Reads heads only. Goes on behind damage where the next sound frame begins. An Error is one of
  // the system's: what stands in the file is not known then.
  [[nodiscard]] Result<Scan> scan();

  // Bits of destinations, by ordinal, that the done-log says are done.
  using Done = std::array<std::uint64_t, kFramesMax>;
  [[nodiscard]] std::unique_ptr<Done> read_done() const;
  [[nodiscard]] Status note_done(std::uint32_t ordinal, std::uint64_t destinations);
  // Whole entries of the done-log that are not ours, and whether it ends amid one.
  struct DoneFlaws {
    std::uint64_t foreign = 0;
    bool is_torn = false;
  };
  [[nodiscard]] DoneFlaws check_done() const;

  void remove() noexcept;
  // As *.damaged, with its done-log; else removed.
  void set_aside() noexcept;

 private:
  SegmentFile(std::string path, int fd, const SegmentHeader& header, std::uint64_t size)
      : path_(std::move(path)), fd_(fd), header_(header), size_(size) {}
  [[nodiscard]] Result<Found> frame_at(std::uint64_t offset) const;
  [[nodiscard]] std::uint64_t next_frame(std::uint64_t from) const;  // or the file's end
  [[nodiscard]] bool is_zero_from(std::uint64_t offset) const;
  [[nodiscard]] std::string read_done_bytes() const;

  std::string path_;
  int fd_;
  int done_fd_ = -1;
  SegmentHeader header_;
  std::uint64_t size_;
  std::uint64_t tail_ = kFramesAt;
  mutable std::optional<Error> unread_;  // why the system gave no bytes, once it has not
};

// What a kill between making a segment and naming it leaves behind.
inline constexpr std::string_view kDraftExtension = ".draft";
// What a segment's file name says of it.
struct NamedSegment {
  std::uint64_t sequence = 0;
  std::uint64_t id = 0;
};
[[nodiscard]] std::optional<NamedSegment> named_segment(const std::string& path);

// Files of a directory with that extension (".spool"), sorted by name: oldest first. An Error when
// it cannot be read.
[[nodiscard]] Result<std::vector<std::string>> files_of(const std::string& directory,
                                                        std::string_view extension);

}  // namespace sidecast::spool
