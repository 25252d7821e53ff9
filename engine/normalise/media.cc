#include "engine/normalise/media.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace sidecast {
namespace {

constexpr Text kBase64Mark = ";base64,";
constexpr std::size_t kRunMin = 64;      // shorter base64 in a field is left alone
constexpr std::size_t kUrlRunMin = 256;  // a shorter "url" may be a path
constexpr std::size_t kMimeTypeMax = 128;

// Base64, base64url, and the backslash of what JSON may escape in it ("\/", "\n").
constexpr std::array<bool, 256> make_alphabet() {
  std::array<bool, 256> alphabet{};
  for (unsigned c = 'a'; c <= 'z'; ++c) alphabet[c] = true;
  for (unsigned c = 'A'; c <= 'Z'; ++c) alphabet[c] = true;
  for (unsigned c = '0'; c <= '9'; ++c) alphabet[c] = true;
  for (const char c : {'+', '/', '-', '_', '=', '\\'}) {
    alphabet[static_cast<unsigned char>(c)] = true;
  }
  return alphabet;
}
constexpr std::array<bool, 256> kAlphabet = make_alphabet();

bool is_base64(char c) noexcept {
  return kAlphabet[static_cast<unsigned char>(c)];
}
bool is_space(char c) noexcept {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// Fields in which APIs carry inlined media or packed vectors.
constexpr std::array<Text, 19> kFields = {
    "data",      "bytes",       "b64_json",   "file_data", "fileData",  "result",
    "images",    "image",       "audio",      "video",     "embedding", "partial_image_b64",
    "image_b64", "image_bytes", "imageBytes", "base64",    "url",       "bytesBase64Encoded",
    "videoBytes"};

bool is_field(Text key) noexcept {
  return std::find(kFields.begin(), kFields.end(), key) != kFields.end();
}

// What the first bytes of a file look like in base64.
struct Magic {
  Text prefix;
  Text mime_type;
};
constexpr std::array<Magic, 9> kMagics = {{{"iVBORw0KGgo", "image/png"},
                                           {"/9j/", "image/jpeg"},
                                           {"R0lGOD", "image/gif"},
                                           {"JVBERi0", "application/pdf"},
                                           {"SUQz", "audio/mpeg"},
                                           {"T2dnUw", "audio/ogg"},
                                           {"UEsDB", "application/zip"},
                                           {"AAAAGGZ0eX", "video/mp4"},
                                           {"AAAAIGZ0eX", "video/mp4"}}};

Text mime_type_of(Text base64) noexcept {
  for (const Magic& magic : kMagics) {
    if (base64.substr(0, magic.prefix.size()) == magic.prefix) return magic.mime_type;
  }
  return {};
}

// Does any of the `kRunMin / 2` bytes from `from` on end a run, as in prose nearly always? Without
// branches, so that the compiler compares many at once.
bool has_run_end(const char* from) noexcept {
  unsigned ends = 0;
  for (std::size_t i = 0; i < kRunMin / 2; ++i) {
    ends |= static_cast<unsigned>(from[i] == ' ') | static_cast<unsigned>(from[i] == '"') |
            static_cast<unsigned>(from[i] == ',') | static_cast<unsigned>(from[i] == '.');
  }
  return ends != 0;
}

// Digests and ids are written in hex and are no media.
bool is_hex(Text run) noexcept {
  return std::all_of(run.begin(), run.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

// memmem, not Text::find: the latter stops at every semicolon, and prompts are full of code.
std::size_t find_base64_mark(Text text, std::size_t from) noexcept {
  const void* const found =
      memmem(text.data() + from, text.size() - from, kBase64Mark.data(), kBase64Mark.size());
  return found == nullptr ? Text::npos
                          : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

// Moves `at` back over a quote with its backslashes; false if none stands before it.
bool step_back_over_quote(Text text, std::size_t& at) noexcept {
  if (at == 0 || text[at - 1] != '"') return false;
  --at;
  while (at > 0 && text[at - 1] == '\\') --at;
  return true;
}

void step_back_over_space(Text text, std::size_t& at) noexcept {
  while (at > 0 && is_space(text[at - 1])) --at;
}

// The key of the field whose value (a string, or the first string of a list) begins at `at`, after
// its quote; empty when it is no field's.
Text key_before(Text text, std::size_t at) noexcept {
  if (!step_back_over_quote(text, at)) return {};
  step_back_over_space(text, at);
  if (at > 0 && text[at - 1] == '[') {
    --at;
    step_back_over_space(text, at);
  }
  if (at == 0 || text[at - 1] != ':') return {};
  --at;
  step_back_over_space(text, at);
  if (!step_back_over_quote(text, at)) return {};
  const std::size_t end = at;
  while (at > 0 && text[at - 1] != '"' && end - at <= kMimeTypeMax) --at;
  return text.substr(at, end - at);
}

std::size_t note_size_max(const MediaSpan& span) noexcept {
  return span.mime_type.size() + 64;
}

char* write_note(char* to, const MediaSpan& span) noexcept {
  const auto put = [&to](Text text) {
    std::memcpy(to, text.data(), text.size());
    to += text.size();
  };
  put("[");
  put(span.mime_type.empty() ? Text("base64") : span.mime_type);
  put(", ");
  to = std::to_chars(to, to + 20, span.omitted_bytes).ptr;
  put(" bytes left out]");
  return to;
}

}  // namespace

void MediaSpans::find(Text text) {
  text_ = text;
  spans_.clear();
  if (text.size() < kBase64Mark.size()) return;
  find_data_urls();
  find_fields();
}

void MediaSpans::find_data_urls() {
  constexpr Text kScheme = "data:";
  for (std::size_t mark = find_base64_mark(text_, 0); mark != Text::npos;
       mark = find_base64_mark(text_, mark)) {
    std::size_t end = mark + kBase64Mark.size();
    while (end < text_.size() && (is_base64(text_[end]) || text_[end] == '%')) ++end;
    while (text_[end - 1] == '\\') --end;  // that of the closing quote
    // Back to the scheme, over the type and its parameters.
    const std::size_t from = mark > kMimeTypeMax ? mark - kMimeTypeMax : 0;
    const std::size_t floor = spans_.empty() ? from : std::max(from, spans_.back().end);
    const std::size_t scheme =
        floor > mark ? Text::npos : text_.substr(floor, mark - floor).rfind(kScheme);
    std::size_t begin = mark;
    Text mime_type;
    if (scheme != Text::npos) {
      const std::size_t type = floor + scheme + kScheme.size();
      const Text between = text_.substr(type, mark - type);
      if (between.find_first_of("\" \n<>()") == Text::npos) {
        begin = floor + scheme;
        mime_type = between.substr(0, between.find_first_of(";\\"));
      }
    }
    spans_.push_back({begin, end, end - mark - kBase64Mark.size(), mime_type});
    mark = end;
  }
}

void MediaSpans::find_fields() {
  const std::size_t data_urls = spans_.size();
  std::size_t list_end = 0;  // behind the closing quote of a list's element that was replaced
  // A run of kRunMin bytes covers one of the places looked at, whatever its position.
  std::size_t at = kRunMin - 1;
  while (at < text_.size()) {
    // A run of kRunMin bytes through here holds all of the half before or of the half behind.
    const char* const here = text_.data() + at;
    const bool is_prose = text_.size() - at >= kRunMin / 2 && has_run_end(here) &&
                          has_run_end(here - kRunMin / 2 + 1);
    if (is_prose || !is_base64(*here)) {
      at += kRunMin;
      continue;
    }
    std::size_t begin = at;
    while (begin > 0 && at - begin < kRunMin && is_base64(text_[begin - 1])) --begin;
    std::size_t end = at + 1;
    while (end < text_.size() && is_base64(text_[end])) ++end;
    at = end + kRunMin;
    if (end - begin < kRunMin || end == text_.size() || text_[end] != '"') continue;
    while (end > begin && text_[end - 1] == '\\') --end;
    const std::size_t quote = text_.find('"', end);
    std::size_t before = begin;
    const Text key = key_before(text_, begin);
    bool is_media = is_field(key) && (key != "url" || end - begin >= kUrlRunMin);
    if (!is_media && list_end != 0 && step_back_over_quote(text_, before)) {
      step_back_over_space(text_, before);
      is_media = before > 0 && text_[before - 1] == ',' && before - 1 == list_end;
    }
    const Text run = text_.substr(begin, end - begin);
    if (!is_media || is_hex(run)) continue;
    list_end = quote + 1;
    spans_.push_back({begin, end, run.size(), mime_type_of(run)});
  }
  if (data_urls == 0 || data_urls == spans_.size()) return;
  std::sort(spans_.begin(), spans_.end(),
            [](const MediaSpan& a, const MediaSpan& b) { return a.begin < b.begin; });
  // A field's run may be that of a data URL that begins before it.
  const auto overlaps = [](const MediaSpan& a, const MediaSpan& b) { return b.begin < a.end; };
  spans_.erase(std::unique(spans_.begin(), spans_.end(), overlaps), spans_.end());
}

std::size_t MediaSpans::first_in(Text part) const noexcept {
  if (spans_.empty() || part.data() < text_.data() ||
      part.data() + part.size() > text_.data() + text_.size()) {
    return spans_.size();
  }
  const auto begin = static_cast<std::size_t>(part.data() - text_.data());
  const auto found = std::lower_bound(
      spans_.begin(), spans_.end(), begin,
      [](const MediaSpan& span, std::size_t offset) { return span.begin < offset; });
  if (found == spans_.end() || found->end > begin + part.size()) return spans_.size();
  return static_cast<std::size_t>(found - spans_.begin());
}

const MediaSpan* MediaSpans::first(Text part) const noexcept {
  const std::size_t index = first_in(part);
  return index == spans_.size() ? nullptr : &spans_[index];
}

Text MediaSpans::scrub(Text part, Arena& arena) const {
  const std::size_t first = first_in(part);
  if (first == spans_.size()) return part;
  const auto begin = static_cast<std::size_t>(part.data() - text_.data());
  const std::size_t end = begin + part.size();
  std::size_t size_max = part.size();
  std::size_t last = first;
  for (; last < spans_.size() && spans_[last].end <= end; ++last) {
    size_max += note_size_max(spans_[last]);
    size_max -= spans_[last].end - spans_[last].begin;
  }
  char* const out = arena.allocate(size_max);
  char* to = out;
  std::size_t from = begin;
  const auto copy_to = [&](std::size_t stop) {
    std::memcpy(to, text_.data() + from, stop - from);
    to += stop - from;
  };
  for (std::size_t i = first; i < last; ++i) {
    copy_to(spans_[i].begin);
    to = write_note(to, spans_[i]);
    from = spans_[i].end;
  }
  copy_to(end);
  return {out, static_cast<std::size_t>(to - out)};
}

Text media_note(Text mime_type, std::uint64_t omitted_bytes, Arena& arena) {
  const MediaSpan span{0, 0, omitted_bytes, mime_type};
  char* const out = arena.allocate(note_size_max(span));
  return {out, static_cast<std::size_t>(write_note(out, span) - out)};
}

Text scrub_text(Text text, Arena& arena) {
  MediaSpans spans;
  spans.find(text);
  return spans.scrub(text, arena);
}

}  // namespace sidecast
