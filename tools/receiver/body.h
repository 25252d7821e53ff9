// A request body as it came over the wire, undone: no encoding, gzip or zstd. Strict on purpose,
// since this receiver judges a sender: a body that ends early or carries bytes after its end is
// refused instead of being cut silently. Several gzip members or zstd frames are read to the end.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tools/receiver/refusal.h"

namespace sidecast::receiver {

// `content_encoding` as the header says it. 415: an encoding we do not know; 400: broken bytes;
// 413: more than `bytes_max` when decoded.
[[nodiscard]] Accepted<std::string> decode_body(std::string_view content_encoding, std::string body,
                                                std::size_t bytes_max);

}  // namespace sidecast::receiver
