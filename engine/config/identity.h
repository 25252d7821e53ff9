// The two hashes of a destination, each 128 bits as 32 hex digits. SHA-256, cut:
// options may come from customers, and two destinations with one group hash would share bytes, so
// nobody must be able to make a collision.
#pragma once

#include <span>
#include <string>

#include "engine/config/config.h"

namespace sidecast {

// All that decides which records and which bytes: accounts, keys, sampling, privacy and the
// exporter's format. Needs `exporter`.
[[nodiscard]] std::string group_hash(const DestinationConfig& destination);

// What queued batches belong to: name, type, accounts, privacy, and every option and header but
// secrets and tuning. Of `secret_headers` only the names count, so that new credentials apply to
// old batches.
[[nodiscard]] std::string identity_hash(const DestinationConfig& destination,
                                        std::span<const std::string> secret_headers);

}  // namespace sidecast
