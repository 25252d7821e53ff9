#include "engine/intake/crash_mark.h"

#include <array>
#include <csignal>

namespace sidecast {
namespace {

constexpr std::array<int, 4> kSignals = {SIGSEGV, SIGFPE, SIGILL, SIGABRT};

thread_local ledger::InHand* in_hand_here = nullptr;
std::array<struct sigaction, kSignals.size()> before;

// Async-signal-safe: one store into shared memory, then whatever would have happened without us.
void mark_and_pass_on(int signal, siginfo_t*, void*) {
  if (in_hand_here != nullptr) {
    auto expected = ledger::kInHand;
    in_hand_here->state.compare_exchange_strong(expected, ledger::kCrashedInHand);
  }
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] == signal) sigaction(signal, &before[i], nullptr);
  }
  raise(signal);  // blocked until we return, then handled as before
}

}  // namespace

void watch_for_crashes() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction action {};
    action.sa_sigaction = mark_and_pass_on;
    action.sa_flags = SA_SIGINFO;
    sigaction(kSignals[i], &action, &before[i]);
  }
}

void mark_crashes_of_this_thread(ledger::InHand& in_hand) {
  in_hand_here = &in_hand;
}

}  // namespace sidecast
