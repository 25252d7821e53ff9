// Named points at which a crash test kills the process: SIDECAST_TEST_POINT("stage.after_copy").
// A build without SIDECAST_TEST_POINTS compiles them away. The environment variable
// SIDECAST_KILL_AT=NAME[:N] raises SIGKILL at the N-th visit (default the first).
//
// SIDECAST_POISON_POINT(generation_id) stands for a record that crashes us while it is understood:
// it aborts when the id is that of the environment variable SIDECAST_POISON_ID.
#pragma once

#ifdef SIDECAST_TEST_POINTS
#include <string_view>

namespace sidecast {
void visit_test_point(const char* name) noexcept;
void visit_poison_point(std::string_view generation_id) noexcept;
// What the variable would say, for a test that forks; before other threads start.
void kill_at_for_test(const char* specification);
}  // namespace sidecast
#define SIDECAST_TEST_POINT(name) ::sidecast::visit_test_point(name)
#define SIDECAST_POISON_POINT(generation_id) ::sidecast::visit_poison_point(generation_id)
#else
#define SIDECAST_TEST_POINT(name) static_cast<void>(0)
#define SIDECAST_POISON_POINT(generation_id) static_cast<void>(0)
#endif
