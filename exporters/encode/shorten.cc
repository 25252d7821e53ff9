#include "exporters/encode/shorten.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <numeric>

#include "engine/base/json_writer.h"
#include "engine/base/utf8.h"

namespace sidecast {
namespace {

constexpr Text kBlanks = " \t\r\n";
// All that may stand outside of a text: blanks, numbers, true, false and null.
constexpr Text kOutsideTexts = " \t\r\n,:+-.0123456789eEtrufalsn";

constexpr Text kMarkBegin = "…[shortened from ";
constexpr Text kMarkEnd = " bytes]";

// Of a text that was shortened before it is the mark that it has, which says how long it was at
// first.
std::string mark_of(Text text) {
  const std::size_t begin = text.ends_with(kMarkEnd) ? text.rfind(kMarkBegin) : Text::npos;
  if (begin != Text::npos) {
    const std::size_t from = begin + kMarkBegin.size();
    std::string digits(text.substr(from, text.size() - kMarkEnd.size() - from));
    std::erase(digits, ',');
    std::uint64_t bytes = 0;
    const char* const end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, bytes);
    if (error == std::errc() && stop == end && bytes > text.size()) {
      return std::string(text.substr(begin));
    }
  }
  std::string digits = std::to_string(text.size());
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return std::string(kMarkBegin) + digits + std::string(kMarkEnd);
}

// ---- JSON ---------------------------------------------------------------------------------------

std::size_t end_of_text(Text json, std::size_t begin) {
  for (std::size_t end = json.find('"', begin); end != Text::npos; end = json.find('"', end + 1)) {
    std::size_t backslashes = 0;
    while (end - backslashes > begin && json[end - backslashes - 1] == '\\') ++backslashes;
    if (backslashes % 2 == 0) return end;
  }
  return Text::npos;
}

// Calls visit(member, content) for each text that is a value: the member's name and the content as
// it stands there, escapes and all. False when this is no JSON object or array: braces do not
// match, or there are words between the texts. It need not be valid to be shortened: what was
// stays so.
bool scan_json(Text json, const std::function<void(Text member, Text content)>& visit) {
  std::string open;  // brackets, the innermost last
  Text member;
  bool is_over = false;
  for (std::size_t at = 0; at < json.size(); ++at) {
    const char c = json[at];
    if (is_over || open.empty()) {
      const bool begins = !is_over && (c == '{' || c == '[');
      if (!begins && kBlanks.find(c) == Text::npos) return false;
    }
    if (c == '{' || c == '[') {
      open.push_back(c);
    } else if (c == '}' || c == ']') {
      if (open.empty() || open.back() != (c == '}' ? '{' : '[')) return false;
      open.pop_back();
      is_over = open.empty();
    } else if (c == '"') {
      const std::size_t end = end_of_text(json, at + 1);
      if (end == Text::npos) return false;
      const Text content = json.substr(at + 1, end - at - 1);
      const std::size_t after = json.find_first_not_of(kBlanks, end + 1);
      if (after != Text::npos && json[after] == ':') {
        member = content;
      } else {
        visit(member, content);
      }
      at = end;
    } else if (kOutsideTexts.find(c) == Text::npos) {
      return false;
    }
  }
  return is_over;
}

void append_utf8(std::uint32_t point, std::string& to) {
  const auto byte = [&to](std::uint32_t value) { to.push_back(static_cast<char>(value)); };
  if (point < 0x80) {
    byte(point);
  } else if (point < 0x800) {
    byte(0xC0U | point >> 6U);
    byte(0x80U | (point & 0x3FU));
  } else if (point < 0x10000) {
    byte(0xE0U | point >> 12U);
    byte(0x80U | (point >> 6U & 0x3FU));
    byte(0x80U | (point & 0x3FU));
  } else {
    byte(0xF0U | point >> 18U);
    byte(0x80U | (point >> 12U & 0x3FU));
    byte(0x80U | (point >> 6U & 0x3FU));
    byte(0x80U | (point & 0x3FU));
  }
}

// The four digits of a \u at `at`; U+FFFD for what is none.
std::uint32_t hex4(Text content, std::size_t at) {
  std::uint32_t value = 0xFFFD;
  if (at + 4 > content.size()) return value;
  const char* const end = content.data() + at + 4;
  const auto [stop, error] = std::from_chars(content.data() + at, end, value, 16);
  return error == std::errc() && stop == end ? value : 0xFFFD;
}

// A \u escape whose digits begin at `at`, which is moved behind it: both, when they are a pair.
std::uint32_t read_escaped_point(Text content, std::size_t& at) {
  const std::uint32_t first = hex4(content, at);
  at += 4;
  if (first < 0xD800 || first > 0xDFFF) return first;
  if (first > 0xDBFF || content.substr(std::min(at, content.size()), 2) != "\\u") return 0xFFFD;
  const std::uint32_t second = hex4(content, at + 2);
  if (second < 0xDC00 || second > 0xDFFF) return 0xFFFD;
  at += 6;
  return 0x10000 + ((first - 0xD800) << 10U) + (second - 0xDC00);
}

// Appends a text's content, shortened, as it stands between quotes.
void append_shortened_content(Text content, std::size_t bytes_max, ByteBuffer& out) {
  const std::string text = json_unescaped(content);
  const std::size_t start = out.size();
  // Escapes take room of their own, in JSON within JSON most of it.
  for (std::size_t limit = bytes_max; limit >= kShortenedBytesMin; limit /= 2) {
    append_json_escaped(out, shortened(text, limit));
    if (out.size() - start <= bytes_max) return;
    out.truncate(start);
  }
  append_json_escaped(out, mark_of(text));
}

}  // namespace

