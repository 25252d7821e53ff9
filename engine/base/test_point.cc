#include "engine/base/test_point.h"

#ifdef SIDECAST_TEST_POINTS

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>

namespace sidecast {
namespace {

struct Target {
  std::string name;  // empty: nowhere
  long visit = 1;
};

Target parse(const char* specification) {
  if (specification == nullptr) return {};
  const std::string text(specification);
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {text, 1};
  return {text.substr(0, colon), std::strtol(text.c_str() + colon + 1, nullptr, 10)};
}

Target& target() {
  static Target from_environment =
      parse(std::getenv("SIDECAST_KILL_AT"));  // NOLINT(concurrency-mt-unsafe): nothing sets it
  return from_environment;
}

std::atomic<long> visits{0};

}  // namespace

void kill_at_for_test(const char* specification) {
  target() = parse(specification);
  visits = 0;
}

void visit_test_point(const char* name) noexcept {
  if (target().name != name) return;
  // relaxed: only the count matters, nothing is published through it.
  if (visits.fetch_add(1, std::memory_order_relaxed) + 1 == target().visit) std::raise(SIGKILL);
}

void visit_poison_point(std::string_view generation_id) noexcept {
  static const char* const poison =
      std::getenv("SIDECAST_POISON_ID");  // NOLINT(concurrency-mt-unsafe): nothing sets it
  if (poison != nullptr && generation_id == poison) std::abort();
}

}  // namespace sidecast

#endif
