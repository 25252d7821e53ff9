#include "exporters/http/loop.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <concurrentqueue/concurrentqueue.h>
#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "exporters/http/gate.h"
#include "exporters/http/pool.h"
#include "exporters/http/timers.h"
#include "exporters/http/transfer.h"
#include "exporters/transport/channel.h"

namespace sidecast {
namespace {

constexpr std::size_t kIdleTransfersMax = 32;  // easy handles kept, about 6 KB each
constexpr std::size_t kTasksPerPass = 1024;    // so that a busy mailbox cannot starve the sockets
constexpr std::chrono::milliseconds kPollMax{3'600'000};
constexpr std::size_t kEventsPerPass = 256;
// What a trial has for its answer while others wait for theirs, and how often that is looked at.
constexpr std::chrono::seconds kTrialPatience{10};
constexpr std::chrono::seconds kRoomPause{1};
constexpr std::uint32_t kWakeKey = 2;  // beside those of the pools

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

  struct Waiting {
    Request request;
    TransferOptions options;
    Completion completion;
  };
  using Started = Gate<Waiting>::Started;

  void run();
  void wake();
  bool run_posted();  // true when the mailbox was not emptied
  void start_waiting();
  void start(Started next);
  void look_for_room();
  void finish_transfers(Pool& pool);
  void end_transfer(CURL* easy, CURLcode result);
  void cancel_transfers();
  void keep(std::unique_ptr<Transfer> transfer);
  void bound_connections();
  void wait(bool has_more);
  [[nodiscard]] int wait_ms() const;

  struct Open {
    std::unique_ptr<Transfer> transfer;
    Pool* pool;
    Gate<Waiting>::Party* party;
    bool is_proven;
    std::uint32_t failures;
    Instant started;
  };

  const Settings settings;
  const int epoll;
  const int wake_event;

  // Written by any thread. The mailbox holds what callers have handed over and still own the budget
  // of (batches, answers to them), so it has no bound of its own.
  moodycamel::ConcurrentQueue<Task> mailbox;
  std::atomic<bool> wake_pending{false};
  std::atomic<bool> stopping{false};

  // Of the loop's thread.
  Timers timers;
  std::array<std::unique_ptr<Pool>, 2> pools;  // by Egress
  Gate<Waiting> gate;
  std::unordered_map<CURL*, Open> open;
  std::vector<std::unique_ptr<Transfer>> idle;
  std::map<Transport, std::unique_ptr<Channel>> channels;  // made when first needed
  bool is_looking_for_room = false;                        // a timer is set for it
};

HttpLoop::Impl::Impl(Settings given)
    : settings(std::move(given)),
      epoll(::epoll_create1(EPOLL_CLOEXEC)),
      wake_event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      gate(settings.connections_max) {
  set_up_curl();
  SIDECAST_ASSERT(epoll >= 0 && wake_event >= 0);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = std::uint64_t{kWakeKey} << 32U;
  SIDECAST_ASSERT(::epoll_ctl(epoll, EPOLL_CTL_ADD, wake_event, &event) == 0);
  for (std::uint32_t key = 0; key < pools.size(); ++key) {
    pools[key] = std::make_unique<Pool>(epoll, key);
  }
  bound_connections();
}

HttpLoop::Impl::~Impl() {
  channels.clear();            // they post to the mailbox
  const WithoutSigpipe guard;  // closing a TLS connection writes to it
  cancel_transfers();
  idle.clear();
  for (auto& pool : pools) pool.reset();
  ::close(wake_event);
  ::close(epoll);
}

void HttpLoop::Impl::cancel_transfers() {
  gate.clear();
  for (const auto& [easy, each] : open) each.pool->remove(easy);
  open.clear();
}

// libcurl's bound counts connections in use as well, and would close each one on its return while
// many are; so it moves with the transfers.
void HttpLoop::Impl::bound_connections() {
  for (const auto& pool : pools) {
    const std::size_t bound =
        std::min(settings.connections_max, pool->open() + settings.idle_connections_max);
    pool->bound_connections(std::max<std::size_t>(bound, 1));
  }
}

void HttpLoop::Impl::wake() {
  // acq_rel: pairs with the exchange in run_posted(). A loop that takes the flag down sees every
  // task that was queued before it was put up, by this caller or the ones that found it up.
  if (!wake_pending.exchange(true, std::memory_order_acq_rel)) {
    ::eventfd_write(wake_event, 1);
  }
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

int HttpLoop::Impl::wait_ms() const {
  std::optional<Instant> due = timers.next_due();
  for (const auto& pool : pools) {
    if (pool->due() && (!due || *pool->due() < *due)) due = pool->due();
  }
  if (!due) return static_cast<int>(kPollMax.count());
  // Rounded up: waking a moment early would spin until the timer is due.
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*due - monotonic_now());
  return static_cast<int>(std::clamp(left, std::chrono::milliseconds(0), kPollMax).count());
}

void HttpLoop::Impl::wait(bool has_more) {
  std::array<epoll_event, kEventsPerPass> events{};
  const int count =
      ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), has_more ? 0 : wait_ms());
  SIDECAST_ASSERT(count >= 0 || errno == EINTR);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const auto key = static_cast<std::uint32_t>(event.data.u64 >> 32U);
    if (key == kWakeKey) {
      eventfd_t woken = 0;
      ::eventfd_read(wake_event, &woken);
    } else {
      pools.at(key)->on_event(static_cast<int>(event.data.u64 & 0xffffffffU), event.events);
    }
  }
}

