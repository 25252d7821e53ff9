// What the spool's segments say of a record of which nothing else is known any more: after a reboot
// its fates are gone, but it still waits on disk.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "engine/base/bytes.h"
#include "engine/fates/explain.h"

namespace sidecast {

struct SpoolSearch {
  std::string directory;
  std::string id;               // generation, trace or session id
  std::size_t records_max = 0;  // of the explanation, in all
  // For a session id, which no index has: look into the bodies of all batches, though something is
  // known of the id already. Where nothing is known they are looked into anyhow.
  bool with_bodies = false;
  std::chrono::nanoseconds time_max{0};
};

// Adds the records with that id that are not told of yet, newest first. One segment and one batch
// at a time are in memory, none of more than 256 MiB. Nothing is believed without its checksum.
// What could not be searched, and why, is among the explanation's notes. Of a directory that cannot
// be read only that is told.
void add_spooled(fates::Explanation& explanation, const SpoolSearch& search);

}  // namespace sidecast
