// The engine: everything in its place and started in the right order. main.cc makes one and runs
// it.
//
//   housekeeping (the thread of run())   finds rings, retires dead ones, heartbeat, stop and drain
//   workers (N)                          drain -> stage -> batch; see intake/worker.h
//   delivery (1)                         the HTTP loop: send, judge, settle; see deliver/
//
// Start: lock, ledger, stage, redo records, plan, recovered batches, threads. Stop: workers read no
// more and seal what is open; delivery goes on until all is settled or the deadline; then delivery
// ends, then workers. What is not settled stays in the stage for the next start.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/config/config.h"

namespace sidecast {

class Engine {
 public:
  struct Options {
    bool drain = false;  // end by itself once rings and stage are empty (or nothing moves any more)
    std::string version;
    std::atomic<bool>* reload_asked = nullptr;  // set by SIGHUP
  };

  // Waits for the lock of an engine that already serves this directory. Null when `stop` ended the
  // wait.
  [[nodiscard]] static Result<std::unique_ptr<Engine>> open(Config config, Options options,
                                                            const std::atomic<bool>& stop);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Runs until `stop` is set (by a signal handler) or, with `drain`, until all is done. True when
  // nothing is left in rings and stage.
  [[nodiscard]] bool run(const std::atomic<bool>& stop);

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sidecast
