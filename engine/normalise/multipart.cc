#include "engine/normalise/multipart.h"

#include <algorithm>
#include <optional>

#include "engine/base/json_writer.h"
#include "engine/base/utf8.h"
#include "engine/normalise/binary.h"

namespace sidecast {
namespace {

constexpr std::size_t kFieldsMax = 256;
constexpr std::size_t kBoundaryMax = 72;   // RFC 2046: 70, and the two dashes
constexpr std::size_t kHeadersMax = 4096;  // bytes of one field's
constexpr Text kDisposition = "content-disposition:";
constexpr Text kType = "content-type:";

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool starts_with_ignoring_case(Text text, Text prefix) noexcept {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(),
                    [](char want, char found) { return want == lower(found); });
}

// The value of `; name="value"`.
Text parameter(Text header, Text name) noexcept {
  for (std::size_t at = header.find(';'); at != Text::npos; at = header.find(';', at)) {
    at = header.find_first_not_of("; \t", at);
    if (at == Text::npos) return {};
    const Text rest = header.substr(at);
    if (!starts_with_ignoring_case(rest, name) || rest.size() <= name.size() ||
        rest[name.size()] != '=') {
      continue;
    }
    Text value = rest.substr(name.size() + 1);
    if (value.empty() || value.front() != '"') return value.substr(0, value.find(';'));
    value.remove_prefix(1);
    return value.substr(0, value.find('"'));
  }
  return {};
}

struct Field {
  Text name;
  std::optional<Text> file_name;
  Text content_type;
  Bytes content;
};

// Headers up to the empty line; the rest is the content.
Field read_field(Bytes part) noexcept {
  Field field;
  const Text ends =
      part.substr(0, kHeadersMax).find("\r\n\r\n") != Text::npos ? "\r\n\r\n" : "\n\n";
  const std::size_t end = part.substr(0, kHeadersMax).find(ends);
  if (end == Text::npos) return field;
  field.content = part.substr(end + ends.size());
  Text headers = part.substr(0, end);
  while (!headers.empty()) {
    const std::size_t newline = headers.find('\n');
    Text line = headers.substr(0, newline);
    headers = newline == Text::npos ? Text() : headers.substr(newline + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (starts_with_ignoring_case(line, kDisposition)) {
      field.name = parameter(line, "name");
      const Text file_name = parameter(line, "filename");
      if (line.find("filename") != Text::npos) field.file_name = file_name;
    } else if (starts_with_ignoring_case(line, kType)) {
      field.content_type = line.substr(kType.size());
      const std::size_t first = field.content_type.find_first_not_of(" \t");
      field.content_type = first == Text::npos ? Text() : field.content_type.substr(first);
    }
  }
  return field;
}

void write_field(const Field& field, Arena& arena, JsonWriter& out) {
  out.begin_object().key("name").string(to_valid_utf8(field.name, arena));
  const std::optional<Text> type = binary_type(field.content);
  if (field.file_name || type) {
    const Text declared = field.content_type;
    const bool says_nothing = declared.empty() || declared == "application/octet-stream";
    const Text content_type = says_nothing && type ? *type : declared;
    out.key("filename").string(to_valid_utf8(field.file_name.value_or(Text()), arena));
    if (!content_type.empty()) out.key("content_type").string(to_valid_utf8(content_type, arena));
    out.key("bytes").unsigned_integer(field.content.size());
  } else {
    out.key("value").string(to_valid_utf8(field.content, arena));
  }
  out.end_object();
}

// Forms know texts alone; a parameter that is a number or a flag is one again.
bool is_plain_scalar(Text value) noexcept {
  if (value == "true" || value == "false") return true;
  if (value.empty() || value.size() > 17) return false;
  bool has_dot = false;
  bool has_digit = false;
  for (const char c : value) {
    if (c == '.' && has_digit && !has_dot) {
      has_dot = true;
    } else if (c < '0' || c > '9') {
      return false;
    } else {
      has_digit = true;
    }
  }
  const bool leads_with_zero = value.size() > 1 && value[0] == '0' && value[1] != '.';
  return has_digit && value.back() != '.' && !leads_with_zero;
}

void write_value(JsonValue field, Arena& arena, JsonWriter& out) {
  const JsonValue value = field.find("value");
  if (!value) {
    out.begin_object();
    for (const JsonMember member : field) {
      if (member.key != "name") out.key(member.key_value.string(arena)).raw(member.value.raw());
    }
    out.end_object();
    return;
  }
  const Text word = value.word();
  is_plain_scalar(word) ? out.raw(word) : out.raw(value.raw());
}

bool is_array_name(Text name) noexcept {
  return name.size() > 2 && name.substr(name.size() - 2) == "[]";
}

// As it stands in the text, for comparing.
Text name_of(JsonValue field) noexcept {
  const Text name = field.find("name").word();
  return is_array_name(name) ? name.substr(0, name.size() - 2) : name;
}

}  // namespace

bool looks_like_multipart(Bytes body) noexcept {
  if (body.substr(0, 2) != "--") return false;
  const std::size_t end = body.substr(0, kBoundaryMax + 2).find('\n');
  if (end == Bytes::npos) return false;
  const Text rest = body.substr(end + 1);
  return starts_with_ignoring_case(rest, "content-");
}

Text multipart_to_json(Bytes body, Arena& arena) {
  Text boundary = body.substr(0, body.find('\n'));
  if (!boundary.empty() && boundary.back() == '\r') boundary.remove_suffix(1);
  // It counts where a line begins; what is uploaded may hold it elsewhere.
  char* const line = arena.allocate(boundary.size() + 1);
  line[0] = '\n';
  boundary.copy(line + 1, boundary.size());
  const Text mark(line, boundary.size() + 1);
  ByteBuffer text;
  JsonWriter out(text);
  out.begin_object().key("multipart").begin_array();
  Bytes rest = body.substr(boundary.size());
  for (std::size_t fields = 0; fields < kFieldsMax && rest.substr(0, 2) != "--"; ++fields) {
    const std::size_t line_end = rest.find('\n');
    if (line_end == Bytes::npos) break;
    rest.remove_prefix(line_end + 1);
    const std::size_t next = rest.find(mark);
    Bytes part = rest.substr(0, next);
    if (next != Bytes::npos && !part.empty() && part.back() == '\r') part.remove_suffix(1);
    const Field field = read_field(part);
    if (!field.name.empty()) write_field(field, arena, out);
    if (next == Bytes::npos) break;
    rest.remove_prefix(next + mark.size());
  }
  out.end_array().end_object();
  return arena.copy(text.view());
}

Text form_to_json(JsonValue multipart, Arena& arena) {
  ArenaVector<JsonValue> fields(arena.resource());
  for (const JsonMember element : multipart) {
    if (element.value.find("name").is_string() && fields.size() < kFieldsMax) {
      fields.push_back(element.value);
    }
  }
  ByteBuffer text;
  JsonWriter out(text);
  out.begin_object();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const Text name = name_of(fields[i]);
    const auto is_same = [name](JsonValue field) { return name_of(field) == name; };
    const auto here = fields.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::any_of(fields.begin(), here, is_same)) continue;
    const bool is_list = std::any_of(here + 1, fields.end(), is_same) ||
                         is_array_name(fields[i].find("name").word());
    const Text key = fields[i].find("name").string(arena);
    out.key(is_array_name(key) ? key.substr(0, key.size() - 2) : key);
    if (!is_list) {
      write_value(fields[i], arena, out);
      continue;
    }
    out.begin_array();
    for (const JsonValue field : fields) {
      if (is_same(field)) write_value(field, arena, out);
    }
    out.end_array();
  }
  out.end_object();
  return arena.copy(text.view());
}

}  // namespace sidecast
