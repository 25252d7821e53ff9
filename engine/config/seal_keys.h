// Where the keys of sealed values are. The first of these that is set counts:
//
//   seal_key_file of the config     relative to the config's folder
//   $SIDECAST_SEAL_KEY_FILE
//   $SIDECAST_SEAL_KEY              the key itself; anything that sees the environment sees it too
//   $CREDENTIALS_DIRECTORY/sidecast-seal-key      a credential of systemd's
#pragma once

#include <string>

#include "engine/base/seal.h"
#include "engine/config/expand.h"

namespace sidecast {

struct FoundSealKeys {
  SealKeys keys;
  std::string file;  // as it was named; empty = they came from the environment
};

// An Error says where they were looked for, and never what was found there.
[[nodiscard]] Result<FoundSealKeys> find_seal_keys(const ConfigSources& sources,
                                                   const std::string& config_key_file);

}  // namespace sidecast
