#include "exporters/exporter.h"

namespace sidecast {

std::string_view header_value(const Response& response, std::string_view name) noexcept {
  for (const Header& header : response.headers) {
    if (header.name == name) return header.value;
  }
  return {};
}

std::string_view OptionValues::get(std::string_view name) const noexcept {
  const auto found = values.find(name);
  return found == values.end() ? std::string_view() : std::string_view(found->second);
}

}  // namespace sidecast
