// The table of speeds: one line per promise, printed as it is measured.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/shm/timing.h"

namespace sidecast::shm {

// As a test every benchmark runs, briefly, so that none rots.
inline bool is_smoke() {
  static const bool is = std::getenv("SIDECAST_BENCH_SMOKE") != nullptr;
  return is;
}
inline std::size_t scaled(std::size_t count) {
  return is_smoke() ? std::max<std::size_t>(count / 500, 20) : count;
}

// What is promised of a row; `value` is what the promise is about, in the words of `goal`.
struct Promise {
  std::string goal;  // "" for rows that are there for comparison
  double value = 0;
  double value_max = 0;
};

inline void print_heading(const char* title) {
  std::printf("\n%-50s %9s %9s %9s %9s %7s  %s\n", title, "floor", "p50 ns", "p99 ns", "p99.9 ns",
              "ratio", "goal");
}

// `floor_ns`, `ratio`: 0 where there is none.
inline void print_row(const std::string& name, double floor_ns, const Quantiles& taken,
                      double ratio, const Promise& promise = {}) {
  const auto number = [](double value, const char* format) {
    char text[32] = "-";
    if (value > 0) std::snprintf(text, sizeof text, format, value);
    return std::string(text);
  };
  std::printf("%-50s %9s %9.1f %9.1f %9.1f %7s", name.c_str(), number(floor_ns, "%.1f").c_str(),
              taken.p50_ns, taken.p99_ns, taken.p999_ns, number(ratio, "%.2f").c_str());
  if (!promise.goal.empty()) {
    std::printf("  %s: %.3g, %s", promise.goal.c_str(), promise.value,
                promise.value <= promise.value_max ? "met" : "missed");
  }
  std::printf("\n");
  std::fflush(stdout);
}

inline Quantiles median_of(const std::vector<Quantiles>& all) {
  const auto of = [&](double Quantiles::*member) {
    std::vector<double> values;
    for (const Quantiles& one : all) values.push_back(one.*member);
    return median(std::move(values));
  };
  return {of(&Quantiles::p50_ns), of(&Quantiles::p99_ns), of(&Quantiles::p999_ns)};
}

// The rows, a file for each group.
void measure_single_writer();  // against the floor, warm and cold, with an engine draining, full
void measure_many_writers();   // threads and processes
// Rejected: each must stay dearer or worse, else the choice is to be looked at again.
void measure_shared_ring();
void measure_chasing_reader();
void measure_string_queue();
void measure_boost_queue();

}  // namespace sidecast::shm
