#include "tools/sidecast/ring_place.h"

#include <cstdlib>

#include "engine/config/config.h"

namespace sidecast {

void add_ring_place(CLI::App& command, RingPlace& place) {
  CLI::Option* const config = command
                                  .add_option("--config", place.config_file,
                                              "The engine's config; names the ring directory")
                                  ->check(CLI::ExistingFile);
  command
      .add_option("--ring-dir", place.ring_dir,
                  "Ring directory; else $SIDECAST_RING_DIR, else /dev/shm/sidecast")
      ->excludes(config);
}

Result<std::string> find_ring_dir(const RingPlace& place) {
  if (!place.ring_dir.empty()) return place.ring_dir;
  if (!place.config_file.empty()) return load_ring_dir(place.config_file);
  const char* const from_environment =
      std::getenv("SIDECAST_RING_DIR");  // NOLINT(concurrency-mt-unsafe): one thread
  if (from_environment != nullptr && *from_environment != '\0')
    return std::string(from_environment);
  return Config{}.ring_dir;
}

}  // namespace sidecast
