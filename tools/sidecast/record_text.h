// One record of a ring as text: JSON for programs, lines for people. Pure functions.
//
// Content (bodies, what a shed record kept of them, attributes, error messages) is replaced by its
// size unless it is asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "shm/record.h"

namespace sidecast {

class Style;

// Where a record stood when it was looked at.
struct RecordPlace {
  std::string ring;  // file name
  std::uint32_t lane = 0;
  std::uint64_t record = 0;  // of the lane's unread ones, from 0
  std::size_t size_bytes = 0;
};

// One line, without a newline; absent fields are left out:
//   {"ring":"","lane":0,"record":0,"size_bytes":0,"kind":"generation",...,"attempts":[{}]}
// Content that is not shown reads {"redacted_bytes":n}.
[[nodiscard]] std::string record_json(const RecordPlace& place, const shm::RecordView& view,
                                      bool show_content);
[[nodiscard]] std::string record_lines(const RecordPlace& place, const shm::RecordView& view,
                                       bool show_content, const Style& style);

}  // namespace sidecast
