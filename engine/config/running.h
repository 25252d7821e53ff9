// What an engine runs on: the operator's file and every destination there is, of whichever file.
// Immutable and shared: a reload makes another one of the parts that stayed and those that came.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "engine/config/config.h"

namespace sidecast {

using DestinationConfigPtr = std::shared_ptr<const DestinationConfig>;

struct RunningConfig {
  std::shared_ptr<const Config> config;            // its `destinations` are among those below
  std::vector<DestinationConfigPtr> destinations;  // in the order of the files; names are unique
};

// Of a file that stands alone.
[[nodiscard]] inline RunningConfig running_config(Config checked) {
  RunningConfig running{.config = std::make_shared<const Config>(std::move(checked)),
                        .destinations = {}};
  for (const DestinationConfig& destination : running.config->destinations) {
    running.destinations.emplace_back(running.config, &destination);
  }
  return running;
}

}  // namespace sidecast
