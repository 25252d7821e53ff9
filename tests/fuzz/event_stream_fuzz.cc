// AWS's binary event streams. An input is taken as it is, and once more with its checksums mended,
// so that what lies behind them is reached; the events of both go through the whole Normaliser.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <zlib.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/utf8.h"
#include "engine/normalise/event_stream.h"
#include "engine/normalise/normalise.h"
#include "tests/support/trace_texts.h"

namespace {

using namespace sidecast;

std::uint32_t number_at(const std::string& bytes, std::size_t at) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    number = number << 8U | static_cast<unsigned char>(bytes[at + i]);
  }
  return number;
}

// zlib's checksum of some of the bytes, written behind them.
void put_checksum(std::string& bytes, std::size_t from, std::size_t size) {
  const auto sum = static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data() + from), static_cast<uInt>(size)));
  for (unsigned i = 0; i < 4; ++i) {
    bytes[from + size + i] = static_cast<char>(sum >> (24U - 8U * i) & 0xFFU);
  }
}

// As far as the lengths make sense.
std::string mended(std::string bytes) {
  for (std::size_t at = 0; bytes.size() - at >= 16;) {
    const std::size_t total = number_at(bytes, at);
    put_checksum(bytes, at, 8);
    if (total < 16 || total > bytes.size() - at) break;
    put_checksum(bytes, at, total - 4);
    at += total;
  }
  return bytes;
}

void read(const std::string& stream) {
  static Arena arena;
  static Normaliser normaliser;
  arena.reset();
  EventStreamReader reader(stream);
  std::size_t size = 0;
  while (const auto event = reader.next(arena)) {
    size += event->name.size() + event->payload.size() + 12;
    SIDECAST_ASSERT(size <= stream.size());
  }
  shm::RecordView record;
  record.operation = "chat";
  record.endpoint = "/model/m/converse-stream";
  record.http_status = 200;
  record.response = stream;
  record.response_bytes = stream.size();
  record.start_ns = 1'700'000'000'000'000'000;
  record.end_ns = record.start_ns + 1;
  arena.reset();
  const Trace trace = normaliser.normalise(record, shm::RingUuid{}, 0, {}, arena);
  test::for_each_text(trace, [](Text text) {
    SIDECAST_ASSERT(is_valid_utf8(text));
    SIDECAST_ASSERT(text.find(";base64,") == Text::npos);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string stream(reinterpret_cast<const char*>(data), size);
  read(stream);
  read(mended(stream));
  return 0;
}