void HttpLoop::Impl::run() {
  const WithoutSigpipe guard;
  // acquire: pairs with the release in stop(), so that what its caller did before is seen after
  // run().
  while (!stopping.load(std::memory_order_acquire)) {
    const bool has_more = run_posted();
    const Instant now = monotonic_now();
    timers.run_due(now);
    for (const auto& pool : pools) {
      pool->on_time(now);
      finish_transfers(*pool);
    }
    if (stopping.load(std::memory_order_acquire)) break;
    wait(has_more);  // returns at once for transfers that completions began: they are due
    for (const auto& pool : pools) finish_transfers(*pool);
  }
  cancel_transfers();
  bound_connections();
}

void HttpLoop::Impl::start_waiting() {
  while (auto next = gate.next()) start(*std::move(next));
  if (gate.waiting_trials() == 0 || is_looking_for_room) return;
  is_looking_for_room = true;
  timers.add(monotonic_now() + kRoomPause, [this] {
    is_looking_for_room = false;
    look_for_room();
    start_waiting();
  });
}

// Trials that have been open for long without an answer make room for those that wait, as if their
// timeout had come.
void HttpLoop::Impl::look_for_room() {
  const Instant before = monotonic_now() - kTrialPatience;
  std::vector<CURL*> overdue;
  for (const auto& [easy, each] : open) {
    const bool is_overdue = !each.is_proven && each.started < before;
    if (is_overdue && gate.may_displace(*each.party, each.failures)) overdue.push_back(easy);
    if (overdue.size() == gate.waiting_trials()) break;
  }
  // Each makes room for one, which is then no reason any more for the next to go.
  for (CURL* const easy : overdue) {
    const auto found = open.find(easy);
    if (found == open.end()) continue;
    if (gate.may_displace(*found->second.party, found->second.failures)) {
      end_transfer(easy, CURLE_OPERATION_TIMEDOUT);
    }
  }
}

void HttpLoop::Impl::start(Started next) {
  const TransferOptions& options = next.waiting.options;
  std::unique_ptr<Transfer> transfer;
  if (idle.empty()) {
    transfer = std::make_unique<Transfer>();
  } else {
    transfer = std::move(idle.back());
    idle.pop_back();
  }
  Status prepared = transfer->prepare(std::move(next.waiting.request), options, settings.user_agent,
                                      std::move(next.waiting.completion));
  if (!prepared) {
    Response response;
    response.failure = transfer->is_address_refused() ? Response::Failure::kRefusedAddress
                                                      : Response::Failure::kOther;
    response.failure_text = prepared.error().message();
    timers.add(monotonic_now(), [done = transfer->take_completion(), response]() mutable {
      done(std::move(response), {});
    });
    keep(std::move(transfer));
    gate.ended(next.party, next.is_proven);
    return;
  }
  CURL* const easy = transfer->easy();
  Pool& pool = *pools.at(static_cast<std::size_t>(options.egress));
  open.emplace(easy, Open{std::move(transfer), &pool, next.party, next.is_proven,
                          options.standing.failures, monotonic_now()});
  pool.add(easy);
  bound_connections();
}

void HttpLoop::Impl::keep(std::unique_ptr<Transfer> transfer) {
  transfer->clear();
  if (idle.size() < kIdleTransfersMax) idle.push_back(std::move(transfer));
}

void HttpLoop::Impl::finish_transfers(Pool& pool) {
  // Collected first: completions start new transfers, which must not meet a half-read list.
  for (const auto& [easy, result] : pool.take_finished()) end_transfer(easy, result);
}

void HttpLoop::Impl::end_transfer(CURL* easy, CURLcode result) {
  auto node = open.extract(easy);
  if (node.empty()) return;  // it made room, in a completion of this very pass
  Open ended = std::move(node.mapped());
  Response response = ended.transfer->finish(result);
  const TransferTimes times = ended.transfer->times();
  const Completion done = ended.transfer->take_completion();
  ended.pool->remove(easy);
  keep(std::move(ended.transfer));
  bound_connections();
  gate.ended(ended.party, ended.is_proven);
  done(std::move(response), times);
  start_waiting();
}

HttpLoop::HttpLoop(Settings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
HttpLoop::~HttpLoop() = default;

void HttpLoop::run() {
  impl_->run();
}

void HttpLoop::stop() {
  // release: pairs with the acquire in run().
  impl_->stopping.store(true, std::memory_order_release);
  ::eventfd_write(impl_->wake_event, 1);
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
  const Claimant claimant{.standing = options.standing,
                          .destination = options.destination,
                          .is_tenants = options.egress == Egress::kTenant};
  impl_->gate.add(claimant, {std::move(request), options, std::move(completion)});
  impl_->start_waiting();
}

HttpLoop::TimerId HttpLoop::after(std::chrono::milliseconds delay, Task task) {
  return impl_->timers.add(monotonic_now() + delay, std::move(task));
}

void HttpLoop::cancel(TimerId timer) {
  impl_->timers.cancel(timer);
}

const HttpLoop::Settings& HttpLoop::settings() const noexcept {
  return impl_->settings;
}

std::size_t HttpLoop::open_transfers() const noexcept {
  return impl_->open.size() + impl_->gate.waiting();
}

}  // namespace sidecast
