#include "exporters/destinations/scrub.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "exporters/destinations/options.h"

namespace sidecast {
namespace {

constexpr std::size_t kDecodingsMax = 3;     // of text that was encoded again and again
constexpr std::size_t kKeyBytesMin = 16;     // shorter parts of a value are names, such as regions
constexpr std::size_t kAlignedBytesMin = 4;  // shorter runs inside other base64 are chance
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char fold(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string folded(std::string_view text) {
  std::string lowered(text);
  std::transform(lowered.begin(), lowered.end(), lowered.begin(), fold);
  return lowered;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = fold(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// ---- Base64 -------------------------------------------------------------------------------------

// Without padding; `alphabet_end` are the last two letters, which differ between the two kinds.
std::string base64(std::string_view bytes, std::string_view alphabet_end) {
  std::string text;
  std::uint32_t bits = 0;
  int count = 0;
  const auto letter = [&](std::uint32_t index) {
    return index < 62 ? kBase64[index] : alphabet_end[index - 62];
  };
  for (const char byte : bytes) {
    bits = bits << 8U | static_cast<unsigned char>(byte);
    for (count += 8; count >= 6; count -= 6) {
      text += letter(bits >> static_cast<unsigned>(count - 6) & 63U);
    }
  }
  if (count > 0) text += letter(bits << static_cast<unsigned>(6 - count) & 63U);
  return text;
}

std::string decoded_base64(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    c = c == '-' ? '+' : c == '_' ? '/' : c;
    const std::size_t index = kBase64.find(c);
    if (index == std::string_view::npos) break;
    bits = bits << 6U | static_cast<std::uint32_t>(index);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> static_cast<unsigned>(count) & 255U);
  }
  return bytes;
}

// ---- What must not be seen ----------------------------------------------------------------------

class Needles {
 public:
  void add(std::string_view secret) {
    secret = trim_blanks(secret);
    if (secret.empty() || !seen_.insert(std::string(secret)).second) return;
    texts_.insert(folded(secret));
    for (const std::string_view alphabet_end : {"+/", "-_"}) {
      texts_.insert(folded(base64(secret, alphabet_end)));
      // Inside the base64 of a longer text it begins at any of three places of a group of letters;
      // those at its ends are its neighbours' as well.
      for (std::size_t before = 0; before < 3; ++before) {
        const std::string text =
            base64(std::string(before, '\0') + std::string(secret), alphabet_end);
        const std::size_t first = (before * 8 + 5) / 6;
        const std::size_t end = (before + secret.size()) * 8 / 6;
        if (end < first + kAlignedBytesMin) continue;
        texts_.insert(folded(text.substr(first, end - first)));
      }
    }
  }

  // A header's value: whole, without its scheme, and the values of its parameters.
  void add_value(std::string_view value) {
    value = trim_blanks(value);
    add(value);
    const std::size_t scheme_end = value.find(' ');
    if (scheme_end != std::string_view::npos) {
      add(value.substr(scheme_end + 1));
      if (folded(value.substr(0, scheme_end)) == "basic") {
        add_pair(decoded_base64(trim_blanks(value.substr(scheme_end + 1))));
      }
    }
    for (std::string_view rest = value; !rest.empty();) {
      const std::size_t end = std::min(rest.find_first_of(" ,;"), rest.size());
      add_parameter(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    for (std::string_view rest = value; !rest.empty();) {
      const std::size_t end = std::min(rest.find_first_of(" ,;=/:"), rest.size());
      if (end >= kKeyBytesMin) add(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }

  // "Credential=abc/20260101/eu-west-1/...": abc is a credential, whatever its length.
  void add_parameter(std::string_view parameter) {
    const std::size_t equals = parameter.find('=');
    if (equals == std::string_view::npos || equals + 1 == parameter.size()) return;
    std::string_view value = parameter.substr(equals + 1);
    if (value.starts_with('"')) value.remove_prefix(1);
    if (value.ends_with('"')) value.remove_suffix(1);
    add(value);
    if (folded(parameter.substr(0, equals)) == "credential") add(value.substr(0, value.find('/')));
  }

  void add_pair(std::string_view pair) {
    add(pair);
    const std::size_t colon = pair.find(':');
    if (colon == std::string_view::npos) return;
    add(pair.substr(0, colon));
    add(pair.substr(colon + 1));
  }

  [[nodiscard]] const std::set<std::string>& texts() const noexcept { return texts_; }

 private:
  std::set<std::string> seen_;
  std::set<std::string> texts_;  // in lower case
};

// ---- Text as it is and as it can be read -------------------------------------------------------

// Text with, for each of its characters, where that stands in the original.
struct Reading {
  std::string text;  // in lower case
  std::vector<std::size_t> begin;
  std::vector<std::size_t> end;

  void append(char c, std::size_t from, std::size_t to) {
    text += fold(c);
    begin.push_back(from);
    end.push_back(to);
  }
};

Reading read_as_it_is(std::string_view text) {
  Reading reading;
  for (std::size_t i = 0; i < text.size(); ++i) reading.append(text[i], i, i + 1);
  return reading;
}

// One layer of %41, \u0041 and \/ taken off. Letters are in lower case already.
Reading decoded(const Reading& from) {
  Reading to;
  const std::string& text = from.text;
  const auto hex_at = [&text](std::size_t at, std::size_t digits) {
    if (at + digits > text.size()) return -1;
    int value = 0;
    for (std::size_t i = at; i < at + digits; ++i) {
      const int digit = hex_value(text[i]);
      if (digit < 0) return -1;
      value = value * 16 + digit;
    }
    return value;
  };
  for (std::size_t i = 0; i < text.size();) {
    std::size_t used = 1;
    char c = text[i];
    if (c == '%' && hex_at(i + 1, 2) >= 0) {
      c = static_cast<char>(hex_at(i + 1, 2));
      used = 3;
    } else if (c == '\\' && i + 1 < text.size()) {
      const int code = text[i + 1] == 'u' ? hex_at(i + 2, 4) : -1;
      if (code >= 0 && code < 0x80) {
        c = static_cast<char>(code);
        used = 6;
      } else if (text[i + 1] == '/' || text[i + 1] == '"' || text[i + 1] == '\\') {
        c = text[i + 1];
        used = 2;
      }
    }
    to.append(c, from.begin[i], from.end[i + used - 1]);
    i += used;
  }
  return to;
}

}  // namespace

std::string scrub(std::string_view text, const Request& request) {
  Needles needles;
  for (const Header& header : request.headers) {
    if (!folded(header.name).starts_with("content-")) needles.add_value(header.value);
  }
  const std::size_t query = request.url.find('?');
  if (query != std::string::npos) {
    for (const std::string_view part :
         split_list(std::string_view(request.url).substr(query + 1), '&')) {
      const std::string_view value = part.substr(std::min(part.find('='), part.size() - 1) + 1);
      if (value.empty()) continue;
      needles.add(value);
      needles.add(decoded(read_as_it_is(value)).text);
    }
  }

  std::vector<bool> hidden(text.size());
  Reading reading = read_as_it_is(text);
  for (std::size_t layer = 0; layer <= kDecodingsMax; ++layer) {
    for (const std::string& needle : needles.texts()) {
      for (std::size_t at = 0; (at = reading.text.find(needle, at)) != std::string::npos; ++at) {
        std::fill(hidden.begin() + static_cast<std::ptrdiff_t>(reading.begin[at]),
                  hidden.begin() + static_cast<std::ptrdiff_t>(reading.end[at + needle.size() - 1]),
                  true);
      }
    }
    Reading next = decoded(reading);
    if (next.text.size() == reading.text.size()) break;  // no layer was left
    reading = std::move(next);
  }

  std::string clean;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!hidden[i]) {
      clean += text[i];
    } else if (i == 0 || !hidden[i - 1]) {
      clean += "***";
    }
  }
  return clean;
}

}  // namespace sidecast
