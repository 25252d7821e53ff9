#include "exporters/http/loop.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include <concurrentqueue/concurrentqueue.h>
#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>

#include "engine/base/assert.h"
#include "exporters/http/timers.h"
#include "exporters/http/transfer.h"
#include "exporters/transport/channel.h"

namespace sidecast {
namespace {

constexpr std::size_t kIdleTransfersMax = 32;  // easy handles kept, about 6 KB each
constexpr std::size_t kTasksPerPass = 1024;    // so that a busy mailbox cannot starve the sockets
constexpr std::chrono::milliseconds kPollMax{3'600'000};

// libcurl's own set-up is not thread-safe before it has happened once.
void set_up_curl() {
  static std::once_flag once;
  std::call_once(once, [] { SIDECAST_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
}

// OpenSSL writes with write(2): a peer that is gone raises SIGPIPE, which would end the process.
// While this lives the thread does not get it, nor does what was raised meanwhile come later.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutSigpipe() {
    if (sigismember(&before_, SIGPIPE) == 1) return;
    const timespec no_wait{};
    while (sigtimedwait(&pipe_, nullptr, &no_wait) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t before_{};
};

}  // namespace

struct HttpLoop::Impl {
  explicit Impl(Settings settings);
  ~Impl();

  void run();
  void wake();
  bool run_posted();  // true when the mailbox was not emptied
  void send(Request request, const TransferOptions& options, Completion completion);
  void finish_transfers();
  void keep(std::unique_ptr<Transfer> transfer);
  void bound_connections();
  [[nodiscard]] int poll_ms() const;

  const Settings settings;
  CURLM* multi = nullptr;

  // Written by any thread. The mailbox holds what callers have handed over and still own the budget
  // of (batches, answers to them), so it has no bound of its own.
  moodycamel::ConcurrentQueue<Task> mailbox;
  std::atomic<bool> wake_pending{false};
  std::atomic<bool> stopping{false};

  // Of the loop's thread.
  Timers timers;
  std::unordered_map<CURL*, std::unique_ptr<Transfer>> open;
  std::vector<std::unique_ptr<Transfer>> idle;
  std::map<Transport, std::unique_ptr<Channel>> channels;  // made when first needed
};

HttpLoop::Impl::Impl(Settings given) : settings(std::move(given)) {
  set_up_curl();
  multi = curl_multi_init();
  if (multi == nullptr) throw std::bad_alloc();
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
  curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                    static_cast<long>(settings.connections_max));
  bound_connections();
}

HttpLoop::Impl::~Impl() {
  channels.clear();            // they post to the mailbox
  const WithoutSigpipe guard;  // closing a TLS connection writes to it
  for (const auto& [easy, transfer] : open) curl_multi_remove_handle(multi, easy);
  open.clear();
  idle.clear();
  curl_multi_cleanup(multi);
}

// libcurl's bound counts connections in use as well, and would close each one on its return while
// many are; so it moves with the transfers.
void HttpLoop::Impl::bound_connections() {
  const std::size_t bound =
      std::min(settings.connections_max, open.size() + settings.idle_connections_max);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS,
                    static_cast<long>(std::max<std::size_t>(bound, 1)));
}

void HttpLoop::Impl::wake() {
  // acq_rel: pairs with the exchange in run_posted(). A loop that takes the flag down sees every
  // task that was queued before it was put up, by this caller or the ones that found it up.
  if (!wake_pending.exchange(true, std::memory_order_acq_rel)) curl_multi_wakeup(multi);
}

bool HttpLoop::Impl::run_posted() {
  // acq_rel: pairs with the exchange in wake().
  if (!wake_pending.exchange(false, std::memory_order_acq_rel)) return false;
  Task task;
  for (std::size_t count = 0; count < kTasksPerPass; ++count) {
    if (!mailbox.try_dequeue(task)) return false;
    task();
    task = nullptr;  // let go of what it owns before the next wait
  }
  wake_pending.store(true, std::memory_order_release);  // this thread reads it next
  return true;
}

int HttpLoop::Impl::poll_ms() const {
  const auto due = timers.next_due();
  if (!due) return static_cast<int>(kPollMax.count());
  // Rounded up: waking a moment early would spin until the timer is due.
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*due - monotonic_now());
  return static_cast<int>(std::clamp(left, std::chrono::milliseconds(0), kPollMax).count());
}

