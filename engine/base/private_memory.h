// What other processes, and a dump after a crash, may see of this process's memory.
#pragma once

namespace sidecast {

// Of a process with credentials and content in its memory: no dump of it is written, and processes
// of the same user neither trace nor read it. `false` gives back what was allowed before. Threads:
// one at a time.
void keep_memory_private(bool is_private) noexcept;

}  // namespace sidecast
