// One record in one form: privacy, dialect, encoder, in this order and nowhere else. Whatever
// leaves (to a destination, to tail, to convert) comes through here, so content that privacy mode
// removes is gone before a single byte is encoded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "exporters/exporter.h"

namespace sidecast {

struct PrivacyRule {
  bool enabled = false;
  const std::vector<std::string>* keep = nullptr;  // attribute keys that stay; may be null
};

// Appends the record's spans to `out` and returns how many they are.
std::uint32_t write_record(const Trace& trace, const Format& format, const PrivacyRule& privacy,
                           Arena& arena, ByteBuffer& out);

}  // namespace sidecast
