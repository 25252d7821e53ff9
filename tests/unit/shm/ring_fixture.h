// A ring directory of its own, a writer behind the public C functions, and the engine's side of the
// same directory.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>
#include <sys/types.h>

#include "shm/include/sidecast.h"
#include "shm/reader.h"
#include "shm/record.h"

namespace sidecast::shm {

// A fresh directory in the given place, mode 3733, removed at the end.
class ScratchDirectory {
 public:
  explicit ScratchDirectory(const std::string& parent = "/dev/shm") {
    std::string pattern = parent + "/sidecast-test-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp in " + parent);
    path_ = pattern;
    chmod(path_.c_str(), 03733);
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::vector<std::string> names(const std::string& suffix) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      const std::string name = entry.path().filename();
      if (name.ends_with(suffix)) names.push_back(name);
    }
    return names;
  }

 private:
  std::string path_;
};

inline sidecast_text text(std::string_view value) {
  return {value.data(), value.size()};
}

// A generation whose texts and bodies live as long as this object. Not to be copied: it points into
// itself.
struct SampleGeneration {
  explicit SampleGeneration(std::string_view id = {}, std::string_view request_body = {},
                            std::string_view response_body = {})
      : request{request_body.data(), request_body.size()},
        response{response_body.data(), response_body.size()} {
    c.struct_size = sizeof c;
    c.generation_id = text(id);
    c.start_ns = 1'700'000'000'000'000'000;
    c.end_ns = c.start_ns + 250'000'000;
    c.http_status = 200;
    if (request.size != 0) c.request = {&request, 1};
    if (response.size != 0) c.response = {&response, 1};
  }
  SampleGeneration(const SampleGeneration&) = delete;
  SampleGeneration& operator=(const SampleGeneration&) = delete;

  sidecast_generation c = {};
  sidecast_slice request;
  sidecast_slice response;
};

class WriterHandle {
 public:
  explicit WriterHandle(const std::string& directory, std::uint64_t ring_bytes = 1 << 20,
                        std::uint32_t lanes = 4, std::uint32_t flags = 0) {
    sidecast_options options = {};
    options.struct_size = sizeof options;
    options.ring_dir = directory.c_str();
    options.process = "test-gateway";
    options.ring_bytes = ring_bytes;
    options.lanes = lanes;
    options.flags = flags;
    opened_ = sidecast_open(&options, &writer_);
  }
  ~WriterHandle() { sidecast_close(writer_); }
  WriterHandle(const WriterHandle&) = delete;
  WriterHandle& operator=(const WriterHandle&) = delete;

  [[nodiscard]] sidecast_status opened() const noexcept { return opened_; }
  [[nodiscard]] sidecast_writer* get() const noexcept { return writer_; }
  [[nodiscard]] sidecast_counters counters() const {
    sidecast_counters counters = {};
    counters.struct_size = sizeof counters;
    sidecast_stats(writer_, &counters);
    return counters;
  }
  sidecast_status write(const SampleGeneration& generation) const {
    return sidecast_write_generation(writer_, &generation.c);
  }
  void close() {
    sidecast_close(writer_);
    writer_ = nullptr;
  }

 private:
  sidecast_writer* writer_ = nullptr;
  sidecast_status opened_ = SIDECAST_INVALID;
};

inline std::unique_ptr<RingDirectory> open_directory(const std::string& path,
                                                     Access access = Access::kEngine) {
  std::string error;
  auto directory = RingDirectory::open(path, error, access);
  if (directory == nullptr) throw std::runtime_error(error);
  return directory;
}

// Everything published in all lanes; released as it goes unless told otherwise.
struct Drained {
  std::vector<std::string> records;
  PeekStatus last = PeekStatus::kEmpty;

  [[nodiscard]] std::vector<std::string> ids() const {
    std::vector<std::string> ids;
    for (const std::string& record : records) {
      RecordView view;
      if (parse_record(record, view) != RecordError::kNone) throw std::runtime_error("bad record");
      ids.emplace_back(view.generation_id);
    }
    return ids;
  }
};

inline Drained drain(Ring& ring, bool releases = true) {
  Drained drained;
  std::string bytes;
  for (std::uint32_t lane = 0; lane < ring.info().lanes; ++lane) {
    LaneCursor cursor = ring.released(lane);
    PeekStatus status;
    while ((status = ring.peek(lane, cursor, bytes)) == PeekStatus::kRecord) {
      drained.records.push_back(bytes);
    }
    if (status != PeekStatus::kEmpty) drained.last = status;
    if (releases) ring.release(lane, cursor);
  }
  return drained;
}

}  // namespace sidecast::shm