std::string json_unescaped(Text content) {
  std::string text;
  text.reserve(content.size());
  for (std::size_t at = 0; at < content.size();) {
    const std::size_t escape = std::min(content.find('\\', at), content.size());
    text.append(content.substr(at, escape - at));
    at = escape + 1;
    if (at >= content.size()) break;
    const char c = content[at++];
    static constexpr Text kLetters = "bfnrt";
    static constexpr Text kMeanings = "\b\f\n\r\t";
    if (c == 'u') {
      append_utf8(read_escaped_point(content, at), text);
    } else {
      const std::size_t letter = kLetters.find(c);
      text.push_back(letter == Text::npos ? c : kMeanings[letter]);
    }
  }
  return text;
}

std::size_t level_of(std::vector<std::size_t> sizes, std::size_t room) {
  std::sort(sizes.begin(), sizes.end());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::size_t share = room / (sizes.size() - i);
    if (sizes[i] > share) return std::max(share, kShortenedBytesMin);
    room -= sizes[i];
  }
  return sizes.empty() ? kShortenedBytesMin : std::max(sizes.back(), kShortenedBytesMin);
}

std::string shortened(Text text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  const std::string mark = mark_of(text);
  ByteBuffer json;
  if (shorten_json(text, bytes_max, {}, json)) {
    return json.size() <= bytes_max ? std::string(json.view()) : '"' + mark + '"';
  }
  return std::string(utf8_prefix(text, bytes_max - std::min(bytes_max, mark.size()))) + mark;
}

bool shorten_json(Text json, std::size_t bytes_max, std::span<const Text> kept, ByteBuffer& out) {
  const auto may_cut = [kept](Text member, Text content) {
    return content.size() > kShortenedBytesMin &&
           std::find(kept.begin(), kept.end(), member) == kept.end();
  };
  std::vector<std::size_t> sizes;
  const bool is_json = scan_json(json, [&](Text member, Text content) {
    if (may_cut(member, content)) sizes.push_back(content.size());
  });
  if (!is_json) return false;
  const std::size_t fixed =
      json.size() - std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  const std::size_t level = level_of(std::move(sizes), bytes_max - std::min(bytes_max, fixed));
  const char* copied = json.data();
  static_cast<void>(scan_json(json, [&](Text member, Text content) {
    if (content.size() <= level || !may_cut(member, content)) return;
    out.append({copied, static_cast<std::size_t>(content.data() - copied)});
    append_shortened_content(content, level, out);
    copied = content.data() + content.size();
  }));
  out.append({copied, static_cast<std::size_t>(json.data() + json.size() - copied)});
  return true;
}

}  // namespace sidecast
