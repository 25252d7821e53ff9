// Where a command finds the ring directory: the options that all such commands share.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "engine/base/result.h"

namespace sidecast {

struct RingPlace {
  std::string config_file;
  std::string ring_dir;
};

// Adds --config and --ring-dir, of which at most one may be given.
void add_ring_place(CLI::App& command, RingPlace& place);
// What was asked for, else $SIDECAST_RING_DIR, else the default of the config. An Error when the
// config cannot be read.
[[nodiscard]] Result<std::string> find_ring_dir(const RingPlace& place);

}  // namespace sidecast
