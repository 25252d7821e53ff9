#include "engine/base/test_point.h"

#ifdef SIDECAST_TEST_POINTS

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

namespace sidecast {
namespace {

struct Target {
  std::string name;
  long visit = 1;
};

Target read_target() {
  const char* const wanted = std::getenv("SIDECAST_KILL_AT");  // NOLINT(concurrency-mt-unsafe)
  if (wanted == nullptr) return {};
  const char* const colon = std::strchr(wanted, ':');
  if (colon == nullptr) return {wanted, 1};
  return {std::string(wanted, colon), std::strtol(colon + 1, nullptr, 10)};
}

}  // namespace

void visit_test_point(const char* name) noexcept {
  static const Target target = read_target();
  static std::atomic<long> visits{0};
  if (target.name.empty() || target.name != name) return;
  // relaxed: only the count matters, nothing is published through it.
  if (visits.fetch_add(1, std::memory_order_relaxed) + 1 == target.visit) std::raise(SIGKILL);
}

}  // namespace sidecast

#endif
