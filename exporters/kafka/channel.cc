#include "exporters/kafka/channel.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "engine/base/clock.h"
#include "exporters/kafka/probe.h"

namespace sidecast {
namespace {

using kafka::Client;

// Each costs a thread of its own and one for each broker.
constexpr std::size_t kProducersMax = 128;
constexpr std::chrono::minutes kIdleMax{5};
constexpr std::chrono::minutes kIdleLook{1};
// Then batches are tried again: the topic's limit may have been raised.
constexpr std::chrono::hours kAloneFor{1};
// For librdkafka's threads when the loop has ended; one that waits for a name server is left
// behind.
constexpr std::chrono::seconds kClosingMax{2};
constexpr std::string_view kUndecided = "?";

}  // namespace

// A request under way: `codes` has an entry for each message, `left` of them are not decided.
struct KafkaChannel::Pending {
  struct Slot {
    Pending* pending;
    std::size_t index;
  };

  Pending(Request given, HttpLoop::Completion completion)
      : request(std::move(given)),
        done(std::move(completion)),
        codes(request.messages->size(), kUndecided),
        left(request.messages->size()) {
    slots.reserve(left);
    for (std::size_t i = 0; i < left; ++i) slots.push_back({this, i});
  }
  void decide(std::size_t index, std::string_view code) {
    codes[index] = code;
    --left;
  }
  void finish() {
    Response response;
    response.messages = std::move(codes);
    response.failure = failure;
    TransferTimes times;
    times.total = std::chrono::duration_cast<std::chrono::microseconds>(monotonic_now() - begin);
    done(std::move(response), times);
  }

