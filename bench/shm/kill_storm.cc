// What a kill -9 of a writer leaves behind: the same storm on our ring and on
// boost::interprocess::message_queue, whose mutex in shared memory dies locked with its holder.
//
//   kill_storm [KILLS]    for each, how many of the kills left something that nobody can use
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include <boost/interprocess/ipc/message_queue.hpp>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/include/sidecast.h"
#include "shm/reader.h"

namespace {

namespace ipc = boost::interprocess;
using namespace std::chrono_literals;

constexpr std::size_t kBodyBytes = 2048;
constexpr auto kPatience = 3s;  // for what takes milliseconds when nothing is locked

// What is stormed. Each function runs in a process of its own; the object is the parent's.
class Subject {
 public:
  Subject() = default;
  virtual ~Subject() = default;
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  [[noreturn]] virtual void write_until_killed() = 0;
  // Comes back if all that was published can be read, and another writer's record after it.
  virtual void read_and_write_once() = 0;
};

class MessageQueue : public Subject {
 public:
  MessageQueue() : queue_(ipc::create_only, name_.c_str(), 4096, kBodyBytes) {}
  ~MessageQueue() override { ipc::message_queue::remove(name_.c_str()); }

  [[noreturn]] void write_until_killed() override {
    for (;;) {
      if (!queue_.try_send(body_.data(), body_.size(), 0)) read_all();
    }
  }
  void read_and_write_once() override {
    read_all();
    queue_.send(body_.data(), body_.size(), 0);
    read_all();
  }

 private:
  void read_all() {
    std::string taken(kBodyBytes, '\0');
    ipc::message_queue::size_type size = 0;
    unsigned priority = 0;
    while (queue_.try_receive(taken.data(), taken.size(), size, priority)) {
    }
  }

  std::string name_ = fmt::format("sidecast-kill-storm-{}", getpid());
  std::string body_ = std::string(kBodyBytes, 'b');
  ipc::message_queue queue_;
};

class OurRing : public Subject {
 public:
  explicit OurRing(std::string folder) : folder_(std::move(folder)) {}
  ~OurRing() override {
    const auto directory = open_directory();
    for (const auto& ring : directory->discover()) {
      if (ring->try_retire()) ring->remove();
    }
  }

  [[noreturn]] void write_until_killed() override {
    sidecast_writer* const writer = open_writer();
    for (;;) {
      if (!write_one(writer)) read_all();
    }
  }
  void read_and_write_once() override {
    read_all();
    sidecast_writer* const writer = open_writer();
    while (!write_one(writer) || read_all() == 0) {
    }
  }

 private:
  [[nodiscard]] std::unique_ptr<sidecast::shm::RingDirectory> open_directory() const {
    std::string error;
    auto directory = sidecast::shm::RingDirectory::open(folder_, error);
    if (directory == nullptr) std::abort();
    return directory;
  }
  [[nodiscard]] sidecast_writer* open_writer() const {
    sidecast_options options = {};
    options.struct_size = sizeof options;
    options.ring_dir = folder_.c_str();
    options.ring_bytes = 256U << 10U;
    sidecast_writer* writer = nullptr;
    if (sidecast_open(&options, &writer) != SIDECAST_OK) std::abort();
    return writer;
  }
  [[nodiscard]] bool write_one(sidecast_writer* writer) const {
    const sidecast_slice slice = {body_.data(), body_.size()};
    sidecast_generation record = {};
    record.struct_size = sizeof record;
    record.start_ns = 1;
    record.end_ns = 2;
    record.request = {&slice, 1};
    return sidecast_write_generation(writer, &record) == SIDECAST_OK;
  }
  // Records read; their room goes back.
  std::size_t read_all() const {
    std::size_t records = 0;
    std::string bytes;
    for (const auto& ring : open_directory()->discover()) {
      for (std::uint32_t lane = 0; lane < ring->info().lanes; ++lane) {
        sidecast::shm::LaneCursor cursor = ring->released(lane);
        while (ring->peek(lane, cursor, bytes) == sidecast::shm::PeekStatus::kRecord) ++records;
        ring->release(lane, cursor);
      }
    }
    return records;
  }

  std::string folder_;
  std::string body_ = std::string(kBodyBytes, 'b');
};

template <typename Work>
pid_t run_apart(Work work) {
  const pid_t child = fork();
  if (child == 0) {
    work();
    _exit(0);
  }
  return child;
}

void end(pid_t child) {
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

bool ends_by_itself(pid_t child) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (waitpid(child, nullptr, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      end(child);
      return false;
    }
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// How many of `kills` left the subject locked up.
int storm(int kills, const std::function<std::unique_ptr<Subject>()>& make) {
  std::mt19937_64 random(7);
  int locked_up = 0;
  for (int i = 0; i < kills; ++i) {
    const std::unique_ptr<Subject> subject = make();
    const pid_t writer = run_apart([&] { subject->write_until_killed(); });
    std::this_thread::sleep_for(std::chrono::microseconds(4000 + random() % 4000));
    end(writer);
    if (!ends_by_itself(run_apart([&] { subject->read_and_write_once(); }))) ++locked_up;
  }
  return locked_up;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_smoke = std::getenv("SIDECAST_BENCH_SMOKE") != nullptr;
  const int kills = argc > 1 ? std::atoi(argv[1]) : is_smoke ? 3 : 100;
  std::string folder = "/dev/shm/sidecast-kill-storm-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return 1;
  const int ring = storm(kills, [&] { return std::make_unique<OurRing>(folder); });
  const int queue = storm(kills, [] { return std::make_unique<MessageQueue>(); });
  fmt::print("{} writers of 2 KiB records killed amid their work, locked up after it:\n", kills);
  fmt::print("  {:<36}{:>4}\n  {:<36}{:>4}\n", "sidecast ring", ring,
             "boost::interprocess::message_queue", queue);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return ring == 0 ? 0 : 1;
}
