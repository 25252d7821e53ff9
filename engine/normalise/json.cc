#include "engine/normalise/json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include <simdjson.h>

#include "engine/base/assert.h"

namespace sidecast {
namespace {

bool is_space(char c) noexcept {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}
bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

bool is_number(Text token) noexcept {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t first = i;
    while (i < token.size() && is_digit(token[i])) ++i;
    return i > first;
  };
  if (i < token.size() && token[i] == '-') ++i;
  if (i < token.size() && token[i] == '0') {
    ++i;
  } else if (!digits()) {
    return false;
  }
  if (i < token.size() && token[i] == '.') {
    ++i;
    if (!digits()) return false;
  }
  if (i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
    ++i;
    if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
    if (!digits()) return false;
  }
  return i == token.size();
}

// The four hex digits at `at`, or -1.
std::int32_t hex4(Text text, std::size_t at) noexcept {
  if (text.size() < at + 4) return -1;
  std::uint32_t value = 0;
  const auto parsed = std::from_chars(text.data() + at, text.data() + at + 4, value, 16);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + at + 4) return -1;
  return static_cast<std::int32_t>(value);
}

constexpr bool is_high_surrogate(std::int32_t unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}
constexpr bool is_low_surrogate(std::int32_t unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

// Does the text hold the second half of a surrogate pair, \uDCxx, at `at`?
std::int32_t low_surrogate_at(Text text, std::size_t at) noexcept {
  if (text.size() < at + 6 || text[at] != '\\' || text[at + 1] != 'u') return -1;
  const std::int32_t unit = hex4(text, at + 2);
  return is_low_surrogate(unit) ? unit : -1;
}

// Characters of "data:image/png;base64,iVBO..." that nobody needs to write as \u escapes.
constexpr bool may_be_of_data_url(std::int32_t unit) {
  return (unit >= '0' && unit <= '9') || (unit >= 'a' && unit <= 'z') ||
         (unit >= 'A' && unit <= 'Z') || unit == ';' || unit == ':' || unit == ',' || unit == '/' ||
         unit == '+' || unit == '=' || unit == '-' || unit == '_';
}

constexpr std::array<char, 256> make_simple_escapes() {
  std::array<char, 256> escapes{};
  escapes['"'] = '"';
  escapes['\\'] = '\\';
  escapes['/'] = '/';
  escapes['b'] = '\b';
  escapes['f'] = '\f';
  escapes['n'] = '\n';
  escapes['r'] = '\r';
  escapes['t'] = '\t';
  return escapes;
}
constexpr std::array<char, 256> kSimpleEscapes = make_simple_escapes();

// What the letter behind a backslash stands for; 0 if for nothing by itself.
char simple_escape(char letter) noexcept {
  return kSimpleEscapes[static_cast<unsigned char>(letter)];
}

char* write_utf8(char* to, std::uint32_t character) noexcept {
  const auto put = [&](std::uint32_t byte) { *to++ = static_cast<char>(byte); };
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xC0U | (character >> 6U));
    put(0x80U | (character & 0x3FU));
  } else if (character < 0x10000) {
    put(0xE0U | (character >> 12U));
    put(0x80U | ((character >> 6U) & 0x3FU));
    put(0x80U | (character & 0x3FU));
  } else {
    put(0xF0U | (character >> 18U));
    put(0x80U | ((character >> 12U) & 0x3FU));
    put(0x80U | ((character >> 6U) & 0x3FU));
    put(0x80U | (character & 0x3FU));
  }
  return to;
}

const char* find_backslash(const char* from, const char* end) noexcept {
  return static_cast<const char*>(std::memchr(from, '\\', static_cast<std::size_t>(end - from)));
}

