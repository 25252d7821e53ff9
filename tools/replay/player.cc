#include "tools/replay/player.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "engine/base/json_writer.h"
#include "shm/include/sidecast.h"

namespace sidecast::replay {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;  // see Tally
constexpr Nanoseconds kStopCheckInterval = std::chrono::milliseconds(50);
constexpr Nanoseconds kRetryDelayMin = std::chrono::microseconds(100);
constexpr Nanoseconds kRetryDelayMax = std::chrono::milliseconds(5);
constexpr std::size_t kStreamSliceBytes = 4096;  // a stream reaches a gateway in pieces

struct CloseWriter {
  void operator()(sidecast_writer* writer) const noexcept { sidecast_close(writer); }
};
using Writer = std::unique_ptr<sidecast_writer, CloseWriter>;

sidecast_text to_text(std::string_view text) {
  return {text.data(), text.size()};
}

sidecast_counters counters_of(sidecast_writer* writer) {
  sidecast_counters counters{};
  counters.struct_size = sizeof counters;
  sidecast_stats(writer, &counters);
  return counters;
}

void slice_body(std::string_view body, std::size_t slice_bytes,
                std::vector<sidecast_slice>& slices) {
  slices.clear();
  while (!body.empty()) {
    const std::string_view slice = body.substr(0, slice_bytes);
    slices.push_back({slice.data(), slice.size()});
    body.remove_prefix(slice.size());
  }
}

// One of `choices` for the session, always the same one.
std::string_view pick(const std::vector<std::string>& choices, std::string_view session) {
  if (choices.empty()) return {};
  return choices[std::hash<std::string_view>{}(session) % choices.size()];
}

Status append_line(int fd, std::string line) {
  line += '\n';
  // O_APPEND and one write(2): lines of many threads and processes never mix, and a kill right
  // afterwards loses nothing.
  ssize_t count = -1;
  do {
    count = ::write(fd, line.data(), line.size());
  } while (count < 0 && errno == EINTR);
  if (count == static_cast<ssize_t>(line.size())) return {};
  return fail("append to the id log: " + (count < 0 ? std::generic_category().message(errno)
                                                    : std::string("only a part was written")));
}

// One thread's way through its share.
class Thread {
 public:
  Thread(const Exchanges& exchanges, const Pace& pace, const PlayerOptions& options, Tally& tally,
         sidecast_writer* writer, Instant started)
      : exchanges_(exchanges),
        pace_(pace),
        options_(options),
        tally_(tally),
        writer_(writer),
        started_(started) {}

  Status play(std::uint64_t first, std::uint64_t step) {
    const std::uint64_t count = std::min(options_.write_count, pace_.count());
    for (std::uint64_t number = first; number < count; number += step) {
      if (!wait_until_due(number)) break;
      if (Status written = write(number); !written) return written;
    }
    return {};
  }

 private:
  [[nodiscard]] bool must_stop() const {
    if (tally_.stop.load(kRelaxed) != 0) return true;
    return options_.duration && monotonic_now() - started_ >= *options_.duration;
  }

  // False when the run ends first.
  [[nodiscard]] bool wait_until_due(std::uint64_t number) const {
    const std::optional<Nanoseconds> due = pace_.due(number);
    while (!must_stop()) {
      if (!due) return true;
      const Nanoseconds left = *due - (monotonic_now() - started_);
      if (left.count() <= 0) return true;
      std::this_thread::sleep_for(std::min(left, kStopCheckInterval));
    }
    return false;
  }

  Status write(std::uint64_t number) {
    const Exchange& exchange = exchanges_[number % exchanges_.size()];
    const std::string id = generation_id(options_.id_prefix, exchange, number);
    const sidecast_generation generation = describe(exchange, id);
    Result<sidecast_status> status = write_or_wait(generation);
    if (!status) return fail(std::move(status.error()));
    count(*status, exchange);
    const bool is_written = *status == SIDECAST_OK || *status == SIDECAST_SHED;
    if (is_written && options_.ids_fd >= 0) return append_line(options_.ids_fd, id);
    return {};
  }

