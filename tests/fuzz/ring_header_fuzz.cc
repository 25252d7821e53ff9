// check_header() on any header: what it lets pass, the engine may use without another look.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "shm/ring_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sidecast::shm;
  alignas(RingHeader) unsigned char bytes[sizeof(RingHeader)] = {};
  std::uint64_t file_bytes = 0;
  if (size < sizeof file_bytes) return 0;
  std::memcpy(&file_bytes, data, sizeof file_bytes);
  if (file_bytes < control_bytes(1) || file_bytes > kRingBytesMax) return 0;  // as open_ring() does
  const std::size_t rest = size - sizeof file_bytes;
  std::memcpy(bytes, data + sizeof file_bytes, rest < sizeof bytes ? rest : sizeof bytes);
  CheckedHeader checked;
  if (check_header(*reinterpret_cast<const RingHeader*>(bytes), file_bytes, checked) != nullptr) {
    return 0;
  }
  std::uint64_t end = control_bytes(checked.lane_count);
  for (std::uint32_t i = 0; i < checked.lane_count; ++i) {
    const LaneExtent lane = checked.lanes[i];
    if (lane.offset < end || lane.capacity == 0 || lane.offset + lane.capacity > file_bytes) {
      std::abort();
    }
    end = lane.offset + lane.capacity;
  }
  if (std::memchr(checked.process, 0, sizeof checked.process) == nullptr) std::abort();
  return 0;
}