// Checked before by the tree builder: every escape is one. A lone surrogate becomes U+FFFD.
Text unescape(Text content, Arena& arena) {
  char* const out =
      arena.allocate(content.size());  // an escape is never shorter than its character
  char* to = out;
  const char* from = content.data();
  const char* const end = from + content.size();
  while (const char* const backslash = find_backslash(from, end)) {
    std::memcpy(to, from, static_cast<std::size_t>(backslash - from));
    to += backslash - from;
    from = backslash + 2;
    if (const char simple = simple_escape(backslash[1]); simple != 0) {
      *to++ = simple;
      continue;
    }
    const auto at = static_cast<std::size_t>(from - content.data());
    const std::int32_t unit = hex4(content, at);
    from += 4;
    auto character = static_cast<std::uint32_t>(unit);
    if (is_high_surrogate(unit)) {
      const std::int32_t low = low_surrogate_at(content, at + 4);
      character = 0xFFFD;
      if (low >= 0) {
        character = 0x10000U + ((static_cast<std::uint32_t>(unit) - 0xD800U) << 10U) +
                    (static_cast<std::uint32_t>(low) - 0xDC00U);
        from += 6;
      }
    } else if (is_low_surrogate(unit)) {
      character = 0xFFFD;
    }
    to = write_utf8(to, character);
  }
  std::memcpy(to, from, static_cast<std::size_t>(end - from));
  to += end - from;
  return {out, static_cast<std::size_t>(to - out)};
}

}  // namespace

// The second stage: walks simdjson's structural positions once and builds the nodes.
class TreeBuilder {
 public:
  TreeBuilder(JsonDocument& document, const std::uint32_t* positions, std::uint32_t count) noexcept
      : document_(document),
        nodes_(document.nodes_),
        text_(document.text_),
        positions_(positions),
        count_(count) {}

  [[nodiscard]] bool build() {
    enum class Expect { kValue, kFirstValue, kFirstKey, kKey, kColon, kCommaOrClose, kEnd };
    Expect expect = Expect::kValue;
    for (at_ = 0; at_ < count_; ++at_) {
      const std::uint32_t position = positions_[at_];
      const char c = text_[position];
      switch (expect) {
        case Expect::kFirstValue:
          if (c == ']') {
            if (!close(JsonKind::kArray)) return false;
            break;
          }
          [[fallthrough]];
        case Expect::kValue:
          if (c == '{' || c == '[') {
            if (!open(c == '{' ? JsonKind::kObject : JsonKind::kArray)) return false;
            expect = c == '{' ? Expect::kFirstKey : Expect::kFirstValue;
            continue;
          }
          if (!(c == '"' ? add_string() : add_scalar(c))) return false;
          break;
        case Expect::kFirstKey:
          if (c == '}') {
            if (!close(JsonKind::kObject)) return false;
            break;
          }
          [[fallthrough]];
        case Expect::kKey:
          if (c != '"' || !add_string()) return false;
          expect = Expect::kColon;
          continue;
        case Expect::kColon:
          if (c != ':') return false;
          expect = Expect::kValue;
          continue;
        case Expect::kCommaOrClose:
          if (c == ',') {
            expect =
                nodes_[open_[depth_ - 1]].kind == JsonKind::kObject ? Expect::kKey : Expect::kValue;
            continue;
          }
          if (c != '}' && c != ']') return false;
          if (!close(c == '}' ? JsonKind::kObject : JsonKind::kArray)) return false;
          break;
        case Expect::kEnd:
          return false;
      }
      // A value has just ended.
      expect = depth_ == 0 ? Expect::kEnd : Expect::kCommaOrClose;
    }
    return expect == Expect::kEnd;
  }

 private:
  [[nodiscard]] bool add(JsonKind kind, std::uint32_t end, bool has_escapes) {
    if (nodes_.size() >= JsonParser::kNodesMax) return false;
    nodes_.push_back(
        {positions_[at_], end, static_cast<std::uint32_t>(nodes_.size()) + 1, kind, has_escapes});
    return true;
  }

  [[nodiscard]] bool open(JsonKind kind) {
    if (depth_ == JsonParser::kDepthMax) return false;
    open_[depth_++] = static_cast<std::uint32_t>(nodes_.size());
    return add(kind, 0, false);
  }

  [[nodiscard]] bool close(JsonKind kind) {
    JsonDocument::Node& node = nodes_[open_[--depth_]];
    if (node.kind != kind) return false;
    node.end = positions_[at_] + 1;
    node.next = static_cast<std::uint32_t>(nodes_.size());
    return true;
  }

