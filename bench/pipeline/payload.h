// Exchanges of a wanted size, of real text: what a gateway would write for one chat completion.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sidecast::bench {

struct Exchange {
  std::string request;   // JSON
  std::string response;  // JSON
};

// `count` exchanges with about `message_bytes` of messages each, cut from the text corpus in
// $SIDECAST_DATA (or ../shared/data beside the sources); without it from a text of our own, and
// says so once on stderr. The same every time.
[[nodiscard]] std::vector<Exchange> make_exchanges(std::size_t count, std::size_t message_bytes);

}  // namespace sidecast::bench
