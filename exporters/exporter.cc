#include "exporters/exporter.h"

#include <strings.h>

namespace sidecast {

std::string_view header_value(const Response& response, std::string_view name) noexcept {
  for (const Header& header : response.headers) {
    if (header.name == name) return header.value;
  }
  return {};
}

void set_header(Request& request, std::string_view name, std::string value) {
  for (Header& header : request.headers) {
    if (header.name.size() != name.size()) continue;
    if (::strncasecmp(header.name.data(), name.data(), name.size()) != 0) continue;
    header.value = std::move(value);
    return;
  }
  request.headers.push_back({std::string(name), std::move(value)});
}

std::string_view OptionValues::get(std::string_view name) const noexcept {
  const auto found = values.find(name);
  return found == values.end() ? std::string_view() : std::string_view(found->second);
}

}  // namespace sidecast
