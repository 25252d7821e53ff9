// sidecast replay: recorded exchanges, played into a ring by one or more gateway processes.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/json_writer.h"
#include "engine/config/config.h"
#include "tools/replay/player.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

struct ReplayOptions {
  std::vector<std::string> files;
  std::string config_file;
  std::string ring_dir;
  std::uint64_t ring_bytes = 0;
  double rate = 0;  // 0 = as fast as the ring takes it
  std::string arrivals_file;
  double speed = 1;
  double duration_s = 0;  // 0 = no limit
  std::uint32_t threads = 1;
  std::uint32_t processes = 1;
  std::uint64_t repeat = 1;
  std::uint64_t limit = 0;  // 0 = all
  std::vector<std::string> accounts;
  std::vector<std::string> api_keys;
  std::string id_prefix = "gen";
  bool with_trace = false;
  bool no_wait = false;
  std::uint32_t stall_timeout_s = 60;
  std::uint32_t drain_timeout_s = 0;  // 0 = do not wait
  std::string ids_file;
  bool progress = false;
  bool json = false;
};

// The tally in memory that forked processes share with this one.
class SharedTally {
 public:
  SharedTally() {
    void* const mapped = mmap(nullptr, sizeof(replay::Tally), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mapped != MAP_FAILED) tally_ = new (mapped) replay::Tally;
  }
  ~SharedTally() {
    if (tally_ != nullptr) munmap(tally_, sizeof(replay::Tally));
  }
  SharedTally(const SharedTally&) = delete;
  SharedTally& operator=(const SharedTally&) = delete;
  [[nodiscard]] replay::Tally* get() const noexcept { return tally_; }

 private:
  replay::Tally* tally_ = nullptr;
};

// For the signal handler: set once, before the handler is installed.
replay::Tally* g_tally = nullptr;

void stop_on_signal(int) {
  g_tally->stop.store(1, std::memory_order_relaxed);
}

void install_stop_signals(replay::Tally& tally) {
  g_tally = &tally;
  struct sigaction action {};
  action.sa_handler = stop_on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

std::uint64_t load(const std::atomic<std::uint64_t>& count) {
  return count.load(std::memory_order_relaxed);  // a statistic
}

std::uint64_t dropped(const replay::Tally& tally) {
  return load(tally.dropped_full) + load(tally.dropped_busy) + load(tally.dropped_too_large) +
         load(tally.disabled);
}

// One line a second on stderr, until the run ends.
class Progress {
 public:
  Progress(bool wanted, const replay::Tally& tally, Instant started, std::uint64_t total) {
    if (!wanted) return;
    thread_ = std::thread([this, &tally, started, total] { loop(tally, started, total); });
  }
  ~Progress() {
    ended_.store(true, std::memory_order_relaxed);  // the join below orders everything else
    if (thread_.joinable()) thread_.join();
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  void loop(const replay::Tally& tally, Instant started, std::uint64_t total) const {
    std::uint64_t before = 0;
    for (int tick = 1; !ended_.load(std::memory_order_relaxed); ++tick) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (tick % 10 != 0) continue;
      const std::uint64_t written = load(tally.written);
      const std::chrono::duration<double> elapsed = monotonic_now() - started;
      fmt::print(
          stderr, "{:>6.1f} s  {} written{}  {}/s  {}\n", elapsed.count(), human_count(written),
          total == replay::kEndless ? std::string() : fmt::format(" of {}", human_count(total)),
          human_count(written - before), human_bytes(load(tally.bytes)));
      before = written;
    }
  }

  std::atomic<bool> ended_{false};
  std::thread thread_;
};

void report_failure(const Error& error) {
  print_error("replay: " + error.message());
}

// Plays this process's share; the exit code says how it went.
int play_share(replay::Player& player, replay::Share share, Instant started,
               const ReplayOptions& options) {
  std::optional<std::chrono::seconds> drain_max;
  if (options.drain_timeout_s > 0) drain_max = std::chrono::seconds(options.drain_timeout_s);
  const Status played = player.play(share, started, drain_max);
  if (!played) report_failure(played.error());
  return played ? kExitDone : kExitFailed;
}

// Forks the processes, before any of them opens a ring, and waits for all.
int play_in_children(replay::Player& player, const ReplayOptions& options, Instant started,
                     replay::Tally& tally, std::uint64_t total) {
  const pid_t parent = getpid();
  std::vector<pid_t> children;
  int exit_code = kExitDone;
  for (std::uint32_t i = 0; i < options.processes; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      // A gateway that outlives the command that started it would surprise everybody.
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (getppid() != parent) _exit(kExitFailed);
      const std::uint64_t threads = options.threads;
      _exit(play_share(player, {i * threads, options.processes * threads}, started, options));
    }
    if (child < 0) {
      report_failure(Error("fork: " + std::generic_category().message(errno)));
      tally.stop.store(1, std::memory_order_relaxed);  // polled by the children
      exit_code = kExitFailed;
      break;
    }
    children.push_back(child);
  }
  const Progress progress(options.progress, tally, started, total);
  for (const pid_t child : children) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
      print_error(
          fmt::format("replay: process {} was ended by signal {}", child, WTERMSIG(status)));
      exit_code = kExitFailed;
    } else if (WEXITSTATUS(status) != kExitDone) {
      exit_code = WEXITSTATUS(status);
    }
  }
  return exit_code;
}

