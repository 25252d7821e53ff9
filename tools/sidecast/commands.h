// The commands of `sidecast`. Each add_<command>() adds one subcommand with its options and help;
// when the user chose it, it runs during parsing and leaves its exit code in `exit_code`.
#pragma once

#include <CLI/CLI.hpp>

namespace sidecast {

// What every command of ours ends with.
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;  // the thing asked for failed
inline constexpr int kExitUsage = 2;   // wrong usage or config

void add_convert(CLI::App& app, int& exit_code);
void add_add(CLI::App& app, int& exit_code);
void add_ddl(CLI::App& app, int& exit_code);
void add_destinations(CLI::App& app, int& exit_code);
void add_explain(CLI::App& app, int& exit_code);
void add_init(CLI::App& app, int& exit_code);
void add_reload(CLI::App& app, int& exit_code);
void add_replay(CLI::App& app, int& exit_code);
void add_ring(CLI::App& app, int& exit_code);
void add_seal(CLI::App& app, int& exit_code);
void add_sink(CLI::App& app, int& exit_code);
void add_spool(CLI::App& app, int& exit_code);
void add_stats(CLI::App& app, int& exit_code);
void add_tail(CLI::App& app, int& exit_code);
void add_test(CLI::App& app, int& exit_code);
void add_traces(CLI::App& app, int& exit_code);
void add_validate(CLI::App& app, int& exit_code);

}  // namespace sidecast