  // Where the token at the current position ends: before the space in front of the next one.
  [[nodiscard]] std::uint32_t token_end() const noexcept {
    std::uint32_t end =
        at_ + 1 < count_ ? positions_[at_ + 1] : static_cast<std::uint32_t>(text_.size());
    while (is_space(text_[end - 1])) --end;
    return end;
  }

  [[nodiscard]] bool add_string() {
    const std::uint32_t begin = positions_[at_];
    const std::uint32_t end = token_end();
    if (end - begin < 2 || text_[end - 1] != '"') return false;
    const Text content = text_.substr(begin + 1, end - begin - 2);
    const char* const content_end = content.data() + content.size();
    if (next_backslash_ < content.data()) find_next_backslash(content.data());
    const bool has_escapes = next_backslash_ < content_end;
    if (has_escapes && !check_escapes(content, next_backslash_)) return false;
    return add(JsonKind::kString, end, has_escapes);
  }

  // Backslashes stand in strings only and most strings have none: one search passes over many.
  void find_next_backslash(const char* from) noexcept {
    const char* const end = text_.data() + text_.size();
    const char* const found = find_backslash(from, end);
    next_backslash_ = found == nullptr ? end : found;
  }

  [[nodiscard]] bool check_escapes(Text content, const char* backslash) {
    const char* const end = content.data() + content.size();
    while (backslash != nullptr) {
      const auto at = static_cast<std::size_t>(backslash - content.data());
      if (at + 1 >= content.size()) return false;
      const char* after = backslash + 2;
      if (content[at + 1] == 'u') {
        const std::int32_t unit = hex4(content, at + 2);
        if (unit < 0) return false;
        after += 4;
        if (is_high_surrogate(unit) && low_surrogate_at(content, at + 6) >= 0) {
          after += 6;
        } else if (unit >= 0xD800 && unit < 0xE000) {
          document_.findings_.has_lone_surrogate = true;
        } else if (may_be_of_data_url(unit)) {
          document_.findings_.has_hidden_media = true;
        }
      } else if (simple_escape(content[at + 1]) == 0) {
        return false;
      }
      backslash = find_backslash(after, end);
    }
    return true;
  }

  [[nodiscard]] bool add_scalar(char first) {
    const std::uint32_t end = token_end();
    const Text token = text_.substr(positions_[at_], end - positions_[at_]);
    if (first == 't' || first == 'f') {
      return (token == "true" || token == "false") && add(JsonKind::kBool, end, false);
    }
    if (first == 'n') return token == "null" && add(JsonKind::kNull, end, false);
    return is_number(token) && add(JsonKind::kNumber, end, false);
  }

  JsonDocument& document_;
  std::vector<JsonDocument::Node>& nodes_;
  Text text_;
  const std::uint32_t* positions_;
  std::uint32_t count_;
  std::uint32_t at_ = 0;
  std::uint32_t depth_ = 0;
  const char* next_backslash_ = nullptr;  // in the text; none before it that was not looked at
  std::array<std::uint32_t, JsonParser::kDepthMax> open_;  // nodes of the open containers
};

struct JsonParser::Stage1 {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> simdjson;
};

JsonParser::JsonParser() : stage1_(std::make_unique<Stage1>()) {
  // The implementation for this CPU, chosen at run time: the on-demand front end would be the one
  // that was chosen when we were compiled, which without -march is the slow one.
  const auto error = simdjson::get_active_implementation()->create_dom_parser_implementation(
      64U * 1024U, 16, stage1_->simdjson);
  SIDECAST_ASSERT(error == simdjson::SUCCESS);
}

JsonParser::~JsonParser() = default;

