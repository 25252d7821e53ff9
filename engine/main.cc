// sidecastd: reads the config, opens the engine, runs it until SIGTERM or SIGINT; SIGHUP reads the
// config again. The only place where everything meets. Exit codes: 0 done, 1 the thing asked for
// failed, 2 wrong usage or config.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include "engine/base/log.h"
#include "engine/base/private_memory.h"
#include "engine/config/loader.h"
#include "engine/config/units.h"
#include "engine/engine.h"
#include "engine/intake/crash_mark.h"

namespace {

std::atomic<bool> stop_requested{false};
std::atomic<bool> reload_asked{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // set from a signal handler

void request_stop(int /*signal*/) {
  stop_requested.store(true, std::memory_order_relaxed);
}

void ask_for_reload(int /*signal*/) {
  reload_asked.store(true, std::memory_order_relaxed);
}

// As many as the operator allows: a destination takes a socket or two, and a ring a file. The lower
// default protects programs that use select(), which nothing here does.
void allow_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  constexpr rlim_t kWanted = 65'536;
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kWanted));
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int run(int argc, char** argv) {
  CLI::App app("sidecastd: drains the rings of LLM gateways and exports their traces");
  std::string config_path;
  std::string ring_dir;
  std::string takeover_after;
  bool drain = false;
  bool verbose = false;
  app.add_option("--config", config_path, "Configuration file (YAML)")->required();
  app.add_option("--ring-dir", ring_dir, "Directory of the rings; overrides the configuration");
  app.add_flag("--drain", drain,
               "Deliver all that rings and stage hold, then exit: 0, or 1 if anything is left");
  app.add_option("--takeover-after", takeover_after,
                 "If another engine serves the directory and gives no sign of life for so long\n"
                 "(such as 30s), kill it and take over; without this it is waited for")
      ->check([](const std::string& text) {
        return sidecast::parse_duration(text) ? std::string() : "not a duration, such as 30s";
      });
  app.add_flag("--verbose", verbose, "Log more");
  app.set_version_flag("--version", std::string(SIDECAST_VERSION));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  sidecast::open_log(verbose ? sidecast::LogLevel::kDebug : sidecast::LogLevel::kInfo);

  // Before the config is read, which says whether somebody debugs it.
  sidecast::keep_memory_private(true);
  auto loader = std::make_shared<sidecast::ConfigLoader>(config_path, ring_dir);
  auto config = loader->load();
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().message());
    return 2;
  }
  for (const std::string& warning : config->config->warnings) sidecast::log_warning("{}", warning);
  if (config->config->core_dumps) sidecast::keep_memory_private(false);

  allow_descriptors();
  struct sigaction action {};
  action.sa_handler = request_stop;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  action.sa_handler = ask_for_reload;
  sigaction(SIGHUP, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  sidecast::watch_for_crashes();

  auto engine = sidecast::Engine::open(
      std::move(*config),
      {.drain = drain,
       .version = SIDECAST_VERSION,
       .takeover_after = takeover_after.empty() ? std::chrono::milliseconds(0)
                                                : *sidecast::parse_duration(takeover_after),
       .reload_asked = &reload_asked,
       .loader = std::move(loader)},
      stop_requested);
  if (!engine) {
    sidecast::log_error("{}", engine.error().message());
    return 1;
  }
  if (*engine == nullptr) return drain ? 1 : 0;  // stopped before it was our turn
  const bool nothing_left = (*engine)->run(stop_requested);
  const int exit_code = drain && !nothing_left ? 1 : 0;
  // Everything else is in order; to wait for that thread is to wait for its disk.
  if ((*engine)->is_stuck()) std::_Exit(exit_code);
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    // Out of memory and the like: the supervisor starts us again, rings and stage are still there.
    fmt::print(stderr, "sidecastd: {}\n", error.what());
    return 1;
  }
}
