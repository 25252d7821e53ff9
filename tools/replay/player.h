// Plays exchanges into a ring through the public C ABI, as a gateway would: from several threads,
// raw bodies, times that end now. One Player per process.
//
// The writes of a run are numbered from 0; number n plays exchange n modulo their count, at the
// time the pace says, in thread n modulo the run's threads. The generation id is a function of
// exchange and number, so two runs with equal arguments write equal ids.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "tools/replay/exchanges.h"
#include "tools/replay/pace.h"

namespace sidecast::replay {

// What all processes of a run share. Lives in memory mapped shared before the fork; counts are
// relaxed, since they are only ever summed up.
struct Tally {
  std::atomic<std::uint64_t> written{0};  // includes shed
  std::atomic<std::uint64_t> shed{0};
  std::atomic<std::uint64_t> dropped_full{0};
  std::atomic<std::uint64_t> dropped_busy{0};
  std::atomic<std::uint64_t> dropped_too_large{0};
  std::atomic<std::uint64_t> disabled{0};
  std::atomic<std::uint64_t> bytes{0};  // of bodies written
  std::atomic<std::uint64_t> waits{0};  // times a thread slept because the ring was full
  std::atomic<std::uint32_t> stop{0};   // set by anybody: end early
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "Tally is shared between processes");

struct PlayerOptions {
  std::string ring_dir;  // empty = the writer's default
  std::uint64_t ring_bytes = 0;
  std::vector<std::string> accounts;       // sessions are spread over them; empty = none
  std::vector<std::string> api_key_names;  // likewise
  std::string id_prefix = "gen";
  bool with_trace = false;  // give each record a `trace` object named after its session
  bool wait_when_full = true;
  std::chrono::seconds stall_max{60};   // a full ring that nobody reads for so long is an error
  std::optional<Nanoseconds> duration;  // of the run, from its start
  std::uint32_t threads = 1;            // of this process
  std::uint64_t write_count = 0;        // of the whole run; kEndless = until stopped
  int ids_fd = -1;  // each id is appended here, one a line, after its write returned
};

// Which threads of the run are this process's: [first_thread, first_thread + options.threads) of
// thread_count.
struct Share {
  std::uint64_t first_thread = 0;
  std::uint64_t thread_count = 1;
};

class Player {
 public:
  // All must outlive the player.
  Player(const Exchanges& exchanges, const Pace& pace, const PlayerOptions& options, Tally& tally)
      : exchanges_(exchanges), pace_(pace), options_(options), tally_(tally) {}

  // Opens this process's ring, writes the share, and closes. `drain_max`: then wait so long until
  // the engine has read all. An Error when there is no ring, the ring stalls or is not drained.
  [[nodiscard]] Status play(Share share, Instant started,
                            std::optional<std::chrono::seconds> drain_max);

 private:
  const Exchanges& exchanges_;
  const Pace& pace_;
  const PlayerOptions& options_;
  Tally& tally_;
};

// The id of write `number`, e.g. "gen-0003cbe60d30-000-17".
[[nodiscard]] std::string generation_id(std::string_view prefix, const Exchange& exchange,
                                        std::uint64_t number);

// How long the call took: as recorded, else guessed from its output.
[[nodiscard]] Nanoseconds duration_of(const Exchange& exchange);

}  // namespace sidecast::replay
