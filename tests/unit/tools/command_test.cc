// The program as users run it: exit codes, help, and what comes out of a whole run.
#include <array>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/reader.h"
#include "shm/record.h"
#include "tests/unit/tools/scratch.h"

namespace sidecast {
namespace {

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

Ended run(std::vector<std::string> arguments) {
  return Program(std::move(arguments)).wait();
}

TEST(Command, HelpAndVersionAreSuccess) {
  for (const char* command : {"replay", "sink", "stats", "traces"}) {
    const Ended help = run({command, "--help"});
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_NE(help.out.find("Usage:"), std::string::npos) << help.out;
  }
  const Ended help = run({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.out.find("Exit codes: 0 done"), std::string::npos);
  EXPECT_NE(help.out.find("sink"), std::string::npos);
  const Ended version = run({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out.substr(0, 9), "sidecast ");
}

TEST(Command, WrongUsageIsExitCodeTwo) {
  EXPECT_EQ(run({}).exit_code, 2);
  EXPECT_EQ(run({"nonsense"}).exit_code, 2);
  EXPECT_EQ(run({"sink", "--nonsense"}).exit_code, 2);
  EXPECT_EQ(run({"sink", "--listen", "nowhere"}).exit_code, 2);
  EXPECT_EQ(run({"sink", "--listen", "127.0.0.1:99999"}).exit_code, 2);
  EXPECT_EQ(run({"traces", "/no/such/file"}).exit_code, 2);
  EXPECT_EQ(run({"replay"}).exit_code, 2);
  EXPECT_EQ(run({"replay", "/no/such/file"}).exit_code, 2);
  EXPECT_EQ(run({"replay", SIDECAST_PROGRAM, "--speed", "2"}).exit_code, 2) << "needs --arrivals";
  EXPECT_EQ(run({"replay", SIDECAST_PROGRAM, "--threads", "0"}).exit_code, 2);
  EXPECT_EQ(run({"stats", "--config", "/no/such/file"}).exit_code, 2);
  EXPECT_EQ(run({"stats", "--watch", "often"}).exit_code, 2);
  const Ended ended = run({"sink", "--misbehave", "status=9"});
  EXPECT_EQ(ended.exit_code, 2);
  EXPECT_EQ(ended.out,
            "sidecast: sink: --misbehave: 'status=9': a status is a number from 200 to 599\n");
}

TEST(Command, WhatCannotBeDoneIsExitCodeOne) {
  EXPECT_EQ(run({"sink", "--listen", "127.0.0.1:0", "--out", "/no/such/directory/file"}).exit_code,
            1);
  EXPECT_EQ(run({"sink", "--listen", "203.0.113.1:0"}).exit_code, 1);
}

TEST(Command, SinkSaysWhereItListensAndEndsWithASummary) {
  Program sink({"sink", "--listen", "127.0.0.1:0", "--json", "--quiet"});
  const std::string first = sink.read_line();
  EXPECT_EQ(first.substr(0, 23), "listening on 127.0.0.1:") << first;
  EXPECT_GT(std::stoi(first.substr(23)), 0);
  sink.terminate();
  const Ended ended = sink.wait();
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(nlohmann::json::parse(ended.out)["spans"], 0);
}

TEST(Command, WhereNoEngineEverRanStatsSaysSo) {
  const Scratch scratch;
  const Ended ended = run({"stats", "--ring-dir", scratch.file("rings")});
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_NE(ended.out.find(scratch.file("rings")), std::string::npos) << ended.out;
}

TEST(Command, ReplayWithoutARingDirectoryFails) {
  const Scratch scratch;
  const Ended ended = run({"replay", "--ring-dir", scratch.file("rings"), "--account", "acme",
                           scratch.put("e.jsonl", R"({"id":"a","request":{}})")});
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_EQ(ended.out.find("sidecast: replay: open a ring in " + scratch.file("rings")), 0U)
      << ended.out;
}

TEST(Command, ReplayOfManyProcessesWritesEachIdOnce) {
  const Scratch scratch;
  std::string error;
  const auto directory = shm::RingDirectory::open(scratch.file("rings"), error);
  ASSERT_NE(directory, nullptr) << error;
  const std::string exchanges =
      scratch.put_gzip("e.jsonl.gz", R"({"id":"a","request":{"q":1}})"
                                     "\n"
                                     R"({"id":"b","response_sse":"data: x\n\n"})"
                                     "\n");
  const Ended ended = run({"replay", "--ring-dir", scratch.file("rings"), "--processes", "2",
                           "--threads", "2", "--repeat", "25", "--ring-bytes", "1MiB", "--ids",
                           scratch.file("ids"), "--json", exchanges});
  ASSERT_EQ(ended.exit_code, 0) << ended.out;
  const auto summary = nlohmann::json::parse(ended.out);
  EXPECT_EQ(summary["written"], 50);
  EXPECT_EQ(summary["shed"], 0);
  EXPECT_EQ(summary["dropped"],
            nlohmann::json::parse(R"({"full":0,"busy":0,"too_large":0,"disabled":0})"));

  std::multiset<std::string> logged;
  std::ifstream stream(scratch.file("ids"));
  for (std::string line; std::getline(stream, line);) logged.insert(line);
  std::multiset<std::string> read;
  const auto rings = directory->discover();
  EXPECT_EQ(rings.size(), 2U);
  std::string bytes;
  shm::RecordView view;
  for (const auto& ring : rings) {
    for (std::uint32_t lane = 0; lane < ring->info().lanes; ++lane) {
      shm::LaneCursor cursor = ring->released(lane);
      while (ring->peek(lane, cursor, bytes) == shm::PeekStatus::kRecord) {
        ASSERT_EQ(shm::parse_record(bytes, view), shm::RecordError::kNone);
        read.emplace(view.generation_id);
      }
    }
  }
  EXPECT_EQ(read, logged);
  EXPECT_EQ(std::set<std::string>(read.begin(), read.end()).size(), 50U);
}

class TracesTest : public testing::Test {
 protected:
  TracesTest() {
    std::ofstream(path_)
        << R"({"traceId":"t1","spanId":"root","parentSpanId":"","name":"agent","startTimeUnixNano":1000000000,"endTimeUnixNano":3000000000,"status":{},"attributes":{}})"
           "\n"
           R"({"traceId":"t1","spanId":"child","parentSpanId":"root","name":"chat","startTimeUnixNano":1000000000,"endTimeUnixNano":2500000000,"status":{"code":2},"attributes":{"llm.model_name":"m-1","llm.token_count.prompt":1200,"llm.token_count.completion":34,"llm.cost.total":0.5,"input.value":"secret question"}})"
           "\n"
           R"({"traceId":"t1","spanId":"child","parentSpanId":"root","name":"chat","startTimeUnixNano":1000000000,"endTimeUnixNano":2500000000,"status":{"code":2},"attributes":{"llm.token_count.prompt":1200}})"
           "\n"
           R"({"traceId":"torn)";
  }

  const Scratch scratch_;
  const std::string path_ = scratch_.file("spans.jsonl");
};

TEST_F(TracesTest, ShowsATreeWithNumbersAndNoContent) {
  const Ended ended = run({"traces", path_});
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(ended.out,
            "2 spans in 1 trace, 1,200 -> 34 tokens, $0.5000, 1 failed, 1 sent again\n"
            "\n"
            "trace t1\n"
            "  └─ agent  2.0 s\n"
            "     └─ chat  m-1  1,200 -> 34 tokens  $0.500000  1.5 s  failed\n");
}

TEST_F(TracesTest, LongTracesAreCutAndShownLast) {
  std::ofstream lines(path_);
  for (int i = 0; i < 100; ++i) {
    lines << R"({"traceId":"long","spanId":")" << i << R"(","parentSpanId":"","name":"n"})"
          << "\n";
  }
  lines << R"({"traceId":"short","spanId":"a","parentSpanId":"","name":"n"})"
        << "\n"
        << std::flush;
  const std::string out = run({"traces", path_}).out;
  EXPECT_LT(out.find("trace short"), out.find("trace long"));
  EXPECT_NE(out.find("  … 88 spans more\n"), std::string::npos) << out;
}

TEST_F(TracesTest, ShowsContentOnlyWhenAskedTo) {
  EXPECT_NE(run({"traces", path_, "--show-content"}).out.find("secret question"),
            std::string::npos);
}

TEST_F(TracesTest, JsonHasTheTotals) {
  const auto totals = nlohmann::json::parse(run({"traces", path_, "--json"}).out);
  EXPECT_EQ(totals["spans"], 2);
  EXPECT_EQ(totals["repeats"], 1);
  EXPECT_EQ(totals["traces"], 1);
  EXPECT_EQ(totals["input_tokens"], 1200);
  EXPECT_EQ(totals["cost_usd"], 0.5);
}

TEST_F(TracesTest, HostileLinesAreAnErrorWithTheirNumber) {
  std::ofstream(path_) << "{}\nnonsense\n";
  const Ended ended = run({"traces", path_});
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_NE(ended.out.find("spans.jsonl:2: is not a line of a sink"), std::string::npos)
      << ended.out;
}

}  // namespace
}  // namespace sidecast
