#include "exporters/kafka/channel.h"

#include <algorithm>
#include <functional>
#include <system_error>
#include <utility>

#include "engine/base/clock.h"
#include "exporters/kafka/probe.h"
#include "exporters/kafka/producer.h"

namespace sidecast {
namespace {

using kafka::Client;
using kafka::kUndecided;

constexpr std::chrono::minutes kIdleMax{5};
constexpr std::chrono::minutes kIdleLook{1};
// Then batches are tried again: messages may be smaller, or the topic's limit have been raised.
constexpr std::chrono::minutes kAloneFor{1};
// For librdkafka's threads when the loop has ended; one that waits for a name server is left
// behind.
constexpr std::chrono::seconds kClosingMax{2};
constexpr std::chrono::seconds kThreadPause{1};

}  // namespace

KafkaChannel::KafkaChannel(HttpLoop& loop) : loop_(loop) {}

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
  auto pending = std::make_unique<Pending>(
      std::move(request), options,
      std::make_shared<const kafka::Connection>(*std::move(connection)), std::move(completion));
  const std::uint64_t turn = pending->turn();
  line_.emplace(turn, std::move(pending));
  admit();
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
  // Every one was refused at once, or the client is of no more use. Completions never run inside
  // send().
  if (pending.left == 0 || client.trouble().is_hopeless) {
    loop_.post([this, producer] { serve(producer); });
  }
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
  std::vector<PendingPtr> finished;
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
  for (PendingPtr& pending : finished) finish(*producer, std::move(pending));
  if (!finished.empty()) admit();
}

void KafkaChannel::take_report(const ProducerPtr& producer, bool was_alone, void* tag,
                               std::string_view code) {
  const auto& slot = *static_cast<Pending::Slot*>(tag);
  Pending& pending = *slot.pending;
  if (kafka::is_size(code) && !was_alone) {
    produce_alone(producer, pending, slot.index);
    return;
  }
  if (slot.is_second_try) note_second_try(*producer, code);
  if (kafka::is_overdue(code)) {
    const kafka::Trouble& trouble = (was_alone ? producer->alone : producer->many)->trouble();
    if (!trouble.code.empty()) code = trouble.code;
    if (trouble.failure == Response::Failure::kRefusedAddress) pending.failure = trouble.failure;
  }
  pending.decide(slot.index, code);
}

void KafkaChannel::produce_alone(const ProducerPtr& producer, Pending& pending, std::size_t index) {
  Pending::Slot& slot = pending.slots[index];
  if (!slot.is_second_try) {
    slot.is_second_try = true;
    ++producer->second_tries;
  }
  if (producer->alone == nullptr) {
    producer->to_produce_alone.push_back(&slot);
    if (!producer->is_alone_opening) open_client(producer, Client::Batches::kAlone);
    return;
  }
  const std::string_view code =
      producer->alone->produce((*pending.request.messages)[index], pending.request.headers, &slot);
  if (code.empty()) return;
  note_second_try(*producer, code);
  pending.decide(index, code);
}

// When all of them are decided: if each was taken, their sum was refused, and batches are too large
// for now. If one was refused by itself, it was the reason.
void KafkaChannel::note_second_try(Producer& producer, std::string_view code) {
  if (kafka::is_size(code)) producer.is_one_too_large = true;
  if (code.empty()) producer.is_one_stored = true;
  if (--producer.second_tries > 0) return;
  if (producer.is_one_stored && !producer.is_one_too_large) {
    producer.alone_until = monotonic_now() + kAloneFor;
  }
  producer.is_one_stored = producer.is_one_too_large = false;
}

// What of it is not decided yet will hardly be: the engine sends it again, by a new producer.
void KafkaChannel::give_up(const ProducerPtr& producer, const kafka::Trouble& trouble) {
  close(*producer);
  forget(*producer);
  for (auto& [key, pending] : producer->open) {
    for (std::string_view& code : pending->codes) {
      if (code == kUndecided) code = trouble.code;
    }
    pending->failure = trouble.failure;
  }
  loop_.after(std::chrono::milliseconds(0), [this, producer] {
    for (auto& [key, pending] : std::exchange(producer->open, {})) {
      finish(*producer, std::move(pending));
    }
    admit();
  });
}

void KafkaChannel::finish(Producer& producer, PendingPtr pending) {
  producer.bytes -= pending->bytes;
  copied_bytes_ -= pending->bytes;
  if (!pending->standing.is_proven) unproven_bytes_ -= pending->bytes;
  pending->finish();
}

