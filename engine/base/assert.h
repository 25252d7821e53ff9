// SIDECAST_ASSERT: one fact that only a bug of ours can break. The engine stops: the supervisor
// restarts it, and rings and stage still hold everything. Never for bytes from outside.
#pragma once

namespace sidecast {

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace sidecast

#define SIDECAST_ASSERT(expression)    \
  ((expression) ? static_cast<void>(0) \
                : ::sidecast::assertion_failed(#expression, __FILE__, __LINE__))
