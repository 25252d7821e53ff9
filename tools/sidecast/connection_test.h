// One request to one destination, by the very client, TLS, proxy and egress rules of delivery, and
// what came of it in a line. Blocks until it is answered or times out.
#pragma once

#include <string>

#include "engine/config/running.h"

namespace sidecast {

struct ConnectionTest {
  bool is_passed = false;
  std::string line;  // what happened and what to do; printable, without a secret
};

// `sends_trace`: one marked trace, as records are sent, instead of the cheapest request that proves
// address and credentials.
[[nodiscard]] ConnectionTest test_connection(const DestinationConfigPtr& destination,
                                             bool sends_trace);

// Makes the table that the destination writes to, with its own connection and credentials. Passed
// when it is there, and `line` says whether it was before.
[[nodiscard]] ConnectionTest create_table(const DestinationConfigPtr& destination);

}  // namespace sidecast
