// The program as users run it: exit codes, help, and what comes out of a whole run.
#include <cstdlib>
#include <fstream>
#include <memory>
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
#include "tests/unit/tools/program.h"
#include "tests/unit/tools/scratch.h"

namespace sidecast {
namespace {

TEST(Command, HelpAndVersionAreSuccess) {
  for (const char* command : {"convert", "replay", "ring", "sink", "stats", "traces"}) {
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
  EXPECT_EQ(run({"ring"}).exit_code, 2);
  EXPECT_EQ(run({"ring", "dump"}).exit_code, 2);
  EXPECT_EQ(run({"ring", "ls", "--ring-dir", "a", "--config", SIDECAST_PROGRAM}).exit_code, 2);
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

class RingCommandTest : public testing::Test {
 protected:
  // Three records in one lane: one thread always takes the same.
  RingCommandTest() {
    std::string error;
    directory_ = shm::RingDirectory::open(rings_, error);
    const Ended ended =
        run({"replay", "--ring-dir", rings_, "--ring-bytes", "1MiB", "--account", "acme",
             scratch_.put("e.jsonl", R"({"id":"first","request":{"q":"a secret question"}})"
                                     "\n"
                                     R"({"id":"second","response_sse":"data: a secret answer\n\n"})"
                                     "\n"
                                     R"({"id":"third","request":{}})"
                                     "\n")});
    EXPECT_EQ(ended.exit_code, 0) << ended.out;
  }
  [[nodiscard]] nlohmann::json list() const {
    const Ended ended = run({"ring", "ls", "--ring-dir", rings_, "--json"});
    EXPECT_EQ(ended.exit_code, 0) << ended.out;
    return nlohmann::json::parse(ended.out);
  }
  [[nodiscard]] Ended dump(std::vector<std::string> more) const {
    more.insert(more.begin(), {"ring", "dump", "--ring-dir", rings_});
    return run(std::move(more));
  }

  const Scratch scratch_;
  const std::string rings_ = scratch_.file("rings");
  std::unique_ptr<shm::RingDirectory> directory_;
};

TEST_F(RingCommandTest, ListsWhoseRingItIsHowFullAndWhatWasSetAside) {
  static_cast<void>(scratch_.put("rings/foreign.ring", "no ring"));
  const auto listed = list();
  ASSERT_EQ(listed["rings"].size(), 1U);
  const auto& ring = listed["rings"][0];
  EXPECT_EQ(ring["state"], "dead") << "its writer has ended and no engine has taken it";
  EXPECT_GT(ring["pid"], 0);
  EXPECT_GT(ring["lanes"], 0);
  EXPECT_EQ(ring["written"], 3);
  EXPECT_EQ(ring["shed"], 0);
  EXPECT_EQ(ring["dropped"], nlohmann::json::parse(R"({"full":0,"busy":0,"too_large":0})"));
  EXPECT_GT(ring["used_bytes"], 0);
  EXPECT_GT(ring["fill"], 0);
  ASSERT_EQ(listed["set_aside"].size(), 1U);
  EXPECT_EQ(listed["set_aside"][0]["file"], "foreign.ring");
  EXPECT_NE(listed["set_aside"][0]["reason"], "");

  const Ended table = run({"ring", "ls", "--ring-dir", rings_});
  EXPECT_EQ(table.exit_code, 0);
  EXPECT_NE(table.out.find(ring["file"].get<std::string>()), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("set aside foreign.ring: "), std::string::npos) << table.out;

  ASSERT_TRUE(directory_->discover().at(0)->try_retire());
  EXPECT_EQ(list()["rings"][0]["state"], "retired");
}

TEST_F(RingCommandTest, DumpsOneRecordWithoutContentAndMovesNothing) {
  const std::string name = list()["rings"][0]["file"];
  const Ended first = dump({name.substr(0, 8), "--json"});
  ASSERT_EQ(first.exit_code, 0) << first.out;
  EXPECT_EQ(first.out.find("secret"), std::string::npos) << first.out;
  const auto record = nlohmann::json::parse(first.out);
  EXPECT_EQ(record["ring"], name);
  EXPECT_EQ(record["kind"], "generation");
  EXPECT_EQ(record["generation_id"], "gen-first-0");
  EXPECT_EQ(record["account"], "acme");
  EXPECT_EQ(record["request"]["redacted_bytes"], record["request_bytes"]);

  const auto second = nlohmann::json::parse(
      dump({name, "--record", "1", "--lane", record["lane"].dump(), "--json", "--show-content"})
          .out);
  EXPECT_EQ(second["generation_id"], "gen-second-1");
  EXPECT_EQ(second["response"], "data: a secret answer\n\n");

  const Ended lines = dump({name});
  EXPECT_EQ(lines.exit_code, 0);
  EXPECT_NE(lines.out.find("first"), std::string::npos) << lines.out;
  EXPECT_EQ(lines.out.find("secret"), std::string::npos) << lines.out;
  EXPECT_NE(dump({name, "--show-content"}).out.find("a secret question"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(dump({name, "--json"}).out), record) << "no cursor has moved";
}

TEST_F(RingCommandTest, WhatIsNotThereIsAnErrorThatSaysSo) {
  const std::string name = list()["rings"][0]["file"];
  const Ended beyond = dump({name, "--record", "3"});
  EXPECT_EQ(beyond.exit_code, 1);
  EXPECT_NE(beyond.out.find("holds 3 unread records"), std::string::npos) << beyond.out;
  EXPECT_EQ(dump({name, "--lane", "99"}).exit_code, 1);
  EXPECT_EQ(dump({"nonsense"}).exit_code, 1);
  EXPECT_EQ(run({"ring", "ls", "--ring-dir", scratch_.file("nowhere")}).exit_code, 1);
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
