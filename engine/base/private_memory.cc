#include "engine/base/private_memory.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace sidecast {

void keep_memory_private(bool is_private) noexcept {
  ::prctl(PR_SET_DUMPABLE, is_private ? 0 : 1);
  static rlim_t allowed = 0;
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) != 0) return;
  if (is_private) allowed = limit.rlim_cur;
  limit.rlim_cur = is_private ? 0 : allowed;
  ::setrlimit(RLIMIT_CORE, &limit);
}

}  // namespace sidecast
