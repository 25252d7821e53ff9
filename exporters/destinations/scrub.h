// Scrubbing: what our own request held (credentials in headers and in the URL's query) is taken out
// of text that a server sent, before a person sees it. Servers quote what they refuse, whole or in
// parts, in any letter case, percent-encoded, escaped or in base64. Pure.
//
// It takes out too much rather than too little: a secret of one letter takes every such letter.
#pragma once

#include <string>
#include <string_view>

#include "exporters/exporter.h"

namespace sidecast {

// `text` with "***" where something of the request stood.
[[nodiscard]] std::string scrub(std::string_view text, const Request& request);

}  // namespace sidecast
