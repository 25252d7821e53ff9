// Everything a receiver does wrong, one by one, and what a sender must make of it. The table stands
// on the OTLP specification and the README of exporters/, not on the code that it judges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/http_server.h"

namespace sidecast::test {

enum class Meaning {
  kTaken,     // delivered, whatever the answer looks like
  kPartly,    // delivered but for `rejected_spans`
  kRetry,     // not taken; soon once more
  kWait,      // not taken; not again before many minutes have passed
  kPause,     // not taken; not again within seconds, and the operator is told
  kRefused,   // not taken, for good
  kTooLarge,  // not taken as it is: in parts
};

struct Fault {
  std::string name;
  ScriptedReply reply;
  Meaning meaning = Meaning::kRetry;
  std::string told;  // what the last error begins with; empty = nothing is told
  std::uint64_t rejected_spans = 0;
};

// Faults of whole answers and of what is left of them, for a receiver of OTLP in JSON. Dates in
// them count from now.
[[nodiscard]] std::vector<Fault> faults();

// How many of `records` records of one span each a request with that answer delivers.
[[nodiscard]] std::size_t taken_of(const Fault& fault, std::size_t records);

}  // namespace sidecast::test
