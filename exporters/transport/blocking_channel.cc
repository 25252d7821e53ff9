#include "exporters/transport/blocking_channel.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <signal.h>

namespace sidecast {
namespace {

constexpr std::chrono::seconds kIdleMax{10};
// For what is under way when the channel goes; enough for any disk that works.
constexpr std::chrono::seconds kFarewell{2};

}  // namespace

struct BlockingChannel::Home {
  std::mutex mutex;
  HttpLoop* loop = nullptr;  // null once the channel is gone
};

struct BlockingChannel::Place {
  struct Job {
    Request request;
    std::chrono::milliseconds timeout;
    HttpLoop::Completion completion;
  };

  std::shared_ptr<Home> home;
  std::unique_ptr<BlockingSink> sink;  // of its thread
  std::atomic<bool> stopping{false};
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Job> jobs;
  bool is_running = false;

  void answer(Job job, Response response, std::chrono::microseconds took) {
    TransferTimes times;
    times.total = took;
    const std::lock_guard lock(home->mutex);
    if (home->loop == nullptr) return;
    // The request goes home as well: what it keeps alive is let go on the loop's thread.
    auto shared = std::make_shared<Job>(std::move(job));
    home->loop->post([shared, response = std::move(response), times]() mutable {
      const HttpLoop::Completion done = std::move(shared->completion);
      shared.reset();
      done(std::move(response), times);
    });
  }
};

BlockingChannel::BlockingChannel(HttpLoop& loop, MakeSink make_sink)
    : home_(std::make_shared<Home>()), make_sink_(make_sink) {
  home_->loop = &loop;
}

BlockingChannel::~BlockingChannel() {
  {
    const std::lock_guard lock(home_->mutex);
    home_->loop = nullptr;
  }
  for (const auto& [url, place] : places_) {
    // relaxed: a hint to come to an end; what is shared is under the mutex.
    place->stopping.store(true, std::memory_order_relaxed);
    const std::lock_guard lock(place->mutex);
    place->jobs.clear();
    place->changed.notify_all();
  }
  const auto until = std::chrono::steady_clock::now() + kFarewell;
  for (const auto& [url, place] : places_) {
    std::unique_lock lock(place->mutex);
    place->changed.wait_until(lock, until, [&place = place] { return !place->is_running; });
  }
}

void BlockingChannel::send(Request request, const TransferOptions& options,
                           HttpLoop::Completion completion) {
  auto& place = places_[request.url];
  if (place == nullptr) {
    place = std::make_shared<Place>();
    place->home = home_;
    place->sink = make_sink_(request.url);
  }
  const std::lock_guard lock(place->mutex);
  place->jobs.push_back({std::move(request), options.timeout, std::move(completion)});
  if (place->is_running) {
    place->changed.notify_all();
    return;
  }
  place->is_running = true;
  // Signals are the main thread's; one for a closed pipe or a file-size limit is an error to us.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread(&BlockingChannel::run, place).detach();
  } catch (const std::system_error&) {  // a limit of the system's: another time
    place->is_running = false;
    Response response;
    response.failure = Response::Failure::kOther;
    response.failure_text = "the system gives no thread to write with";
    place->answer(std::move(place->jobs.back()), std::move(response), {});
    place->jobs.pop_back();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void BlockingChannel::run(const std::shared_ptr<Place>& place) {
  std::unique_lock lock(place->mutex);
  while (true) {
    const auto has_work = [&place] {
      return !place->jobs.empty() || place->stopping.load(std::memory_order_relaxed);
    };
    const bool is_awake = place->changed.wait_for(lock, kIdleMax, has_work);
    if (!is_awake || place->jobs.empty()) break;
    Place::Job job = std::move(place->jobs.front());
    place->jobs.pop_front();
    lock.unlock();
    const auto began = std::chrono::steady_clock::now();
    Response response = place->sink->write(job.request, job.timeout, place->stopping);
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - began);
    place->answer(std::move(job), std::move(response), took);
    lock.lock();
  }
  place->sink->rest();
  place->is_running = false;
  place->changed.notify_all();
}

}  // namespace sidecast
