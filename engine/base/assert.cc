#include "engine/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace sidecast {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  // stderr, not the log: the logger itself may be what is broken.
  std::fprintf(stderr, "sidecast: assertion failed: %s at %s:%d\n", expression, file, line);
  std::abort();
}

}  // namespace sidecast
