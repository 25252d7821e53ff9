// What became of a record at each destination, and why: put together from the file of recent fates,
// the ledger (names, states) and the stage (what still waits). Reads shared memory only, so it
// answers when the engine hangs or is dead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "engine/fates/fate_reader.h"

namespace sidecast::fates {

struct Step {
  std::int64_t time_ns = 0;
  std::string what;  // batched | sent | answered | delivered | rejected(...) | dropped(...)
  std::string detail;
};

struct DestinationStory {
  std::string name;
  std::string decision;  // routed | filtered | sampled out
  // delivered | rejected(reason) | dropped(reason) | pending | filtered | sampled out | unknown
  std::string fate;
  std::string why;  // in one line; may be empty
  std::vector<Step> steps;
};

struct RecordStory {
  RecordEvent record;
  bool is_arrival_known = true;  // false: it is staged, but its arrival is no longer kept
  std::size_t times_read = 1;    // more often only when an engine died before it had committed
  std::vector<DestinationStory> destinations;
  std::size_t destinations_of_others = 0;  // enabled, but not for its account
};

struct Explanation {
  std::vector<RecordStory> records;  // newest first
  std::size_t records_left_out = 0;  // more that have the id
  std::size_t records_kept = 0;      // of whatever id
  std::int64_t reaches_back_ns = 0;  // what is older may be gone; 0 = nothing was overwritten yet
  std::vector<std::string> notes;    // what else a reader should know, a sentence each
};

// `id` is a generation, trace or session id, as a whole. At most `records_max` stories.
[[nodiscard]] Result<Explanation> explain(const std::string& ring_dir, Text id,
                                          std::size_t records_max);

}  // namespace sidecast::fates