void HttpLoop::Impl::run() {
  const WithoutSigpipe guard;
  // acquire: pairs with the release in stop(), so that what its caller did before is seen after
  // run().
  while (!stopping.load(std::memory_order_acquire)) {
    const bool has_more = run_posted();
    timers.run_due(monotonic_now());
    int running = 0;
    SIDECAST_ASSERT(curl_multi_perform(multi, &running) == CURLM_OK);
    finish_transfers();
    if (stopping.load(std::memory_order_acquire)) break;
    // Handles that completions added count as due at once, so this returns for them.
    SIDECAST_ASSERT(curl_multi_poll(multi, nullptr, 0, has_more ? 0 : poll_ms(), nullptr) ==
                    CURLM_OK);
  }
  for (const auto& [easy, transfer] : open) curl_multi_remove_handle(multi, easy);
  open.clear();
  bound_connections();
}

void HttpLoop::Impl::send(Request request, const TransferOptions& options, Completion completion) {
  std::unique_ptr<Transfer> transfer;
  if (idle.empty()) {
    transfer = std::make_unique<Transfer>();
  } else {
    transfer = std::move(idle.back());
    idle.pop_back();
  }
  Status prepared =
      transfer->prepare(std::move(request), options, settings.user_agent, std::move(completion));
  if (!prepared) {
    Response response;
    response.failure = transfer->is_address_refused() ? Response::Failure::kRefusedAddress
                                                      : Response::Failure::kOther;
    response.failure_text = prepared.error().message();
    timers.add(monotonic_now(), [done = transfer->take_completion(), response]() mutable {
      done(std::move(response), {});
    });
    keep(std::move(transfer));
    return;
  }
  CURL* const easy = transfer->easy();
  open.emplace(easy, std::move(transfer));
  bound_connections();
  SIDECAST_ASSERT(curl_multi_add_handle(multi, easy) == CURLM_OK);
}

void HttpLoop::Impl::keep(std::unique_ptr<Transfer> transfer) {
  transfer->clear();
  if (idle.size() < kIdleTransfersMax) idle.push_back(std::move(transfer));
}

void HttpLoop::Impl::finish_transfers() {
  // Collected first: completions start new transfers, which must not meet a half-read list.
  std::vector<std::pair<CURL*, CURLcode>> finished;
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg == CURLMSG_DONE)
      finished.emplace_back(message->easy_handle, message->data.result);
  }
  for (const auto& [easy, result] : finished) {
    auto node = open.extract(easy);
    std::unique_ptr<Transfer> transfer = std::move(node.mapped());
    Response response = transfer->finish(result);
    const TransferTimes times = transfer->times();
    const Completion done = transfer->take_completion();
    curl_multi_remove_handle(multi, easy);
    keep(std::move(transfer));
    bound_connections();
    done(std::move(response), times);
  }
}

HttpLoop::HttpLoop(Settings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
HttpLoop::~HttpLoop() = default;

void HttpLoop::run() {
  impl_->run();
}

void HttpLoop::stop() {
  // release: pairs with the acquire in run().
  impl_->stopping.store(true, std::memory_order_release);
  curl_multi_wakeup(impl_->multi);
}

void HttpLoop::post(Task task) {
  if (!impl_->mailbox.enqueue(std::move(task))) throw std::bad_alloc();
  impl_->wake();
}

void HttpLoop::send(Request request, const TransferOptions& options, Completion completion) {
  if (request.transport != Transport::kHttp) {
    auto& channel = impl_->channels[request.transport];
    if (channel == nullptr) channel = make_channel(request.transport, *this);
    channel->send(std::move(request), options, std::move(completion));
    return;
  }
  impl_->send(std::move(request), options, std::move(completion));
}

HttpLoop::TimerId HttpLoop::after(std::chrono::milliseconds delay, Task task) {
  return impl_->timers.add(monotonic_now() + delay, std::move(task));
}

void HttpLoop::cancel(TimerId timer) {
  impl_->timers.cancel(timer);
}

std::size_t HttpLoop::open_transfers() const noexcept {
  return impl_->open.size();
}

}  // namespace sidecast
