// What the `sidecast spool` commands share: where the spool is, and its segments as they lie there.
// An engine may be at work meanwhile: a segment that vanishes was delivered.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/spool/frame.h"
#include "engine/spool/segment_file.h"

namespace sidecast {

struct SpoolOptions {
  std::string config_file;
  std::string directory;
  bool json = false;
  std::string destination;    // of cat and replay: only what waits for it; empty = all
  bool show_content = false;  // of cat
  bool repair = false;        // of check
  std::string to;             // of replay; empty = whom it waits for, if it is still the same
  bool force = false;
};

[[nodiscard]] Result<std::string> find_spool_dir(const SpoolOptions& options);

struct SpoolSegment {
  std::string path;
  // At rest: a process has fewer descriptors than a spool may have segments. Null: `flaw` says why.
  std::unique_ptr<spool::SegmentFile> file;
  std::string flaw;
  bool is_damaged = false;  // else it cannot be read just now, or is of another version
  spool::SegmentFile::Scan scan;
  std::unique_ptr<spool::SegmentFile::Done> done;

  // Bits of the destinations that a frame still waits for, as far as the disk knows.
  [[nodiscard]] std::uint64_t waiting(const spool::SegmentFile::Found& frame) const;
  // The bytes of a frame. An Error is one of the system's, or that the segment has gone.
  [[nodiscard]] Result<std::string> read(const spool::SegmentFile::Found& frame) const;
};
// Oldest first. An Error when the directory cannot be read.
[[nodiscard]] Result<std::vector<SpoolSegment>> read_spool(const std::string& directory,
                                                           spool::SegmentFile::Access access);

// Whom a frame waits for. Pointers into it.
[[nodiscard]] std::vector<const spool::DestinationName*> waiting_destinations(
    const SpoolSegment& segment, const spool::SegmentFile::Found& frame);
[[nodiscard]] std::vector<std::string> waiting_names(const SpoolSegment& segment,
                                                     const spool::SegmentFile::Found& frame);

// ---- one file each; they print and return the exit code
int list_spool(const SpoolOptions& options);
int cat_spool(const SpoolOptions& options);
int check_spool(const SpoolOptions& options);
int replay_spool(const SpoolOptions& options);

}  // namespace sidecast
