// Reads the file of recent fates, whether its engine runs, hangs or is dead. The file is copied,
// since a mapping of a file that somebody cuts short could end its reader, and every byte of it is
// checked before it is used. Pure but for read_fates().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "engine/fates/layout.h"
#include "engine/model/ids.h"

namespace sidecast::fates {

struct RecordEvent {
  RecordBody body{};
  std::string generation_id;  // cut, as are the next two
  std::string account;
  std::string process;
  std::vector<Decision> decisions;
};

struct BatchEvent {
  BatchBody body{};
  std::vector<std::uint64_t> keys;
};

struct AnsweredEvent {
  AnsweredBody body{};
  std::string why;
};

// Everything that is whole, of each kind from the oldest to the newest.
struct History {
  std::uint64_t ledger_epoch = 0;
  std::uint64_t seed = 0;
  std::int64_t oldest_ns = 0;  // what is older may be gone; 0 = nothing was overwritten yet
  std::vector<RecordEvent> records;
  std::vector<BatchEvent> batches;
  std::vector<SentBody> sent;
  std::vector<AnsweredEvent> answered;
  std::vector<SettledBody> settled;
};

[[nodiscard]] Result<History> read_fates(const std::string& path);
// `bytes` of such a file; hostile.
[[nodiscard]] Result<History> parse_fates(Bytes bytes);

// Whether a record has that generation, session or trace id.
[[nodiscard]] bool has_id(const RecordEvent& record, Text id, std::uint64_t seed);

}  // namespace sidecast::fates
