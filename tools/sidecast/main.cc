// sidecast: sets up, validates, watches and explains the engine. One file per command; this one
// knows only how they are found and what their exit codes mean.
#include <csignal>
#include <exception>

#include <CLI/CLI.hpp>

#include "tools/sidecast/commands.h"
#include "tools/sidecast/terminal.h"

namespace {

constexpr auto kFooter =
    "Exit codes: 0 done, 1 the thing asked for failed, 2 wrong usage or config.\n"
    "NO_COLOR switches colours off. 'sidecast COMMAND --help' explains a command.";

int run(int argc, char** argv) {
  int exit_code = sidecast::kExitDone;
  CLI::App app("The tool of the sidecast trace exporter: set up, test, watch and explain it.",
               "sidecast");
  app.set_version_flag("--version", "sidecast " SIDECAST_VERSION);
  app.footer(kFooter);
  app.require_subcommand(1);
  sidecast::add_init(app, exit_code);
  sidecast::add_validate(app, exit_code);
  sidecast::add_destinations(app, exit_code);
  sidecast::add_add(app, exit_code);
  sidecast::add_test(app, exit_code);
  sidecast::add_seal(app, exit_code);
  sidecast::add_stats(app, exit_code);
  sidecast::add_explain(app, exit_code);
  sidecast::add_tail(app, exit_code);
  sidecast::add_reload(app, exit_code);
  sidecast::add_replay(app, exit_code);
  sidecast::add_ring(app, exit_code);
  sidecast::add_sink(app, exit_code);
  sidecast::add_spool(app, exit_code);
  sidecast::add_traces(app, exit_code);
  sidecast::add_convert(app, exit_code);
  sidecast::add_ddl(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help and --version come this way too, and mean success.
    return app.exit(error) == 0 ? sidecast::kExitDone : sidecast::kExitUsage;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe or connection is an error code, not a death
  try {
    return run(argc, argv);
  } catch (const std::exception& exception) {
    sidecast::print_error(exception.what());
    return sidecast::kExitFailed;
  }
}