  Request request;
  HttpLoop::Completion done;
  std::vector<std::string_view> codes;
  std::vector<Slot> slots;  // librdkafka has their addresses
  std::size_t left;
  Response::Failure failure = Response::Failure::kNone;
  Instant begin = monotonic_now();
};

struct KafkaChannel::Producer {
  kafka::Connection connection;
  std::string key;                // in producers_
  std::unique_ptr<Client> many;   // null: it was given up
  std::unique_ptr<Client> alone;  // null until a batch was refused for its size
  Instant alone_until{};
  std::map<Pending*, std::unique_ptr<Pending>> open;
  Instant used = monotonic_now();
};

KafkaChannel::~KafkaChannel() {
  // relaxed: nothing but the flag.
  stop_->store(true, std::memory_order_relaxed);
  for (const auto& [key, producer] : producers_) close(*producer);
  producers_.clear();
  const Instant deadline = monotonic_now() + kClosingMax;
  for (Waiting& waiting : waiting_) {
    // acquire: pairs with the release in wait_elsewhere().
    while (!waiting.is_over->load(std::memory_order_acquire) && monotonic_now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    if (waiting.is_over->load(std::memory_order_acquire)) {
      waiting.thread.join();
    } else {
      waiting.thread.detach();
    }
  }
}

// ---- Requests -----------------------------------------------------------------------------------

void KafkaChannel::send(Request request, const TransferOptions& options,
                        HttpLoop::Completion completion) {
  const auto refuse = [&](const Error& error) {
    Response response;
    response.failure = Response::Failure::kOther;
    response.failure_text = error.message();
    answer_later(std::move(response), std::move(completion));
  };
  auto connection = kafka::Connection::of(request, options);
  if (!connection) return refuse(connection.error());
  if (request.messages == nullptr) return probe(std::move(*connection), std::move(completion));
  const auto producer = producer_for(*connection, options.destination);
  if (!producer) return refuse(producer.error());
  auto pending = std::make_unique<Pending>(std::move(request), std::move(completion));
  Pending& started = *pending;
  (*producer)->open.emplace(&started, std::move(pending));
  (*producer)->used = monotonic_now();
  produce(*producer, started);
}

void KafkaChannel::answer_later(Response response, HttpLoop::Completion completion) {
  loop_.after(std::chrono::milliseconds(0),
              [response = std::move(response), completion = std::move(completion)]() mutable {
                completion(std::move(response), {});
              });
}

void KafkaChannel::probe(kafka::Connection connection, HttpLoop::Completion completion) {
  // The loop outlives the transport, and the transport waits for the thread; one that is left
  // behind sees the flag before it would post.
  wait_elsewhere([&loop = loop_, stop = stop_, connection = std::move(connection),
                  completion = std::move(completion)]() mutable {
    const Instant begin = monotonic_now();
    Response response = kafka::ask_for_topic(connection, *stop);
    TransferTimes times;
    times.total = std::chrono::duration_cast<std::chrono::microseconds>(monotonic_now() - begin);
    // relaxed: nothing but the flag.
    if (stop->load(std::memory_order_relaxed)) return;
    loop.post(
        [response = std::move(response), times, completion = std::move(completion)]() mutable {
          completion(std::move(response), times);
        });
  });
}

void KafkaChannel::produce(const ProducerPtr& producer, Pending& pending) {
  const bool is_alone = producer->alone != nullptr && monotonic_now() < producer->alone_until;
  Client& client = is_alone ? *producer->alone : *producer->many;
  const std::vector<KeyedMessage>& messages = *pending.request.messages;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string_view code =
        client.produce(messages[i], pending.request.headers, &pending.slots[i]);
    if (!code.empty()) pending.decide(i, code);
  }
  if (pending.left > 0) return;
  // Every one was refused at once. Completions never run inside send().
  loop_.after(std::chrono::milliseconds(0), [producer, key = &pending] {
    // A report may have finished it since, and another one may lie where it lay.
    const auto found = producer->open.find(key);
    if (found == producer->open.end() || found->second->left > 0) return;
    const auto node = producer->open.extract(found);
    node.mapped()->finish();
  });
}

// ---- Reports ------------------------------------------------------------------------------------

void KafkaChannel::serve(const ProducerPtr& producer) {
  if (producer->many == nullptr) return;  // given up since
  bool has_more = producer->many->serve(
      [&](void* tag, std::string_view code) { take_report(producer, false, tag, code); });
  if (producer->alone != nullptr) {
    has_more = producer->alone->serve([&](void* tag, std::string_view code) {
      take_report(producer, true, tag, code);
    }) || has_more;
  }
  // Collected first: completions send again.
  std::vector<std::unique_ptr<Pending>> finished;
  for (auto each = producer->open.begin(); each != producer->open.end();) {
    const auto next = std::next(each);
    if (each->second->left == 0)
      finished.push_back(std::move(producer->open.extract(each).mapped()));
    each = next;
  }
  for (const Client* client : {producer->many.get(), producer->alone.get()}) {
    if (client == nullptr || !client->trouble().is_hopeless) continue;
    give_up(producer, kafka::Trouble(client->trouble()));
    break;
  }
  if (has_more && producer->many != nullptr) loop_.post([this, producer] { serve(producer); });
  for (const auto& pending : finished) pending->finish();
}

void KafkaChannel::take_report(const ProducerPtr& producer, bool was_alone, void* tag,
                               std::string_view code) {
  const auto& slot = *static_cast<Pending::Slot*>(tag);
  Pending& pending = *slot.pending;
  if (kafka::is_size(code) && !was_alone && produce_alone(producer, pending, slot.index)) return;
  if (was_alone && code.empty() && monotonic_now() >= producer->alone_until) {
    producer->alone_until = monotonic_now() + kAloneFor;  // it was taken: their sum was refused
  }
  if (kafka::is_overdue(code)) {
    const kafka::Trouble& trouble = (was_alone ? producer->alone : producer->many)->trouble();
    if (!trouble.code.empty()) code = trouble.code;
    if (trouble.failure == Response::Failure::kRefusedAddress) pending.failure = trouble.failure;
  }
  pending.decide(slot.index, code);
}

bool KafkaChannel::produce_alone(const ProducerPtr& producer, Pending& pending, std::size_t index) {
  if (producer->alone == nullptr) {
    auto client = open_client(producer, Client::Batches::kAlone);
    if (!client) return false;
    producer->alone = std::move(*client);
  }
  return producer->alone
      ->produce((*pending.request.messages)[index], pending.request.headers, &pending.slots[index])
      .empty();
}

// What of it is not decided yet will hardly be: the engine sends it again, by a new producer.
void KafkaChannel::give_up(const ProducerPtr& producer, const kafka::Trouble& trouble) {
  close(*producer);
  producers_.erase(producer->key);
  for (auto& [key, pending] : producer->open) {
    for (std::string_view& code : pending->codes) {
      if (code == kUndecided) code = trouble.code;
    }
    pending->failure = trouble.failure;
  }
  loop_.after(std::chrono::milliseconds(0), [producer] {
    for (auto& [key, pending] : std::exchange(producer->open, {})) pending->finish();
  });
}

// ---- Producers ----------------------------------------------------------------------------------

Result<KafkaChannel::ProducerPtr> KafkaChannel::producer_for(const kafka::Connection& connection,
                                                             const std::string& destination) {
  const std::string key = connection.fingerprint() + ' ' + destination;
  const auto found = producers_.find(key);
  if (found != producers_.end()) return found->second;
  if (!make_room()) return fail("Kafka: too many producers are in use");
  auto producer = std::make_shared<Producer>();
  producer->connection = connection;
  producer->key = key;
  auto client = open_client(producer, Client::Batches::kMany);
  if (!client) return fail(client.error());
  producer->many = std::move(*client);
  producers_.emplace(key, producer);
  if (idle_timer_ == 0) idle_timer_ = loop_.after(kIdleLook, [this] { close_idle(); });
  return producer;
}

Result<std::unique_ptr<Client>> KafkaChannel::open_client(const ProducerPtr& producer,
                                                          Client::Batches batches) {
  return Client::open(producer->connection, batches,
                      [this, weak = std::weak_ptr<Producer>(producer)] {
                        loop_.post([this, weak] {
                          if (const ProducerPtr live = weak.lock()) serve(live);
                        });
                      });
}

// False: all are in use.
bool KafkaChannel::make_room() {
  if (producers_.size() < kProducersMax) return true;
  auto idlest = producers_.end();
  for (auto each = producers_.begin(); each != producers_.end(); ++each) {
    if (!each->second->open.empty()) continue;
    if (idlest == producers_.end() || each->second->used < idlest->second->used) idlest = each;
  }
  if (idlest == producers_.end()) return false;
  close(*idlest->second);
  producers_.erase(idlest);
  return true;
}

void KafkaChannel::close(std::unique_ptr<Client> client) {
  if (client == nullptr) return;
  client->silence();
  wait_elsewhere(
      [client = std::shared_ptr<Client>(std::move(client))]() mutable { client.reset(); });
}

void KafkaChannel::close(Producer& producer) {
  close(std::move(producer.many));
  close(std::move(producer.alone));
}

void KafkaChannel::close_idle() {
  idle_timer_ = 0;
  for (auto each = producers_.begin(); each != producers_.end();) {
    const ProducerPtr& producer = each->second;
    const bool is_idle = producer->open.empty() && monotonic_now() - producer->used > kIdleMax;
    if (is_idle) close(*producer);
    each = is_idle ? producers_.erase(each) : std::next(each);
  }
  if (!producers_.empty()) idle_timer_ = loop_.after(kIdleLook, [this] { close_idle(); });
}

void KafkaChannel::wait_elsewhere(std::function<void()> task) {
  std::erase_if(waiting_, [](Waiting& waiting) {
    // acquire: pairs with the release below.
    if (!waiting.is_over->load(std::memory_order_acquire)) return false;
    waiting.thread.join();
    return true;
  });
  auto is_over = std::make_shared<std::atomic<bool>>(false);
  std::thread thread([task = std::move(task), is_over]() mutable {
    task();
    task = nullptr;
    // release: what the task did is seen by whoever sees that it is over.
    is_over->store(true, std::memory_order_release);
  });
  waiting_.push_back({std::move(thread), std::move(is_over)});
}

}  // namespace sidecast
