// Any file may stand in a spool's directory. Reading one must never fail otherwise than by saying
// so: heads, whole frames and bodies, and a done-log of the same bytes. The first byte chooses
// whether checksums are made right, so that what lies behind them is reached.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include "engine/spool/frame.h"
#include "engine/spool/segment_file.h"

namespace {

using namespace sidecast;
using namespace sidecast::spool;

// A segment around the bytes, with a right header.
std::string segment_of(std::string_view bytes) {
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.version = kSegmentVersion;
  header.id = 42;
  header.sequence = 1;
  header.checksum = XXH3_64bits(&header, offsetof(SegmentHeader, checksum));
  std::string segment(reinterpret_cast<const char*>(&header), sizeof header);
  return segment.append(bytes);
}

// A sound frame around the bytes, as somebody might have made one on purpose.
std::string frame_of(std::string_view bytes) {
  NewFrame frame;
  FrameRecord record{.encoded_bytes = static_cast<std::uint32_t>(bytes.size()), .fields = {}};
  if (!bytes.empty()) {
    record.encoded_bytes *= static_cast<unsigned char>(bytes[0]);
    frame.form.compression = static_cast<Compression>(static_cast<unsigned char>(bytes[0]) % 3);
    frame.form.prefix_bytes = static_cast<std::uint16_t>(bytes.size());
  }
  frame.records = {record, record};
  frame.destinations = {destination_name(std::string(32, 'a'), bytes, "otlp")};
  frame.body = bytes;
  std::string written = write_frame(frame, {.segment_id = 42, .offset = kFramesAt, .ordinal = 0});
  written += frame.body;
  written.resize(frame_bytes(frame));
  return written;
}

void read_all(const std::string& path) {
  auto file = SegmentFile::open(path, SegmentFile::Access::kRead);
  if (!file) return;
  const auto scan = (*file)->scan();
  if (!scan) return;
  for (const SegmentFile::Found& found : scan->frames) {
    if (found.offset + found.head.size_bytes > (*file)->file_bytes()) std::abort();
    const auto whole = (*file)->read(found.offset, found.head.size_bytes);
    if (!whole) std::abort();
    const auto frame = parse_frame(*whole, (*file)->id(), found.offset);
    if (!frame) continue;
    std::string plain;
    const auto records = cut_body(*frame, plain);
    if (!records) continue;
    for (std::size_t i = 0; i < records->size(); ++i) {
      if ((*records)[i].size() != frame->records[i].encoded_bytes) std::abort();
    }
  }
  static_cast<void>((*file)->read_done());
  static_cast<void>((*file)->check_done());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const unsigned mode = static_cast<unsigned char>(bytes.front()) % 3;
  bytes.remove_prefix(1);
  const std::string content = mode == 0   ? std::string(bytes)
                              : mode == 1 ? segment_of(bytes)
                                          : segment_of(frame_of(bytes));
  // One file in memory, written anew each time and removed at the end.
  // Never destroyed: it is needed after every destructor.
  static const std::string& path = []() -> const std::string& {
    auto& made = *new std::string("/dev/shm/sidecast-fuzz-XXXXXX.spool");
    const int file = mkstemps(made.data(), 6);
    if (file < 0) std::abort();
    close(file);
    std::atexit([] { unlink(path.c_str()); });
    return made;
  }();
  const int file = open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (file < 0 || write(file, content.data(), content.size()) < 0) std::abort();
  close(file);
  read_all(path);
  return 0;
}