void print_summary(const replay::Tally& tally, double seconds, const ReplayOptions& options) {
  if (!options.json) {
    fmt::print("{} written ({}, {} shed) in {}", human_count(load(tally.written), "record"),
               human_bytes(load(tally.bytes)), human_count(load(tally.shed)),
               human_seconds(seconds));
    if (dropped(tally) > 0) {
      fmt::print("; not written: {} full, {} busy, {} too large, {} without a ring",
                 load(tally.dropped_full), load(tally.dropped_busy), load(tally.dropped_too_large),
                 load(tally.disabled));
    }
    if (load(tally.waits) > 0)
      fmt::print("; waited {} for room", human_count(load(tally.waits), "time"));
    if (options.drain_timeout_s == 0)
      fmt::print("\nthe ring lives on until the engine has read it");
    fmt::print("\n");
    return;
  }
  ByteBuffer buffer;
  JsonWriter json(buffer);
  json.begin_object();
  json.key("written").unsigned_integer(load(tally.written));
  json.key("shed").unsigned_integer(load(tally.shed));
  json.key("dropped").begin_object();
  json.key("full").unsigned_integer(load(tally.dropped_full));
  json.key("busy").unsigned_integer(load(tally.dropped_busy));
  json.key("too_large").unsigned_integer(load(tally.dropped_too_large));
  json.key("disabled").unsigned_integer(load(tally.disabled));
  json.end_object();
  json.key("seconds").number(seconds);
  json.key("bytes").unsigned_integer(load(tally.bytes));
  json.key("waits").unsigned_integer(load(tally.waits));
  json.end_object();
  fmt::print("{}\n", buffer.view());
}

Result<std::string> find_ring_dir(const ReplayOptions& options) {
  if (options.config_file.empty()) return options.ring_dir;
  return load_ring_dir(options.config_file);
}

Result<replay::Pace> make_pace(const ReplayOptions& options) {
  if (!options.arrivals_file.empty()) {
    std::optional<Nanoseconds> duration;
    if (options.duration_s > 0)
      duration = Nanoseconds(static_cast<std::int64_t>(options.duration_s * 1e9));
    return replay::Pace::recorded(options.arrivals_file, options.speed, duration);
  }
  return options.rate > 0 ? replay::Pace::steady(options.rate) : replay::Pace::unlimited();
}

int run_replay(const ReplayOptions& options) {
  const auto fail_with = [](int code, const Error& error) {
    report_failure(error);
    return code;
  };
  const Result<std::string> ring_dir = find_ring_dir(options);
  if (!ring_dir) return fail_with(kExitUsage, ring_dir.error());
  const Result<replay::Pace> pace = make_pace(options);
  if (!pace) return fail_with(kExitUsage, pace.error());
  const bool is_endless = options.repeat == 0 && options.arrivals_file.empty();
  const std::uint64_t limit = options.limit == 0 ? replay::kEndless : options.limit;
  const Result<replay::Exchanges> exchanges = replay::Exchanges::load(options.files, limit);
  if (!exchanges) return fail_with(kExitFailed, exchanges.error());
  if (exchanges->size() == 0) return fail_with(kExitFailed, Error("the files hold no exchange"));

  replay::PlayerOptions player_options{.ring_dir = *ring_dir,
                                       .ring_bytes = options.ring_bytes,
                                       .accounts = options.accounts,
                                       .api_key_names = options.api_keys,
                                       .id_prefix = options.id_prefix,
                                       .with_trace = options.with_trace,
                                       .wait_when_full = !options.no_wait,
                                       .stall_max = std::chrono::seconds(options.stall_timeout_s),
                                       .duration = std::nullopt,
                                       .threads = options.threads,
                                       .write_count = pace->count(),
                                       .ids_fd = -1};
  if (options.arrivals_file.empty()) {
    player_options.write_count = is_endless ? replay::kEndless : options.repeat * exchanges->size();
    if (options.duration_s > 0)
      player_options.duration = Nanoseconds(static_cast<std::int64_t>(options.duration_s * 1e9));
  }
  if (!options.ids_file.empty()) {
    player_options.ids_fd =
        open(options.ids_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (player_options.ids_fd < 0) {
      return fail_with(kExitFailed, Error("open " + options.ids_file + ": " +
                                          std::generic_category().message(errno)));
    }
  }
  const SharedTally shared;
  if (shared.get() == nullptr) return fail_with(kExitFailed, Error("map shared memory"));
  replay::Tally& tally = *shared.get();
  install_stop_signals(tally);

  const Instant started = monotonic_now();
  replay::Player player(*exchanges, *pace, player_options, tally);
  int exit_code = kExitDone;
  if (options.processes == 1) {
    const Progress progress(options.progress, tally, started, player_options.write_count);
    exit_code = play_share(player, {0, options.threads}, started, options);
  } else {
    exit_code = play_in_children(player, options, started, tally, player_options.write_count);
  }
  const std::chrono::duration<double> lasted = monotonic_now() - started;
  if (player_options.ids_fd >= 0) close(player_options.ids_fd);
  const bool has_news = exit_code == kExitDone || load(tally.written) + dropped(tally) > 0;
  if (has_news || options.json) print_summary(tally, lasted.count(), options);
  if (exit_code != kExitDone) return exit_code;
  const bool was_cut_short =
      tally.stop.load(std::memory_order_relaxed) != 0 && !is_endless;  // all have ended
  const bool has_lost = !options.no_wait && dropped(tally) > 0;
  return was_cut_short || has_lost ? kExitFailed : kExitDone;
}

}  // namespace

