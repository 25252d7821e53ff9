#include "exporters/encode/firehose_record.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "exporters/encode/trace_json.h"

namespace sidecast {
namespace {

// Two characters for each twelve bits. engine/base/base64.h takes the same time whatever it reads,
// as secrets need; this is a record's content, and all of it.
constexpr auto kPairs = [] {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<std::array<char, 2>, 4096> pairs{};
  for (std::size_t bits = 0; bits < pairs.size(); ++bits) {
    pairs[bits] = {kLetters[bits / 64], kLetters[bits % 64]};
  }
  return pairs;
}();

// The standard alphabet, with padding.
void append_base64(Bytes bytes, ByteBuffer& out) {
  char* to = out.reserve((bytes.size() + 2) / 3 * 4);
  const char* const begin = to;
  const auto byte = [&bytes](std::size_t at) -> std::uint32_t {
    return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0U;
  };
  for (std::size_t at = 0; at < bytes.size(); at += 3, to += 4) {
    const std::uint32_t bits = byte(at) << 16U | byte(at + 1) << 8U | byte(at + 2);
    std::memcpy(to, kPairs[bits >> 12U].data(), 2);
    std::memcpy(to + 2, kPairs[bits & 0xFFFU].data(), 2);
  }
  if (bytes.size() % 3 != 0) to[-1] = '=';
  if (bytes.size() % 3 == 1) to[-2] = '=';
  out.advance(static_cast<std::size_t>(to - begin));
}

}  // namespace

void encode_firehose_record(const Trace& trace, const SpanSet& set, ByteBuffer& out) {
  ByteBuffer line;
  encode_trace_json(trace, set, line);
  line.push_back('\n');
  out.append(R"({"Data":")");
  append_base64(line.view(), out);
  out.append(R"("})");
}

}  // namespace sidecast
