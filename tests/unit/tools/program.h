// Runs the real `sidecast` (SIDECAST_PROGRAM) and reads what it prints.
#pragma once

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sidecast {

struct Ended {
  int exit_code = -1;  // -1: by a signal
  std::string out;     // stdout and stderr
};

// A running program whose output is read through one pipe.
class Program {
 public:
  explicit Program(std::vector<std::string> arguments) {
    std::array<int, 2> pipe_ends{};
    EXPECT_EQ(pipe(pipe_ends.data()), 0);
    arguments.insert(arguments.begin(), SIDECAST_PROGRAM);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(pipe_ends[1], STDOUT_FILENO);
      dup2(pipe_ends[1], STDERR_FILENO);
      close(pipe_ends[0]);
      close(pipe_ends[1]);
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      execv(SIDECAST_PROGRAM, argv.data());
      _exit(127);
    }
    close(pipe_ends[1]);
    output_ = pipe_ends[0];
  }
  ~Program() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(output_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string read_line() {
    std::string line;
    for (char byte = 0; read(output_, &byte, 1) == 1 && byte != '\n';) line.push_back(byte);
    return line;
  }
  void terminate() const { kill(pid_, SIGTERM); }
  Ended wait() {
    Ended ended;
    std::array<char, 4096> chunk{};
    for (ssize_t count = 0; (count = read(output_, chunk.data(), chunk.size())) > 0;) {
      ended.out.append(chunk.data(), static_cast<std::size_t>(count));
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    if (WIFEXITED(status)) ended.exit_code = WEXITSTATUS(status);
    return ended;
  }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

inline Ended run(std::vector<std::string> arguments) {
  return Program(std::move(arguments)).wait();
}

}  // namespace sidecast
