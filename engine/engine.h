// The engine: everything in its place and started in the right order. main.cc makes one and runs
// it.
//
//   housekeeping (the thread of run())   finds rings, retires dead ones, heartbeat, reload, stop
//                                        and drain
//   workers (N)                          drain -> stage -> batch; see intake/worker.h
//   delivery (1)                         the HTTP loop: send, judge, settle; see deliver/
//
// Start: lock, ledger, stage, redo records, plan, recovered batches, threads. Stop: workers read no
// more and seal what is open; delivery goes on until all is settled or the deadline; then delivery
// ends, then workers; what is not settled goes to the spool, or stays in the stage for the next
// start. Reload: a new plan is made beside the old one, then delivery goes over to it, then each
// worker between two records.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "engine/base/result.h"
#include "engine/config/loader.h"
#include "engine/config/running.h"

namespace sidecast {

class Engine {
 public:
  struct Options {
    bool drain = false;  // end by itself once rings and stage are empty (or nothing moves any more)
    std::string version;
    // Kill an engine that serves this directory once it gave no sign of life for so long; 0: never.
    std::chrono::milliseconds takeover_after{0};
    std::atomic<bool>* reload_asked = nullptr;  // set by SIGHUP
    // Where the configuration came from and is read again at a reload; null: there is none.
    std::shared_ptr<ConfigLoader> loader;
  };

  // Waits for the lock of an engine that already serves this directory. Null when `stop` ended the
  // wait.
  [[nodiscard]] static Result<std::unique_ptr<Engine>> open(RunningConfig config, Options options,
                                                            const std::atomic<bool>& stop);
  [[nodiscard]] static Result<std::unique_ptr<Engine>> open(Config config, Options options,
                                                            const std::atomic<bool>& stop) {
    return open(running_config(std::move(config)), std::move(options), stop);
  }
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Runs until `stop` is set (by a signal handler) or, with `drain`, until all is done. True when
  // nothing is left in rings and stage.
  [[nodiscard]] bool run(const std::atomic<bool>& stop);
  // After run(): a thread hangs on a disk that does not answer. The process can only be ended; this
  // must not be destroyed.
  [[nodiscard]] bool is_stuck() const noexcept;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sidecast
