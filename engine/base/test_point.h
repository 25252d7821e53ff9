// Named points at which a crash test kills the process: SIDECAST_TEST_POINT("stage.after_copy").
// A build without SIDECAST_TEST_POINTS compiles them away. The environment variable
// SIDECAST_KILL_AT=NAME[:N] raises SIGKILL at the N-th visit (default the first).
#pragma once

#ifdef SIDECAST_TEST_POINTS
namespace sidecast {
void visit_test_point(const char* name) noexcept;
// What the variable would say, for a test that forks; before other threads start.
void kill_at_for_test(const char* specification);
}  // namespace sidecast
#define SIDECAST_TEST_POINT(name) ::sidecast::visit_test_point(name)
#else
#define SIDECAST_TEST_POINT(name) static_cast<void>(0)
#endif
