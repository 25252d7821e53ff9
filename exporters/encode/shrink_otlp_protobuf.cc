// The messages on the way to a span's texts are taken apart and written anew; every other field is
// copied as it stands, known or not. Field numbers: see otlp_protobuf.cc.
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "exporters/encode/shorten.h"
#include "exporters/encode/shrink.h"

namespace sidecast {
namespace {

enum class Message {
  kRequest,
  kResourceSpans,
  kScopeSpans,
  kSpan,
  kEvent,
  kStatus,
  kKeyValue,
  kAnyValue,
  kList,
  kText,  // no message: what is looked for
};

// What stands in that field, where it leads to texts that are content.
std::optional<Message> child_of(Message message, protozero::pbf_tag_type field) {
  struct Path {
    Message from;
    protozero::pbf_tag_type field;
    Message to;
  };
  static constexpr Path kPaths[] = {
      {Message::kRequest, 1, Message::kResourceSpans},
      {Message::kResourceSpans, 2, Message::kScopeSpans},
      {Message::kScopeSpans, 2, Message::kSpan},
      {Message::kSpan, 9, Message::kKeyValue},
      {Message::kSpan, 11, Message::kEvent},
      {Message::kSpan, 15, Message::kStatus},
      {Message::kEvent, 3, Message::kKeyValue},
      {Message::kStatus, 2, Message::kText},
      {Message::kKeyValue, 2, Message::kAnyValue},
      {Message::kAnyValue, 1, Message::kText},
      {Message::kAnyValue, 5, Message::kList},
      {Message::kList, 1, Message::kAnyValue},
  };
  for (const Path& path : kPaths) {
    if (path.from == message && path.field == field) return path.to;
  }
  return std::nullopt;
}

// Ends: each step goes one level down in kPaths, and a list in a list is shorter than what it is
// in. Ours are never nested; the depth keeps what else may stand there from going on.
constexpr int kDepthMax = 16;

void collect_sizes(Message message, Bytes bytes, int depth, std::vector<std::size_t>& sizes) {
  if (message == Message::kText) {
    if (bytes.size() > kShortenedBytesMin) sizes.push_back(bytes.size());
    return;
  }
  if (depth == kDepthMax) return;
  protozero::pbf_reader reader(bytes.data(), bytes.size());
  while (reader.next()) {
    const auto child = child_of(message, reader.tag());
    if (!child || reader.wire_type() != protozero::pbf_wire_type::length_delimited) {
      reader.skip();
      continue;
    }
    const protozero::data_view content = reader.get_view();
    collect_sizes(*child, {content.data(), content.size()}, depth + 1, sizes);
  }
}

std::string rewritten(Message message, Bytes bytes, int depth, std::size_t level) {
  if (message == Message::kText) return shortened(bytes, level);
  if (depth == kDepthMax) return std::string(bytes);
  std::string out;
  protozero::pbf_writer writer(out);
  protozero::pbf_reader reader(bytes.data(), bytes.size());
  while (true) {
    const char* const field_begin = bytes.data() + (bytes.size() - reader.length());
    if (!reader.next()) return out;
    const auto child = child_of(message, reader.tag());
    if (!child || reader.wire_type() != protozero::pbf_wire_type::length_delimited) {
      reader.skip();
      out.append(field_begin, bytes.data() + (bytes.size() - reader.length()));
      continue;
    }
    const protozero::pbf_tag_type field = reader.tag();
    const protozero::data_view content = reader.get_view();
    // Empty texts and messages are written as well: in a oneof they mean something.
    writer.add_bytes(field, rewritten(*child, {content.data(), content.size()}, depth + 1, level));
  }
}

}  // namespace

bool shrink_otlp_protobuf(Bytes encoded, std::size_t bytes_max, ByteBuffer& out) {
  try {
    std::vector<std::size_t> sizes;
    collect_sizes(Message::kRequest, encoded, 0, sizes);
    const std::size_t fixed =
        encoded.size() - std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
    const std::size_t level = level_of(std::move(sizes), bytes_max - std::min(bytes_max, fixed));
    const std::string smaller = rewritten(Message::kRequest, encoded, 0, level);
    if (smaller.size() >= encoded.size()) return false;
    out.append(smaller);
    return true;
  } catch (const protozero::exception&) {
    return false;  // not what this encoder writes
  }
}

}  // namespace sidecast
