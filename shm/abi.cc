// The C functions of sidecast.h: they check arguments, fill in what older callers' structs lack,
// and never decide.
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "shm/include/sidecast.h"
#include "shm/writer.h"

using sidecast::shm::Writer;
using sidecast::shm::WriterOptions;

namespace {

// A struct of a caller built with an older, shorter header is completed with zeros, which mean
// absent; of one with a newer, longer header the known front is read in place. Null: no valid
// struct.
template <typename Struct>
const Struct* complete(const Struct* given, Struct& space) noexcept {
  if (given == nullptr || given->struct_size < sizeof(given->struct_size)) return nullptr;
  if (given->struct_size >= sizeof(Struct)) return given;
  space = Struct();
  std::memcpy(&space, given, given->struct_size);
  return &space;
}

// Not from a set-user-id program's caller, who could make it write where it should not.
const char* environment(const char* name) noexcept {
  const char* const value = secure_getenv(name);  // NOLINT(concurrency-mt-unsafe): only at open
  return value != nullptr && *value != '\0' ? value : nullptr;
}

std::uint64_t environment_number(const char* name) noexcept {
  const char* const value = environment(name);
  if (value == nullptr || *value < '0' || *value > '9') return 0;
  char* end = nullptr;
  errno = 0;
  const unsigned long long number = std::strtoull(value, &end, 10);
  return errno == 0 && *end == '\0' ? number : 0;
}

bool copy_text(const char* from, char* to, std::size_t capacity) noexcept {
  const std::size_t size = strnlen(from, capacity);
  std::memcpy(to, from, std::min(size, capacity - 1));
  return size < capacity;
}

bool resolve(const sidecast_options& given, WriterOptions& options) noexcept {
  const char* directory = given.ring_dir;
  if (directory == nullptr) directory = environment("SIDECAST_RING_DIR");
  if (directory == nullptr) directory = "/dev/shm/sidecast";
  if (!copy_text(directory, options.directory, sizeof options.directory)) return false;
  const char* const process =
      given.process != nullptr ? given.process : program_invocation_short_name;
  copy_text(process, options.process, sizeof options.process);
  const auto first_set = [](std::uint64_t wanted, const char* name) {
    return wanted != 0 ? wanted : environment_number(name);
  };
  options.ring_bytes = first_set(given.ring_bytes, "SIDECAST_RING_BYTES");
  options.record_bytes_max = first_set(given.record_bytes_max, "SIDECAST_RECORD_BYTES_MAX");
  options.lanes = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(first_set(given.lanes, "SIDECAST_LANES"), UINT32_MAX));
  options.may_retry = (given.flags & SIDECAST_OPEN_NO_RETRY) == 0;
  options.switched_off = environment_number("SIDECAST_OFF") != 0;
  return true;
}

Writer* writer_of(sidecast_writer* handle) noexcept {
  return reinterpret_cast<Writer*>(handle);
}

bool has_ring(Writer& writer) noexcept {
  sidecast_counters counters = {};
  writer.read_counters(counters);
  return counters.has_ring != 0;
}

}  // namespace

extern "C" {

SIDECAST_API sidecast_status sidecast_open(const sidecast_options* options,
                                           sidecast_writer** writer) {
  if (writer == nullptr) return SIDECAST_INVALID;
  *writer = nullptr;
  sidecast_options space = {};
  space.struct_size = sizeof space;
  if (options != nullptr)
    options = complete(options, space);
  else
    options = &space;
  WriterOptions resolved;
  if (options == nullptr || !resolve(*options, resolved)) return SIDECAST_INVALID;
  Writer* const opened = Writer::open(resolved);
  *writer = reinterpret_cast<sidecast_writer*>(opened);
  if (opened == nullptr) return SIDECAST_DISABLED;
  if (has_ring(*opened)) return SIDECAST_OK;
  return resolved.switched_off ? SIDECAST_SWITCHED_OFF : SIDECAST_DISABLED;
}

SIDECAST_API sidecast_status sidecast_refresh(sidecast_writer* writer) {
  return writer == nullptr ? SIDECAST_DISABLED : writer_of(writer)->refresh();
}

SIDECAST_API void sidecast_close(sidecast_writer* writer) {
  delete writer_of(writer);
}

SIDECAST_API sidecast_status sidecast_write_generation(sidecast_writer* writer,
                                                       const sidecast_generation* generation) {
  if (writer == nullptr) return SIDECAST_DISABLED;
  sidecast_generation space;
  generation = complete(generation, space);
  return generation == nullptr ? SIDECAST_INVALID : writer_of(writer)->write(*generation);
}

SIDECAST_API sidecast_status sidecast_write_span(sidecast_writer* writer,
                                                 const sidecast_span* span) {
  if (writer == nullptr) return SIDECAST_DISABLED;
  sidecast_span space;
  span = complete(span, space);
  return span == nullptr ? SIDECAST_INVALID : writer_of(writer)->write(*span);
}

SIDECAST_API sidecast_status sidecast_stats(sidecast_writer* writer, sidecast_counters* counters) {
  if (counters == nullptr || counters->struct_size < sizeof counters->struct_size) {
    return SIDECAST_INVALID;
  }
  sidecast_counters now = {};
  if (writer != nullptr) writer_of(writer)->read_counters(now);
  now.struct_size = std::min(counters->struct_size, sizeof now);
  std::memcpy(counters, &now, now.struct_size);
  return SIDECAST_OK;
}

}  // extern "C"
