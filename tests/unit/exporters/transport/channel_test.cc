// Requests that do not travel by HTTP, over the real loop: what blocks holds up nobody else.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exporters/transport/console_sink.h"
#include "exporters/transport/file_sink.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/http/loop_fixture.h"

namespace sidecast::test {
namespace {

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class ChannelTest : public LoopTest {
 protected:
  Request file_request(const std::string& name, Bytes body) const {
    Request request;
    request.transport = Transport::kFile;
    request.url = std::string(kFileScheme) + dir_.file(name);
    if (!body.empty()) request.body = {body};
    return request;
  }
  TempDir dir_;
};

TEST_F(ChannelTest, FilesAreWrittenInTheOrderOfTheRequests) {
  std::vector<Request> requests;
  std::vector<std::string> lines;
  for (int i = 0; i < 200; ++i) lines.push_back(std::to_string(i) + "\n");
  for (const std::string& line : lines) requests.push_back(file_request("a", line));
  for (const Answer& answer : send_all(std::move(requests))) {
    EXPECT_EQ(answer.response.failure, Response::Failure::kNone);
    EXPECT_EQ(answer.response.status, 200);
  }
  std::string expected;
  for (const std::string& line : lines) expected += line;
  EXPECT_EQ(read(dir_.file("a")), expected);
}

TEST_F(ChannelTest, AnEmptyBodyOnlyAsksWhetherItCould) {
  EXPECT_EQ(send(file_request("a", "")).response.status, 200);
  EXPECT_EQ(read(dir_.file("a")), "");
  const Answer answer = send(file_request("no/a", ""));
  EXPECT_EQ(answer.response.status, 404);
  EXPECT_NE(header_value(answer.response, kChannelError), "");
}

TEST_F(ChannelTest, AFileThatHangsHoldsUpNeitherOthersNorTheEnd) {
  { std::ofstream made(dir_.file("held")); }
  const int other = ::open(dir_.file("held").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);  // waited for, in the thread of that file
  bool is_answered = false;
  on_loop([&] {
    loop_.send(file_request("held", "x\n"), {},
               [&](const Response&, const TransferTimes&) { is_answered = true; });
  });
  EXPECT_EQ(send(file_request("free", "y\n")).response.status, 200);
  on_loop([&] { EXPECT_FALSE(is_answered); });
  stop();
  ::close(other);
}

// ---- Streams

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0); }
  ~Pipe() {
    close_reader();
    ::close(ends[1]);
  }
  void close_reader() {
    if (ends[0] >= 0) ::close(ends[0]);
    ends[0] = -1;
  }
  std::string take() const {
    std::string text(1U << 20U, '\0');
    const ssize_t got = ::read(ends[0], text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }
  int ends[2] = {-1, -1};
};

Request lines(Bytes body) {
  Request request;
  request.transport = Transport::kConsole;
  request.url = std::string(kConsoleOutput);
  request.body = {body};
  return request;
}

constexpr std::chrono::milliseconds kShort{200};

TEST(ConsoleSink, WritesWhatItIsGiven) {
  Pipe pipe;
  const auto sink = console_sink_for_test(pipe.ends[1]);
  EXPECT_EQ(sink->write(lines("one\ntwo\n"), kShort, false).status, 200);
  EXPECT_EQ(pipe.take(), "one\ntwo\n");
}

TEST(ConsoleSink, AReaderThatStallsCostsTheTimeoutAndAWholeLineLater) {
  Pipe pipe;
  ASSERT_GT(::fcntl(pipe.ends[1], F_SETPIPE_SZ, 8192), 0);
  const auto sink = console_sink_for_test(pipe.ends[1]);
  const std::string line(10'000, 'x');
  const Response stalled = sink->write(lines(line), kShort, false);
  EXPECT_EQ(stalled.failure, Response::Failure::kTimeout);
  EXPECT_EQ(pipe.take(), line.substr(0, 8192));
  EXPECT_EQ(sink->write(lines("again\n"), kShort, false).status, 200);
  EXPECT_EQ(pipe.take(), "\nagain\n");
  EXPECT_EQ(::fcntl(pipe.ends[1], F_GETFL) & O_NONBLOCK, 0) << "the flags are not ours";
}

TEST(ConsoleSink, ASocketsReaderThatStallsIsTheSame) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const auto sink = console_sink_for_test(ends[1]);
  const std::string much(4U << 20U, 'x');
  EXPECT_EQ(sink->write(lines(much), kShort, false).failure, Response::Failure::kTimeout);
  ::close(ends[0]);
  EXPECT_EQ(sink->write(lines("y\n"), kShort, false).status, 404);
  ::close(ends[1]);
}

TEST(ConsoleSink, AReaderThatIsGoneIsNoSignal) {
  Pipe pipe;
  pipe.close_reader();
  sigset_t signals;
  sigset_t earlier;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &signals, &earlier);  // as BlockingChannel has it for its threads
  const auto sink = console_sink_for_test(pipe.ends[1]);
  EXPECT_EQ(sink->write(lines("x\n"), kShort, false).status, 404);
  const timespec none{};
  ::sigtimedwait(&signals, nullptr, &none);
  pthread_sigmask(SIG_SETMASK, &earlier, nullptr);
}

TEST(ConsoleSink, AStreamThatIsClosedIsSaid) {
  const int closed = ::dup(STDOUT_FILENO);
  ::close(closed);
  const Response answer = console_sink_for_test(closed)->write(lines("x\n"), kShort, false);
  EXPECT_EQ(answer.status, 404);
}

}  // namespace
}  // namespace sidecast::test
