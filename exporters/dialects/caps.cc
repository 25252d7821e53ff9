#include "exporters/dialects/caps.h"

#include <algorithm>

#include <fmt/format.h>
#include <simdjson.h>

#include "engine/base/json_writer.h"
#include "engine/base/utf8.h"
#include "exporters/dialects/attribute_writer.h"

namespace sidecast {
namespace {

constexpr std::size_t kMarkerBytesMax = 40;  // "…[18446744073709551615 bytes cut]"
constexpr std::size_t kInnerTextBytesMin = 16;
constexpr int kNestingMax = 200;  // deeper JSON is cut as a text is

Text cut_text(Text text, std::size_t bytes_max, Arena& arena) {
  const Text kept = utf8_prefix(text, bytes_max - std::min(bytes_max, kMarkerBytesMax));
  return join({kept, "…[", decimal(text.size() - kept.size(), arena), " bytes cut]"}, arena);
}

// Writes a document again with its texts cut to one length; stops as soon as it is too large.
class ShortenedJson {
 public:
  ShortenedJson(std::size_t text_bytes_max, std::size_t bytes_max, ByteBuffer& out)
      : text_bytes_max_(text_bytes_max), bytes_max_(bytes_max), out_(out), json_(out) {}

  // False: too large or too deep all the same.
  bool write(simdjson::dom::element value, int nesting = 0) {
    if (out_.size() > bytes_max_ || nesting > kNestingMax) return false;
    switch (value.type()) {
      case simdjson::dom::element_type::OBJECT:
        return write_object(value, nesting);
      case simdjson::dom::element_type::ARRAY:
        return write_array(value, nesting);
      case simdjson::dom::element_type::STRING:
        write_text(std::string_view(value));
        break;
      default:
        json_.raw(simdjson::minify(value));
    }
    return out_.size() <= bytes_max_;
  }

 private:
  bool write_object(simdjson::dom::element value, int nesting) {
    json_.begin_object();
    for (const auto& member : simdjson::dom::object(value)) {
      json_.key(member.key);
      if (!write(member.value, nesting + 1)) return false;
    }
    json_.end_object();
    return out_.size() <= bytes_max_;
  }

  bool write_array(simdjson::dom::element value, int nesting) {
    json_.begin_array();
    for (const simdjson::dom::element element : simdjson::dom::array(value)) {
      if (!write(element, nesting + 1)) return false;
    }
    json_.end_array();
    return out_.size() <= bytes_max_;
  }

  void write_text(std::string_view text) {
    if (text.size() <= text_bytes_max_ + kMarkerBytesMax) {
      json_.string(text);
      return;
    }
    const Text kept = utf8_prefix(text, text_bytes_max_);
    json_.string(fmt::format("{}…[{} bytes cut]", kept, text.size() - kept.size()));
  }

  const std::size_t text_bytes_max_;
  const std::size_t bytes_max_;
  ByteBuffer& out_;
  JsonWriter json_;
};

// Empty: it is no JSON, or its texts are not what makes it large.
Text cut_json(Text text, std::size_t bytes_max, Arena& arena) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (parser.parse(text.data(), text.size()).get(document) != simdjson::SUCCESS) return {};
  ByteBuffer out;
  for (std::size_t inner = bytes_max / 2; inner >= kInnerTextBytesMin; inner /= 2) {
    out.clear();
    if (ShortenedJson(inner, bytes_max, out).write(document)) return arena.copy(out.view());
  }
  // Many small values: what it began with, as the text of one member. Escapes at most double it.
  constexpr std::size_t kEnvelopeBytes = sizeof(R"({"cut":""})");
  out.clear();
  JsonWriter json(out);
  json.begin_object();
  json.key("cut").string(cut_text(text, (bytes_max - kEnvelopeBytes) / 2, arena));
  json.end_object();
  return arena.copy(out.view());
}

bool looks_like_json(Text text) noexcept {
  return text.front() == '{' || text.front() == '[';
}

// How many of the attributes had to go.
std::uint32_t cap(const AttributeCaps& caps, ArenaVector<Attribute>& attributes, Arena& arena) {
  const std::size_t before = attributes.size();
  if (caps.name_bytes_max != 0) {
    std::erase_if(attributes, [&caps](const Attribute& attribute) {
      return attribute.key.size() > caps.name_bytes_max;
    });
  }
  if (caps.count_max != 0 && attributes.size() > caps.count_max) {
    attributes.erase(attributes.begin() + caps.count_max, attributes.end());
  }
  for (Attribute& attribute : attributes) {
    if (auto* const text = std::get_if<Text>(&attribute.value)) {
      if (caps.value_bytes_max != 0) *text = cut_value(*text, caps.value_bytes_max, arena);
    } else if (auto* const texts = std::get_if<std::span<const Text>>(&attribute.value)) {
      if (caps.list_values_max != 0 && texts->size() > caps.list_values_max) {
        *texts = texts->first(caps.list_values_max);
      }
    }
  }
  return static_cast<std::uint32_t>(before - attributes.size());
}

}  // namespace

Text cut_value(Text text, std::size_t bytes_max, Arena& arena) {
  bytes_max = std::max(bytes_max, kCutBytesMin);
  if (text.size() <= bytes_max) return text;
  if (looks_like_json(text)) {
    const Text json = cut_json(text, bytes_max, arena);
    if (!json.empty()) return json;
  }
  return cut_text(text, bytes_max, arena);
}

void apply_caps(const AttributeCaps& caps, Span& span, Arena& arena) {
  if (caps == AttributeCaps{}) return;
  span.dropped_attributes += cap(caps, span.attributes, arena);
  if (caps.value_bytes_max != 0) {
    span.status_message = cut_value(span.status_message, caps.value_bytes_max, arena);
  }
  for (SpanEvent& event : span.events) cap(caps, event.attributes, arena);
}

}  // namespace sidecast