  // The views in it live until the next call.
  sidecast_generation describe(const Exchange& exchange, std::string_view id) {
    slice_body(exchange.request, exchange.request.size(), request_slices_);
    slice_body(exchange.response, exchange.is_stream ? kStreamSliceBytes : exchange.response.size(),
               response_slices_);
    sidecast_generation generation{};
    generation.struct_size = sizeof generation;
    generation.flags = options_.wait_when_full ? std::uint32_t{SIDECAST_WRITE_ALL_OR_NOTHING} : 0;
    generation.http_status = exchange.http_status;
    generation.generation_id = to_text(id);
    generation.session_id = to_text(exchange.session);
    generation.account = to_text(pick(options_.accounts, exchange.session));
    generation.api_key_name = to_text(pick(options_.api_key_names, exchange.session));
    if (options_.with_trace) generation.trace_json = to_text(trace_of(exchange));
    generation.operation = to_text(exchange.operation);
    generation.provider = to_text(exchange.provider);
    generation.model_requested = to_text(exchange.model);
    generation.endpoint = to_text(exchange.url_path);
    generation.request = {request_slices_.data(), request_slices_.size()};
    generation.response = {response_slices_.data(), response_slices_.size()};
    const Nanoseconds duration = duration_of(exchange);
    generation.end_ns = unix_ns(wall_now());
    generation.start_ns = generation.end_ns - duration.count();
    // Nobody recorded first tokens: a fifth of the way is as good as any.
    if (exchange.is_stream) generation.first_token_ns = generation.start_ns + duration.count() / 5;
    return generation;
  }

  // As a client that cares for its traces sends it along.
  std::string_view trace_of(const Exchange& exchange) {
    trace_.clear();
    JsonWriter json(trace_);
    json.begin_object();
    if (!exchange.session.empty()) json.key("trace_id").string(exchange.session);
    json.key("trace_name").string(fmt::format("{} session", exchange.provider));
    json.key("generation_name").string(fmt::format("{} {}", exchange.operation, exchange.model));
    json.end_object();
    return trace_.view();
  }

  // Writes once, or until there is room. A record that no empty ring could hold whole is shed.
  Result<sidecast_status> write_or_wait(sidecast_generation generation) {
    Nanoseconds delay = kRetryDelayMin;
    Instant progress = monotonic_now();
    std::uint64_t seen_used_bytes = 0;
    std::uint64_t seen_written = 0;
    for (;;) {
      const sidecast_status status = sidecast_write_generation(writer_, &generation);
      if (!options_.wait_when_full || status == SIDECAST_OK || status == SIDECAST_SHED)
        return status;
      if (status == SIDECAST_INVALID || status == SIDECAST_SWITCHED_OFF) return status;
      if (status == SIDECAST_DROPPED_TOO_LARGE) {
        if (generation.flags == 0) return status;
        generation.flags = 0;
        continue;
      }
      const sidecast_counters counters = counters_of(writer_);
      if (status == SIDECAST_DISABLED) sidecast_refresh(writer_);
      if (counters.used_bytes < seen_used_bytes || counters.written != seen_written)
        progress = monotonic_now();
      seen_used_bytes = counters.used_bytes;
      seen_written = counters.written;
      if (tally_.stop.load(kRelaxed) != 0) return status;
      if (monotonic_now() - progress >= options_.stall_max) return stalled(status, counters);
      tally_.waits.fetch_add(1, kRelaxed);
      std::this_thread::sleep_for(delay);
      delay = std::min(delay * 2, kRetryDelayMax);
    }
  }

  [[nodiscard]] tl::unexpected<Error> stalled(sidecast_status status,
                                              const sidecast_counters& counters) const {
    if (status == SIDECAST_DISABLED)
      return fail(fmt::format("the writer has no ring: {}", counters.reason));
    return fail(fmt::format(
        "the ring is full and nothing was read from it for {} s; is sidecastd running on this ring "
        "directory?",
        options_.stall_max.count()));
  }

