// A hostile writer against a reading engine: the input is a lane's first contents and then a list
// of stores into its positions and data, made between the reader's steps. The reader must never
// leave the lane, never hand out a record that is not one piece of it, and end when told it is
// hostile.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "shm/lane.h"
#include "shm/record.h"

namespace {

// Takes values off the input's front; zeros once it is used up.
class Script {
 public:
  Script(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  template <typename Value>
  Value take() {
    Value value{};
    const std::size_t part = size_ < sizeof value ? size_ : sizeof value;
    std::memcpy(&value, data_, part);
    data_ += part;
    size_ -= part;
    return value;
  }
  void fill(char* to, std::size_t bytes) {
    const std::size_t part = size_ < bytes ? size_ : bytes;
    std::memcpy(to, data_, part);
    data_ += part;
    size_ -= part;
  }
  [[nodiscard]] bool is_over() const { return size_ == 0; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sidecast::shm;
  constexpr std::uint64_t kCapacity = 1024;
  Script script(data, size);
  LaneControl control{};
  // On the heap, so that the address sanitizer sees a step beyond it.
  std::vector<std::uint64_t> words(kCapacity / 8);
  char* const lane_data = reinterpret_cast<char*>(words.data());
  control.head.store(script.take<std::uint64_t>());
  control.tail.store(script.take<std::uint64_t>());
  script.fill(lane_data, kCapacity);
  LaneReader reader(&control, lane_data, kCapacity);
  if (!reader.recover()) return 0;
  LanePosition cursor = reader.released();
  std::string bytes;
  RecordView view;
  while (!script.is_over()) {
    switch (script.take<std::uint8_t>() % 6) {
      case 0:
        control.head.store(script.take<std::uint64_t>());
        break;
      case 1:
        control.tail.store(script.take<std::uint64_t>());
        break;
      case 2: {
        const std::uint16_t at = script.take<std::uint16_t>();
        words[at % words.size()] = script.take<std::uint64_t>();
        break;
      }
      case 3:
        control.head.fetch_add(script.take<std::uint16_t>());
        break;
      case 4:
        reader.release(cursor);
        break;
      default: {
        const LanePosition before = cursor;
        switch (reader.peek(cursor, bytes)) {
          case LaneRead::kHostile:
            return 0;  // the engine sets the ring aside
          case LaneRead::kEmpty:
            if (cursor.position != before.position) std::abort();
            break;
          case LaneRead::kRecord:
            if (cursor.position != before.position + bytes.size()) std::abort();
            if (cursor.sequence != before.sequence + 1) std::abort();
            if (bytes.size() > kCapacity) std::abort();
            static_cast<void>(parse_record(bytes, view));
            break;
        }
      }
    }
    static_cast<void>(reader.counts());
  }
  return 0;
}