void add_replay(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ReplayOptions>();
  CLI::App* const command = app.add_subcommand(
      "replay",
      "Play recorded exchanges into a ring as a gateway would: raw bodies, raw streams, status, "
      "times\n"
      "that end now. Waits when the ring is full, so that nothing is shed or dropped. The ring "
      "lives\n"
      "on when this command has ended: the engine drains it, now or when it starts.");
  command
      ->add_option("FILE", options->files, "JSON Lines of exchanges, plain or .gz; taken in order")
      ->required()
      ->check(CLI::ExistingFile);
  CLI::Option* const config = command
                                  ->add_option("--config", options->config_file,
                                               "The engine's config; names the ring directory")
                                  ->check(CLI::ExistingFile);
  command
      ->add_option("--ring-dir", options->ring_dir,
                   "Ring directory; else $SIDECAST_RING_DIR, else /dev/shm/sidecast")
      ->excludes(config);
  command
      ->add_option("--ring-bytes", options->ring_bytes,
                   "Size of each process's ring, e.g. 32MiB; 0 = default")
      ->transform(CLI::AsSizeValue(false));
  CLI::Option* const rate =
      command
          ->add_option("--rate", options->rate,
                       "Records per second, all processes together; else as fast as it goes")
          ->check(CLI::PositiveNumber);
  CLI::Option* const arrivals = command
                                    ->add_option("--arrivals", options->arrivals_file,
                                                 "CSV (.gz) with a column arrival_ms: write at "
                                                 "those times; exchanges are taken in turn")
                                    ->check(CLI::ExistingFile)
                                    ->excludes(rate);
  command->add_option("--speed", options->speed, "Divide arrival times by this")
      ->check(CLI::PositiveNumber)
      ->needs(arrivals);
  command->add_option("--duration", options->duration_s, "Stop after so many seconds")
      ->check(CLI::PositiveNumber);
  command->add_option("--repeat", options->repeat, "Play all exchanges so often; 0 = until stopped")
      ->capture_default_str()
      ->excludes(arrivals);
  command->add_option("--limit", options->limit, "Use only the first N exchanges")
      ->check(CLI::PositiveNumber);
  command->add_option("--threads", options->threads, "Writing threads per process")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  command
      ->add_option("--processes", options->processes,
                   "Gateway processes, each with a ring of its own")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  command
      ->add_option("--account", options->accounts,
                   "Account of the records; several are spread by session")
      ->allow_extra_args(false);
  command
      ->add_option("--api-key", options->api_keys,
                   "API key name of the records; several are spread by session")
      ->allow_extra_args(false);
  command
      ->add_option("--id-prefix", options->id_prefix,
                   "Begins every generation id; make it differ between runs whose ids must differ")
      ->capture_default_str();
  command->add_flag("--with-trace", options->with_trace,
                    "Give each record a trace object: its session as trace id, and names");
  command->add_flag("--no-wait", options->no_wait,
                    "Never wait: let the ring shed and drop, and count it");
  command
      ->add_option("--stall-timeout", options->stall_timeout_s,
                   "Give up when a full ring is not read for so many seconds")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--drain-timeout", options->drain_timeout_s,
                   "At the end wait up to so many seconds until the engine has read everything")
      ->check(CLI::PositiveNumber);
  command->add_option("--ids", options->ids_file,
                      "Append each generation id, one a line, after its write returned");
  command->add_flag("--progress", options->progress, "One line a second on stderr");
  command->add_flag("--json", options->json, "The summary as JSON");
  command->callback([options, &exit_code] { exit_code = run_replay(*options); });
}

}  // namespace sidecast
