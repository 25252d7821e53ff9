// Files that have been rotated out: what they are called, compressing them, and how many are kept.
//
//   traces.jsonl  ->  traces-20261121T134500.123456789Z.jsonl  ->  ....jsonl.gz
//
// Only names of exactly this shape are ever counted, compressed or removed. Blocking.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "exporters/exporter.h"

namespace sidecast {

// Beside `path`. Names sort by time.
[[nodiscard]] std::string rotated_path(const std::string& path, Timestamp now);

// Those of `path` that are not compressed yet, the oldest first: each is replaced by its compressed
// form, which appears under its name whole or not at all. None: nothing to do.
[[nodiscard]] Status compress_rotated(const std::string& path, Compression compression);

// Removes the oldest until `keep` are left; 0 = all are kept.
[[nodiscard]] Status remove_surplus(const std::string& path, std::uint64_t keep);

}  // namespace sidecast