JsonStatus JsonParser::parse(Text text, JsonDocument& document) {
  // Beyond this a huge body's memory is given back as soon as an ordinary one comes.
  constexpr std::size_t kKeptBytes = 1U << 20U;
  simdjson::internal::dom_parser_implementation& simdjson = *stage1_->simdjson;
  document.text_ = text;
  document.findings_ = {};
  document.nodes_.clear();
  const auto give_up = [&](JsonStatus status) {
    document.text_ = "null";
    document.nodes_.assign(1, {0, 4, 1, JsonKind::kNull, false});
    return status;
  };
  if (text.empty() || text.size() >= simdjson::SIMDJSON_MAXSIZE_BYTES) {
    return give_up(JsonStatus::kInvalid);
  }
  const bool is_too_large = simdjson.capacity() > kKeptBytes && text.size() <= kKeptBytes;
  if (simdjson.capacity() < text.size() || is_too_large) {
    const std::size_t wanted = text.size() <= kKeptBytes ? kKeptBytes : text.size();
    if (simdjson.set_capacity(wanted) != simdjson::SUCCESS) return give_up(JsonStatus::kInvalid);
  }
  if (is_too_large) document.nodes_.shrink_to_fit();
  const auto error = simdjson.stage1(reinterpret_cast<const std::uint8_t*>(text.data()),
                                     text.size(), simdjson::stage1_mode::regular);
  if (error == simdjson::UTF8_ERROR) return give_up(JsonStatus::kNotUtf8);
  if (error != simdjson::SUCCESS) return give_up(JsonStatus::kInvalid);
  TreeBuilder builder(document, simdjson.structural_indexes.get(), simdjson.n_structural_indexes);
  return builder.build() ? JsonStatus::kOk : give_up(JsonStatus::kInvalid);
}

Text JsonValue::string(Arena& arena) const {
  return has_escapes() ? unescape(word(), arena) : word();
}

std::optional<double> JsonValue::number() const noexcept {
  if (!is(JsonKind::kNumber)) return std::nullopt;
  const Text token = raw();
  double value = 0;
  const auto parsed = std::from_chars(token.data(), token.data() + token.size(), value);
  if (parsed.ec != std::errc() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<std::int64_t> JsonValue::integer() const noexcept {
  if (!is(JsonKind::kNumber)) return std::nullopt;
  const Text token = raw();
  std::int64_t value = 0;
  const auto parsed = std::from_chars(token.data(), token.data() + token.size(), value);
  if (parsed.ec == std::errc() && parsed.ptr == token.data() + token.size()) return value;
  const std::optional<double> fraction = number();
  constexpr double kExactMax = 9007199254740992.0;  // 2^53
  if (!fraction || std::abs(*fraction) > kExactMax || std::trunc(*fraction) != *fraction) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(*fraction);
}

std::optional<bool> JsonValue::boolean() const noexcept {
  if (!is(JsonKind::kBool)) return std::nullopt;
  return raw() == "true";
}

Text rewrite_escapes(Text json, Arena& arena) {
  char* const out = arena.allocate(json.size());
  char* to = out;
  const char* from = json.data();
  const char* const end = from + json.size();
  while (const char* const backslash = find_backslash(from, end)) {
    std::memcpy(to, from, static_cast<std::size_t>(backslash - from));
    to += backslash - from;
    const auto at = static_cast<std::size_t>(backslash - json.data());
    std::size_t size = 2;
    Text replacement = json.substr(at, 2);
    char literal = 0;
    if (backslash[1] == 'u') {
      const std::int32_t unit = hex4(json, at + 2);
      size = 6;
      replacement = json.substr(at, 6);
      if (is_high_surrogate(unit) && low_surrogate_at(json, at + 6) >= 0) {
        size = 12;
        replacement = json.substr(at, 12);
      } else if (unit >= 0xD800 && unit < 0xE000) {
        replacement = "\\ufffd";
      } else if (may_be_of_data_url(unit)) {
        literal = static_cast<char>(unit);
        replacement = {&literal, 1};
      }
    }
    std::memcpy(to, replacement.data(), replacement.size());
    to += replacement.size();
    from = backslash + size;
  }
  std::memcpy(to, from, static_cast<std::size_t>(end - from));
  to += end - from;
  return {out, static_cast<std::size_t>(to - out)};
}

}  // namespace sidecast