// ---- Producers ----------------------------------------------------------------------------------

// On a thread of its own: librdkafka reads the system's certificates when a client is made, which
// takes long.
void KafkaChannel::open_client(const ProducerPtr& producer, Client::Batches batches) {
  if (batches == Client::Batches::kAlone) producer->is_alone_opening = true;
  const std::weak_ptr<Producer> weak = producer;
  auto wake = [this, stop = stop_, weak] {
    // relaxed: nothing but the flag.
    if (stop->load(std::memory_order_relaxed)) return;
    loop_.post([this, weak] {
      if (const ProducerPtr live = weak.lock()) serve(live);
    });
  };
  // See probe() for who outlives whom.
  wait_elsewhere([this, stop = stop_, weak, batches, connection = producer->connection,
                  wake = std::move(wake)]() mutable {
    auto opened = std::make_shared<Opened>(Client::open(*connection, batches, std::move(wake)));
    // relaxed: nothing but the flag.
    if (stop->load(std::memory_order_relaxed)) return;
    loop_.post([this, weak, batches, opened = std::move(opened)] {
      const ProducerPtr live = weak.lock();
      if (live != nullptr && !live->is_closed) {
        take_client(live, batches, std::move(*opened));
      } else if (*opened) {
        close(std::move(**opened));
      }
    });
  });
}

void KafkaChannel::take_client(const ProducerPtr& producer, Client::Batches batches,
                               Opened opened) {
  if (batches == Client::Batches::kAlone) {
    producer->is_alone_opening = false;
    if (opened) producer->alone = *std::move(opened);
    for (Pending::Slot* const slot : std::exchange(producer->to_produce_alone, {})) {
      if (producer->alone != nullptr) {
        produce_alone(producer, *slot->pending, slot->index);
      } else {
        note_second_try(*producer, "_RESOLVE");
        slot->pending->decide(slot->index, "_RESOLVE");  // another time
      }
    }
    serve(producer);
    return;
  }
  if (!opened) {
    for (auto& [key, pending] : producer->open) {
      pending->failure_text = opened.error().message();
    }
    give_up(producer, {.failure = Response::Failure::kOther, .code = "_FAIL"});
    return;
  }
  producer->many = *std::move(opened);
  for (Pending* const pending : std::exchange(producer->to_produce, {})) {
    produce(producer, *pending);
  }
  serve(producer);
}

void KafkaChannel::close(std::unique_ptr<Client> client) {
  if (client == nullptr) return;
  client->silence();
  wait_elsewhere(
      [client = std::shared_ptr<Client>(std::move(client))]() mutable { client.reset(); });
}

void KafkaChannel::close(Producer& producer) {
  producer.is_closed = true;
  close(std::move(producer.many));
  close(std::move(producer.alone));
}

void KafkaChannel::forget(const Producer& producer) {
  const auto found = producers_.find(producer.key);
  if (found != producers_.end() && found->second.get() == &producer) producers_.erase(found);
}

void KafkaChannel::look_for_idle() {
  idle_timer_ = loop_.after(kIdleLook, [this] { close_idle(); });
}

void KafkaChannel::close_idle() {
  idle_timer_ = 0;
  for (auto each = producers_.begin(); each != producers_.end();) {
    const ProducerPtr& producer = each->second;
    const bool is_idle = producer->open.empty() && monotonic_now() - producer->used > kIdleMax;
    if (is_idle) close(*producer);
    each = is_idle ? producers_.erase(each) : std::next(each);
  }
  if (!producers_.empty()) look_for_idle();
}

void KafkaChannel::wait_elsewhere(std::function<void()> task) {
  std::erase_if(waiting_, [](Waiting& waiting) {
    // acquire: pairs with the release below.
    if (!waiting.is_over->load(std::memory_order_acquire)) return false;
    waiting.thread.join();
    return true;
  });
  auto is_over = std::make_shared<std::atomic<bool>>(false);
  // Shared: where no thread is to be had, it is still there.
  const auto shared = std::make_shared<std::function<void()>>(std::move(task));
  try {
    std::thread thread([shared, is_over] {
      (*shared)();
      *shared = nullptr;
      // release: what the task did is seen by whoever sees that it is over.
      is_over->store(true, std::memory_order_release);
    });
    waiting_.push_back({std::move(thread), std::move(is_over)});
  } catch (const std::system_error&) {  // a limit of the system's
    loop_.after(kThreadPause, [this, shared] { wait_elsewhere(std::move(*shared)); });
  }
}

}  // namespace sidecast
