// Marks the record in hand when this thread crashes, so that the next engine can tell a record that
// crashes it from one that was only there when somebody sent SIGKILL.
#pragma once

#include "engine/ledger/layout.h"

namespace sidecast {

// Once per process: catches SIGSEGV, SIGFPE, SIGILL and SIGABRT, marks, and lets the signal
// have its way. Not SIGBUS: the ring reader guards its copies with it.
void watch_for_crashes();
// Once per worker thread. `in_hand` must outlive the thread.
void mark_crashes_of_this_thread(ledger::InHand& in_hand);

}  // namespace sidecast
