// Named points at which a crash test stops or kills the process. A build without
// SIDECAST_TEST_POINTS compiles them away; with it, a test sets the hook. Our own, and not the
// engine's, because this code also runs inside gateways, which have no engine.
#pragma once

#ifdef SIDECAST_TEST_POINTS
namespace sidecast::shm {
using TestPointHook = void (*)(const char* name);
// Set before any thread writes; null = none.
inline TestPointHook test_point_hook = nullptr;
}  // namespace sidecast::shm
#define SIDECAST_SHM_TEST_POINT(name)                  \
  do {                                                 \
    if (::sidecast::shm::test_point_hook != nullptr) { \
      ::sidecast::shm::test_point_hook(name);          \
    }                                                  \
  } while (false)
#else
#define SIDECAST_SHM_TEST_POINT(name) static_cast<void>(0)
#endif
