// sidecast sink: a local OTLP receiver, to see and to test what is sent.
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <signal.h>

#include "engine/base/clock.h"
#include "engine/base/json_writer.h"
#include "tools/receiver/receiver.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

constexpr auto kMisbehaveHelp =
    "Faults on request: RULE[,RULE...], a RULE is ACTION[:MODIFIER...]; the first that applies\n"
    "decides. Actions: status=CODE, partial=N (reject the last N spans), reset (before an "
    "answer),\n"
    "lose-answer (store, then reset), delay=200ms (then go on with the next rule). Modifiers:\n"
    "count=N, after=N, p=0.1, path=PREFIX, larger-than=512KiB, containing=TEXT,\n"
    "retry-after=SECONDS, retry-after-date=SECONDS. Example: status=503:retry-after=2:count=5";

struct SinkOptions {
  std::string listen = "127.0.0.1:4318";
  std::string out_file;
  std::vector<std::string> misbehave;
  std::uint64_t seed = 1;
  std::uint64_t body_bytes_max = 64U << 20U;  // what the protocol recommends to servers
  std::uint32_t threads = 2;
  std::string tls_certificate_file;
  std::string tls_key_file;
  bool quiet = false;
  bool json = false;
};

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};

std::optional<HostPort> parse_host_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const std::string port(text.substr(colon + 1));
  if (port.empty() || port.size() > 5 ||
      port.find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  const unsigned long number = std::stoul(port);
  if (number > std::numeric_limits<std::uint16_t>::max()) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return HostPort{std::string(host), static_cast<std::uint16_t>(number)};
}

// SIGINT and SIGTERM, blocked in every thread and taken one at a time here.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  // True when one came within the second.
  [[nodiscard]] bool wait_one_second() const {
    const timespec second{1, 0};
    return sigtimedwait(&signals_, nullptr, &second) > 0;
  }

 private:
  sigset_t signals_{};
};

void print_summary(const receiver::IntakeCounts& counts, double seconds, bool as_json) {
  if (!as_json) {
    fmt::print(
        "received {} in {} ({} on the wire, {} decoded), {} refused, {} met a fault on request, in "
        "{}\n",
        human_count(counts.spans, "span"), human_count(counts.requests, "request"),
        human_bytes(counts.bytes_received), human_bytes(counts.bytes_decoded),
        human_count(counts.refused), human_count(counts.misbehaved), human_seconds(seconds));
    return;
  }
  ByteBuffer buffer;
  JsonWriter json(buffer);
  json.begin_object();
  json.key("spans").unsigned_integer(counts.spans);
  json.key("requests").unsigned_integer(counts.requests);
  json.key("refused").unsigned_integer(counts.refused);
  json.key("misbehaved").unsigned_integer(counts.misbehaved);
  json.key("bytes_received").unsigned_integer(counts.bytes_received);
  json.key("bytes_decoded").unsigned_integer(counts.bytes_decoded);
  json.key("seconds").number(seconds);
  json.end_object();
  fmt::print("{}\n", buffer.view());
}

// One line a second while something arrives.
void print_progress(const receiver::IntakeCounts& before, const receiver::IntakeCounts& now) {
  if (now.requests == before.requests) return;
  fmt::print(stderr, "{} spans (+{}), {} requests, {} refused\n", human_count(now.spans),
             human_count(now.spans - before.spans), human_count(now.requests),
             human_count(now.refused));
}

int run_sink(const SinkOptions& options) {
  const auto fail_with = [](int code, const std::string& message) {
    print_error("sink: " + message);
    return code;
  };
  const std::optional<HostPort> where = parse_host_port(options.listen);
  if (!where) {
    return fail_with(kExitUsage,
                     "--listen " + options.listen + ": give HOST:PORT, e.g. 127.0.0.1:4318");
  }
  std::vector<receiver::Rule> rules;
  for (const std::string& spec : options.misbehave) {
    auto parsed = receiver::parse_misbehaviour(spec);
    if (!parsed) return fail_with(kExitUsage, "--misbehave: " + parsed.error().message());
    rules.insert(rules.end(), parsed->begin(), parsed->end());
  }
  std::unique_ptr<receiver::SpanFile> out;
  if (!options.out_file.empty()) {
    auto opened = receiver::SpanFile::open(options.out_file);
    if (!opened) return fail_with(kExitFailed, opened.error().message());
    out = *std::move(opened);
  }

  const StopSignals stop;
  receiver::Intake intake(options.body_bytes_max, std::move(rules), options.seed, out.get());
  const Instant started = monotonic_now();
  auto receiver = receiver::Receiver::start({.host = where->host,
                                             .port = where->port,
                                             .threads = options.threads,
                                             .tls_certificate_file = options.tls_certificate_file,
                                             .tls_key_file = options.tls_key_file},
                                            intake);
  if (!receiver) return fail_with(kExitFailed, receiver.error().message());
  fmt::print("listening on {}\n", (*receiver)->address());
  std::fflush(stdout);

  receiver::IntakeCounts before;
  while (!stop.wait_one_second()) {
    const receiver::IntakeCounts now = intake.counts();
    if (!options.quiet) print_progress(before, now);
    before = now;
  }
  (*receiver)->stop();
  const std::chrono::duration<double> lasted = monotonic_now() - started;
  print_summary(intake.counts(), lasted.count(), options.json);
  return kExitDone;
}

}  // namespace

void add_sink(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SinkOptions>();
  CLI::App* const command = app.add_subcommand(
      "sink",
      "Receive OTLP traces over HTTP (protobuf or JSON; plain, gzip or zstd) at any path, check "
      "them\n"
      "strictly and write one span a line. The first line on stdout says 'listening on "
      "HOST:PORT';\n"
      "SIGTERM or SIGINT ends it with a summary. Lines hold the request's headers, keys included.");
  command->add_option("--listen", options->listen, "HOST:PORT; port 0 = any free one")
      ->capture_default_str();
  command->add_option("--out", options->out_file,
                      "Append JSON Lines to this file; without it spans are only counted");
  command->add_option("--misbehave", options->misbehave, kMisbehaveHelp)->allow_extra_args(false);
  command->add_option("--seed", options->seed, "Seed of the dice of 'p='")->capture_default_str();
  command
      ->add_option("--body-limit", options->body_bytes_max,
                   "Largest body, encoded or decoded; more is a 413")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "Threads that decode")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  CLI::Option* const certificate = command
                                       ->add_option("--tls-cert", options->tls_certificate_file,
                                                    "PEM certificate chain; serves HTTPS")
                                       ->check(CLI::ExistingFile);
  CLI::Option* const key =
      command->add_option("--tls-key", options->tls_key_file, "PEM private key")
          ->check(CLI::ExistingFile);
  certificate->needs(key);
  key->needs(certificate);
  command->add_flag("--quiet", options->quiet, "No progress on stderr");
  command->add_flag("--json", options->json, "The summary at the end as JSON");
  command->callback([options, &exit_code] { exit_code = run_sink(*options); });
}

}  // namespace sidecast
