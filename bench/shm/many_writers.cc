// Many threads on one ring, and two gateways on a ring each, every writer with pauses as a gateway
// has them: how long does the slowest write in a thousand take, and how often is every lane held?
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "bench/shm/table.h"
#include "bench/shm/workload.h"

namespace sidecast::shm {
namespace {

constexpr std::size_t kBytes = 2048;

// Of each of `threads` writers: `count` writes, `pause_ns` apart.
Samples write_from_threads(const WriterHandle& writer, std::size_t threads, std::size_t count,
                           double pause_ns) {
  std::vector<Samples> samples;
  for (std::size_t i = 0; i < threads; ++i) samples.emplace_back(count);
  std::vector<std::thread> writers;
  for (std::size_t i = 0; i < threads; ++i) {
    writers.emplace_back([&, i] {
      Workload workload(kBytes);
      for (std::size_t n = 0; n < count; ++n) {
        samples[i].time([&] {
          workload.sample.c.end_ns = now_ns();
          static_cast<void>(writer.write(workload.sample));  // counted by the writer
        });
        spin_ns(pause_ns);
      }
    });
  }
  for (std::thread& thread : writers) thread.join();
  Samples all(count * threads);
  for (const Samples& some : samples) all.append(some);
  return all;
}

struct Run {
  Quantiles taken;
  sidecast_counters counters = {};
};

Run run_threads(std::size_t threads, std::size_t count, double pause_ns) {
  const ScratchDirectory scratch;
  const WriterHandle writer(scratch.path(), 64u << 20, 0);
  const auto directory = open_directory(scratch.path());
  const auto ring = open_only_ring(*directory);
  std::atomic<bool> is_over{false};
  std::thread engine([&] {
    while (!is_over.load(std::memory_order_relaxed)) {
      drain_all(*ring);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  Samples samples = write_from_threads(writer, threads, count, pause_ns);
  is_over.store(true, std::memory_order_relaxed);
  engine.join();
  return {samples.quantiles(), writer.counters()};
}

// A gateway of its own, with a ring that nobody need drain; its quantiles come back by a pipe.
Quantiles run_processes(std::size_t processes) {
  constexpr std::uint64_t kRingBytes = 128u << 20;
  const std::size_t count = scaled(10'000);
  static_cast<void>(tick_scale());  // measured before there is company
  const ScratchDirectory scratch;
  int results[2];
  if (pipe(results) != 0) throw std::runtime_error("pipe");
  std::vector<pid_t> children;
  for (std::size_t i = 0; i < processes; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const WriterHandle writer(scratch.path(), kRingBytes, 0);
      const Quantiles taken = write_from_threads(writer, 1, count, 2000).quantiles();
      const bool is_sent = write(results[1], &taken, sizeof taken) == sizeof taken;
      _exit(is_sent && writer.counters().written == count ? 0 : 1);
    }
    children.push_back(child);
  }
  bool is_sound = true;
  for (const pid_t child : children) {
    int status = 0;
    is_sound &= child > 0 && waitpid(child, &status, 0) == child && status == 0;
  }
  close(results[1]);
  std::vector<Quantiles> all(processes);
  for (Quantiles& one : all) is_sound &= read(results[0], &one, sizeof one) == sizeof one;
  close(results[0]);
  if (!is_sound) throw std::runtime_error("a writing process failed");
  return median_of(all);
}

}  // namespace

void measure_many_writers() {
  print_heading("Many writers, 2 KB, clock included");
  // One write in fifty of a thread's time, as in a busy gateway: with all threads runnable all the
  // time, those that wait for a core hold a lane that often.
  constexpr double kPauseNs = 16'000;
  print_row("1 thread", 0, run_threads(1, scaled(25'000), kPauseNs).taken, 0);
  const Run eight = run_threads(8, scaled(250'000), kPauseNs);
  print_row("8 threads", 0, eight.taken, 0, {"p99.9 <= 3000 ns", eight.taken.p999_ns, 3000});
  const double calls = static_cast<double>(eight.counters.written + eight.counters.dropped_busy +
                                           eight.counters.dropped_full);
  print_row(
      "8 threads, by lanes held", 0, eight.taken, 0,
      {"busy per 10^6 <= 1", static_cast<double>(eight.counters.dropped_busy) / calls * 1e6, 1});
  std::printf("  %.0f writes: %llu busy, %llu shed, %llu full\n", calls,
              static_cast<unsigned long long>(eight.counters.dropped_busy),
              static_cast<unsigned long long>(eight.counters.shed),
              static_cast<unsigned long long>(eight.counters.dropped_full));
  std::vector<Quantiles> ones;
  std::vector<Quantiles> twos;
  std::vector<double> ratios;
  for (int repetition = 0; repetition < 5; ++repetition) {
    ones.push_back(run_processes(1));
    twos.push_back(run_processes(2));
    ratios.push_back(twos.back().p50_ns / ones.back().p50_ns);
  }
  print_row("1 process", 0, median_of(ones), 0);
  print_row("2 processes, a ring each", 0, median_of(twos), median(ratios),
            {"p50 <= 1.2 x one", median(ratios), 1.2});
}

}  // namespace sidecast::shm
