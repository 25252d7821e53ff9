// What does a write cost a gateway, against a memcpy of the same bytes into a mapping of the same
// size? Prints the whole table; `run` beside this file builds and runs it.
//
// Floor and write alternate in one loop, and a ratio is the median over repetitions, so that what
// else the machine does meets both alike. Every operation is timed alone; see timing.h for when one
// begins and ends.
#include <cstdio>
#include <exception>

#include "bench/shm/table.h"

int main() {
  using namespace sidecast::shm;
  try {
    measure_single_writer();
    measure_many_writers();
    print_heading("Rejected, 2 KB");
    measure_shared_ring();
    measure_chasing_reader();
    measure_string_queue();
    measure_boost_queue();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "shm_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
