// Where the engine keeps its own things: a directory of its own inside the ring directory, closed
// to gateways.
#pragma once

#include <string>

namespace sidecast {

struct EnginePaths {
  explicit EnginePaths(const std::string& ring_dir) : directory(ring_dir + "/.engine") {}

  std::string directory;
  std::string lock = directory + "/lock";
  std::string ledger = directory + "/ledger";
  std::string fates = directory + "/fates";
  std::string stage = directory + "/stage";
  std::string spool = directory + "/spool";  // states of the spool's segments
  std::string quarantine = directory + "/quarantine";
  [[nodiscard]] std::string redo(const std::string& owner) const {
    return directory + "/redo-" + owner;
  }
};

}  // namespace sidecast
