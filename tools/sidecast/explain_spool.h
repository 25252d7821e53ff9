// What the spool's segments say of a record of which nothing else is known any more: after a reboot
// its fates are gone, but it still waits on disk.
#pragma once

#include <cstddef>
#include <string>

#include "engine/base/bytes.h"
#include "engine/fates/explain.h"

namespace sidecast {

// Adds the records with that generation or trace id, at most `records_max` in all. Reads the index
// of each batch, and a batch that has it whole, since nothing is believed without its checksum. A
// directory that cannot be read adds nothing.
void add_spooled(fates::Explanation& explanation, const std::string& directory, Text id,
                 std::size_t records_max);

}  // namespace sidecast
