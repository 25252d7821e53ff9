// sidecast tail: decoded records as they pass through the engine.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/ledger/paths.h"
#include "engine/ledger/snapshot.h"
#include "engine/tail/wish.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/ring_place.h"
#include "tools/sidecast/tail_text.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

struct TailOptions {
  RingPlace place;
  std::string destination;
  std::string account;
  std::string model;
  std::string session;
  bool failed = false;
  bool show_content = false;
  std::uint32_t rate = tail::kRateDefault;
  std::uint64_t count = 0;  // 0 = without end
  double seconds = 0;       // 0 = without end
  bool json = false;
};

volatile std::sig_atomic_t interrupted = 0;

Result<tail::Wish> wish_of(const TailOptions& options) {
  tail::Wish wish;
  wish.rate = options.rate;
  if (options.show_content) wish.flags |= tail::kShowContent;
  if (options.failed) wish.flags |= tail::kFailedOnly;
  const bool fits = tail::set_text(wish.destination, options.destination) &&
                    tail::set_text(wish.account, options.account) &&
                    tail::set_text(wish.model, options.model) &&
                    tail::set_text(wish.session, options.session);
  if (!fits)
    return fail(fmt::format("what is looked for has {} bytes at most", tail::kTextBytesMax - 1));
  return wish;
}

// Empty, or why nothing would ever be shown.
std::string complaint_about_destination(const std::string& ring_dir, const std::string& name) {
  if (name.empty()) return {};
  const Result<StatsSnapshot> stats = read_stats(ring_dir);
  if (!stats) return {};
  std::string names;
  for (const auto& destination : stats->destinations) {
    if (destination.name == name) return {};
    if (names.size() < 300) names += (names.empty() ? "" : ", ") + destination.name;
  }
  return fmt::format("no destination is called {}; there are: {}", printable(name, 80), names);
}

class Output {
 public:
  explicit Output(const TailOptions& options) : options_(options), style_(stdout) {}

  void show(std::string_view packet) {
    if (options_.json) {
      fmt::print("{}\n", packet);
    } else {
      const std::uint64_t missed = tail_missed(packet);
      if (missed > missed_) {
        fmt::print("{}", style_.dim(fmt::format("    ... {} not shown\n",
                                                human_count(missed - missed_, "record"))));
      }
      missed_ = missed;
      fmt::print("{}", tail_lines(packet, style_));
    }
    std::fflush(stdout);
    ++shown_;
  }
  [[nodiscard]] bool is_enough() const {
    return std::ferror(stdout) != 0 || (options_.count > 0 && shown_ >= options_.count);
  }

 private:
  const TailOptions& options_;
  Style style_;
  std::uint64_t shown_ = 0;
  std::uint64_t missed_ = 0;
};

// Until it is enough, the user ends it or the engine does.
int follow(int socket, const TailOptions& options) {
  Output output(options);
  std::vector<char> packet(tail::kPacketBytesMax);
  const Instant end = monotonic_now() + std::chrono::duration_cast<Instant::duration>(
                                            std::chrono::duration<double>(options.seconds));
  while (interrupted == 0 && !output.is_enough()) {
    int wait_ms = -1;
    if (options.seconds > 0) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - monotonic_now());
      if (left.count() <= 0) break;
      wait_ms = static_cast<int>(std::min<std::int64_t>(left.count(), 60'000));
    }
    pollfd ready{.fd = socket, .events = POLLIN, .revents = 0};
    const int events = poll(&ready, 1, wait_ms);
    if (events == 0 || (events < 0 && errno == EINTR)) continue;
    const ssize_t size = recv(socket, packet.data(), packet.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) {
      print_error("tail: the engine has ended, or lets nobody watch any more");
      return kExitFailed;
    }
    output.show({packet.data(), static_cast<std::size_t>(size)});
  }
  return kExitDone;
}

int run_tail(const TailOptions& options) {
  const Result<std::string> ring_dir = find_ring_dir(options.place);
  const auto fail_with = [](int exit_code, const std::string& why) {
    print_error("tail: " + why);
    return exit_code;
  };
  if (!ring_dir) return fail_with(kExitUsage, ring_dir.error().message());
  const Result<tail::Wish> wish = wish_of(options);
  if (!wish) return fail_with(kExitUsage, wish.error().message());
  const std::string complaint = complaint_about_destination(*ring_dir, options.destination);
  if (!complaint.empty()) return fail_with(kExitUsage, complaint);

  const Result<int> socket = tail::connect_to(EnginePaths(*ring_dir).directory);
  if (!socket) {
    return fail_with(kExitFailed, socket.error().message() +
                                      "; start sidecastd, and ask as its user or as root");
  }
  // Not restarted: a signal ends the wait for the next record.
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
  int exit_code = kExitFailed;
  if (send(*socket, &*wish, sizeof *wish, MSG_NOSIGNAL) == sizeof *wish) {
    exit_code = follow(*socket, options);
  } else {
    print_error("tail: the engine hangs up");
  }
  close(*socket);
  return exit_code;
}

}  // namespace

void add_tail(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TailOptions>();
  CLI::App* const command = app.add_subcommand(
      "tail",
      "Show records as they pass through the engine: model, outcome, times, tokens, cost and where "
      "each is\nrouted. Without content unless it is asked for, and never that of a destination in "
      "privacy mode. Nobody\nwaits for who watches: what comes faster than --rate is counted, not "
      "shown.");
  add_ring_place(*command, options->place);
  command->add_option("--destination", options->destination, "Only what is routed to this one");
  command->add_option("--account", options->account, "Only of this account");
  command->add_option("--model", options->model, "Only of models whose name begins so");
  command->add_option("--session", options->session, "Only of this session");
  command->add_flag("--failed", options->failed, "Only what failed");
  command->add_flag("--show-content", options->show_content,
                    "Input, output and error texts as well; at most 256 KiB of a record");
  command->add_option("--rate", options->rate, "At most so many records a second")
      ->capture_default_str()
      ->check(CLI::Range(1U, tail::kRateMax));
  command->add_option("--count", options->count, "End after so many records");
  command->add_option("--seconds", options->seconds, "End after so many seconds")
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", options->json, "One JSON object a line");
  command->callback([options, &exit_code] { exit_code = run_tail(*options); });
}

}  // namespace sidecast
