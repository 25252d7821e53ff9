// A loop on its own thread, and a way to send and wait from the test's thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "exporters/http/loop.h"
#include "tests/support/http_server.h"

namespace sidecast::test {

inline constexpr std::chrono::seconds kWatchdog{60};

struct Answer {
  Response response;
  TransferTimes times;
};

class LoopTest : public ::testing::Test {
 protected:
  explicit LoopTest(HttpLoop::Settings settings = {.user_agent = "test/1"}) : loop_(settings) {
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~LoopTest() override { stop(); }

  void stop() {
    loop_.stop();
    if (thread_.joinable()) thread_.join();
  }

  // Waits until `is_done`, which is asked under the lock, or fails by the watchdog.
  void wait(const std::function<bool()>& is_done) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, kWatchdog, is_done)) << "watchdog";
  }
  void with_lock(const std::function<void()>& change) {
    const std::scoped_lock lock(mutex_);
    change();
    changed_.notify_all();
  }

  // Runs on the loop's thread and waits for its end.
  void on_loop(const std::function<void()>& task) {
    bool is_done = false;
    loop_.post([&] {
      task();
      with_lock([&] { is_done = true; });
    });
    wait([&] { return is_done; });
  }

  // Sends all at once; answers come in the order of the requests.
  std::vector<Answer> send_all(std::vector<Request> requests, const TransferOptions& options = {}) {
    std::vector<Answer> answers(requests.size());
    std::size_t done = 0;
    on_loop([&] {
      for (std::size_t i = 0; i < requests.size(); ++i) {
        loop_.send(std::move(requests[i]), options,
                   [&, i](Response response, const TransferTimes& times) {
                     with_lock([&] {
                       answers[i] = {std::move(response), times};
                       ++done;
                     });
                   });
      }
    });
    wait([&] { return done == answers.size(); });
    return answers;
  }

  Answer send(Request request, const TransferOptions& options = {}) {
    std::vector<Request> requests;
    requests.push_back(std::move(request));
    return std::move(send_all(std::move(requests), options).front());
  }

  static Request post_to(const std::string& url, std::vector<Bytes> body = {}) {
    Request request;
    request.url = url;
    request.headers = {{"content-type", "application/x-protobuf"}};
    request.body = std::move(body);
    return request;
  }

  HttpLoop loop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace sidecast::test