  void count(sidecast_status status, const Exchange& exchange) {
    switch (status) {
      case SIDECAST_OK:
        tally_.bytes.fetch_add(exchange.request.size() + exchange.response.size(), kRelaxed);
        tally_.written.fetch_add(1, kRelaxed);
        break;
      case SIDECAST_SHED:
        tally_.shed.fetch_add(1, kRelaxed);
        tally_.written.fetch_add(1, kRelaxed);
        break;
      case SIDECAST_DROPPED_FULL:
        tally_.dropped_full.fetch_add(1, kRelaxed);
        break;
      case SIDECAST_DROPPED_BUSY:
        tally_.dropped_busy.fetch_add(1, kRelaxed);
        break;
      case SIDECAST_DROPPED_TOO_LARGE:
        tally_.dropped_too_large.fetch_add(1, kRelaxed);
        break;
      case SIDECAST_DISABLED:
      case SIDECAST_INVALID:
      case SIDECAST_SWITCHED_OFF:
        tally_.disabled.fetch_add(1, kRelaxed);
        break;
    }
  }

  const Exchanges& exchanges_;
  const Pace& pace_;
  const PlayerOptions& options_;
  Tally& tally_;
  sidecast_writer* const writer_;
  const Instant started_;

  // Reused from write to write.
  std::vector<sidecast_slice> request_slices_;
  std::vector<sidecast_slice> response_slices_;
  ByteBuffer trace_;
};

Result<Writer> open_ring(const PlayerOptions& options) {
  sidecast_options open{};
  open.struct_size = sizeof open;
  open.ring_dir = options.ring_dir.empty() ? nullptr : options.ring_dir.c_str();
  open.process = "sidecast replay";
  open.ring_bytes = options.ring_bytes;
  sidecast_writer* opened = nullptr;
  const sidecast_status status = sidecast_open(&open, &opened);
  Writer writer(opened);
  if (status == SIDECAST_OK) return writer;
  const std::string where =
      options.ring_dir.empty() ? "the default ring directory" : options.ring_dir;
  if (writer == nullptr) return fail("open a ring in " + where + ": the options are wrong");
  return fail(fmt::format("open a ring in {}: {}; sidecastd makes the directory when it starts",
                          where, counters_of(writer.get()).reason));
}

Status wait_until_drained(sidecast_writer* writer, std::chrono::seconds drain_max,
                          const Tally& tally) {
  const Instant until = monotonic_now() + drain_max;
  std::uint64_t left = counters_of(writer).used_bytes;
  while (left > 0 && monotonic_now() < until && tally.stop.load(kRelaxed) == 0) {
    std::this_thread::sleep_for(kRetryDelayMax);
    left = counters_of(writer).used_bytes;
  }
  if (left == 0) return {};
  return fail(
      fmt::format("{} bytes of the ring are still unread after {} s", left, drain_max.count()));
}

}  // namespace

Status Player::play(Share share, Instant started, std::optional<std::chrono::seconds> drain_max) {
  Result<Writer> writer = open_ring(options_);
  if (!writer) return fail(std::move(writer.error()));

  std::mutex mutex;
  Status outcome;  // the first failure; under mutex
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < options_.threads; ++i) {
    threads.emplace_back([&, i] {
      Thread thread(exchanges_, pace_, options_, tally_, writer->get(), started);
      Status ended = thread.play(share.first_thread + i, share.thread_count);
      if (ended) return;
      tally_.stop.store(1, kRelaxed);  // one failure ends the whole run
      const std::lock_guard lock(mutex);
      if (outcome) outcome = std::move(ended);
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (outcome && drain_max) outcome = wait_until_drained(writer->get(), *drain_max, tally_);
  return outcome;
}

std::string generation_id(std::string_view prefix, const Exchange& exchange, std::uint64_t number) {
  return fmt::format("{}-{}-{}", prefix, exchange.id, number);
}

Nanoseconds duration_of(const Exchange& exchange) {
  if (exchange.duration_ms > 0)
    return Nanoseconds(static_cast<std::int64_t>(exchange.duration_ms * 1e6));
  constexpr std::int64_t kBytesPerToken = 6;  // of a JSON response, roughly
  const std::int64_t tokens =
      exchange.output_tokens > 0
          ? exchange.output_tokens
          : std::min<std::int64_t>(
                2000, static_cast<std::int64_t>(exchange.response.size()) / kBytesPerToken);
  return std::chrono::milliseconds(200) + std::chrono::milliseconds(15) * tokens;
}

}  // namespace sidecast::replay
