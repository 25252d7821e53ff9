// A write on an open ring makes no system call and no allocation. A program of its own: it replaces
// the allocator's functions and locks itself into a seccomp filter.
#include <cstddef>
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/shm/ring_fixture.h"

namespace {

// Counts every allocation of this program: the linker sends each object's malloc here (--wrap), the
// language sends operator new.
std::size_t allocations = 0;

}  // namespace

extern "C" {
void* __real_malloc(std::size_t size);
void* __real_calloc(std::size_t count, std::size_t size);
void* __real_realloc(void* memory, std::size_t size);
void* __wrap_malloc(std::size_t size) {
  ++allocations;
  return __real_malloc(size);
}
void* __wrap_calloc(std::size_t count, std::size_t size) {
  ++allocations;
  return __real_calloc(count, size);
}
void* __wrap_realloc(void* memory, std::size_t size) {
  ++allocations;
  return __real_realloc(memory, size);
}
}

void* operator new(std::size_t size) {
  ++allocations;
  void* const memory = __real_malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace sidecast::shm {
namespace {

// One of every kind of write: whole, span, shed, dropped, too large, invalid.
bool writes_of_every_kind(sidecast_writer* writer, const SampleGeneration& sample,
                          const SampleGeneration& too_large, const sidecast_span& span) {
  bool was_seen[8] = {};
  for (int i = 0; i < 5000; ++i) was_seen[sidecast_write_generation(writer, &sample.c)] = true;
  was_seen[sidecast_write_generation(writer, &too_large.c)] = true;
  sidecast_generation invalid = {};
  invalid.struct_size = sizeof invalid;
  was_seen[sidecast_write_generation(writer, &invalid)] = true;
  static_cast<void>(sidecast_write_span(writer, &span));
  sidecast_counters counters = {};
  counters.struct_size = sizeof counters;
  static_cast<void>(sidecast_stats(writer, &counters));
  return was_seen[SIDECAST_OK] && was_seen[SIDECAST_SHED] && was_seen[SIDECAST_DROPPED_FULL] &&
         was_seen[SIDECAST_DROPPED_TOO_LARGE] && was_seen[SIDECAST_INVALID] &&
         counters.has_ring == 1;
}

struct Kinds {
  const std::string body = std::string(3000, 'b');
  const std::string huge = std::string(4 << 20, 'n');
  SampleGeneration sample{"g", body, body};
  SampleGeneration too_large{huge};
  sidecast_span span = {};
  Kinds() {
    span.struct_size = sizeof span;
    span.start_ns = span.end_ns = 1;
  }
};

TEST(WriterCost, NoAllocationOnAnOpenRing) {
  const ScratchDirectory scratch;
  const WriterHandle writer(scratch.path());
  const Kinds kinds;
  const std::size_t before = allocations;
  EXPECT_TRUE(writes_of_every_kind(writer.get(), kinds.sample, kinds.too_large, kinds.span));
  EXPECT_EQ(allocations, before);
  EXPECT_GT(before, 0u);  // the counting works
}

// The process is killed at the first system call but the one that ends it.
bool forbid_system_calls() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  const sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

template <typename Body>
int status_under_filter(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    // The sanitizers' and the filter's own calls come before; from here on there are ours alone.
    if (!forbid_system_calls()) _exit(99);
    const bool is_right = body();
    syscall(SYS_exit, is_right ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST(WriterCost, NoSystemCallOnAnOpenRing) {
  const ScratchDirectory scratch;
  const Kinds kinds;
  // The ring is the child's own: a forked child may not write into its parent's.
  const pid_t child = fork();
  if (child == 0) {
    const WriterHandle writer(scratch.path());
    if (!forbid_system_calls()) _exit(99);
    const bool is_right =
        writes_of_every_kind(writer.get(), kinds.sample, kinds.too_large, kinds.span);
    syscall(SYS_exit, is_right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  // The filter bites: the same program with one harmless call is killed.
  const int bitten = status_under_filter([] { return getppid() != 0; });
  EXPECT_TRUE(WIFSIGNALED(bitten));
}

TEST(WriterCost, ADisabledWriterMakesNoSystemCallEither) {
  const pid_t child = fork();
  if (child == 0) {
    const WriterHandle writer("/nowhere/at/all");
    const SampleGeneration sample("g");
    if (!forbid_system_calls()) _exit(99);
    bool is_right = true;
    for (int i = 0; i < 1000; ++i) is_right = is_right && writer.write(sample) == SIDECAST_DISABLED;
    syscall(SYS_exit, is_right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace sidecast::shm
