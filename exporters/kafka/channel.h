// Requests whose messages go to a Kafka cluster. One producer for each destination and its
// settings, made when it is first needed and closed when it has not been for a while. A request is
// answered when every message of it is decided, by the report of its delivery or by its time.
//
// A batch that a broker refuses for its size is sent again message by message, so that one large
// message costs its neighbours nothing; if they were only too many together, the producer goes on
// message by message for a while.
//
// A producer costs threads, and librdkafka copies what it sends. Both have a bound, and who finds
// none left waits in a line, as with HTTP's gate: the proven first, then who failed less often. Of
// the producers, tenants have half, one tenant an eighth, and half is the most for those that have
// not shown that they answer. One of these that has been silent for long makes room. Small requests
// pass a large one that finds too few bytes left, but for a while only: then what becomes free is
// kept for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "exporters/kafka/client.h"
#include "exporters/transport/channel.h"

namespace sidecast {

class KafkaChannel final : public Channel {
 public:
  explicit KafkaChannel(HttpLoop& loop);
  ~KafkaChannel() override;

  void send(Request request, const TransferOptions& options,
            HttpLoop::Completion completion) override;

 private:
  struct Pending;
  struct Producer;
  using ProducerPtr = std::shared_ptr<Producer>;

  using PendingPtr = std::unique_ptr<Pending>;
  using Opened = Result<std::unique_ptr<kafka::Client>>;

  void admit();
  void start(const ProducerPtr& producer, PendingPtr pending);
  void keep_room_for_the_oldest();
  [[nodiscard]] bool is_passed_in_vain(const Pending& pending) const;
  [[nodiscard]] ProducerPtr place_for(const Pending& pending);
  [[nodiscard]] bool has_bytes_for(const Pending& pending, const Producer* producer) const;
  [[nodiscard]] bool has_room_for(const Pending& newcomer);
  [[nodiscard]] bool free_one(const Pending& newcomer,
                              const std::function<bool(const Producer&)>& is_of_them);
  void open_client(const ProducerPtr& producer, kafka::Client::Batches batches);
  void take_client(const ProducerPtr& producer, kafka::Client::Batches batches, Opened opened);
  void finish(Producer& producer, PendingPtr pending);
  void answer_later(Response response, HttpLoop::Completion completion);
  void probe(kafka::Connection connection, HttpLoop::Completion completion);
  void produce(const ProducerPtr& producer, Pending& pending);
  void serve(const ProducerPtr& producer);
  void take_report(const ProducerPtr& producer, bool was_alone, void* tag, std::string_view code);
  void produce_alone(const ProducerPtr& producer, Pending& pending, std::size_t index);
  void note_second_try(Producer& producer, std::string_view code);
  void give_up(const ProducerPtr& producer, const kafka::Trouble& trouble);
  void close(std::unique_ptr<kafka::Client> client);
  void close(Producer& producer);
  void forget(const Producer& producer);
  void look_for_idle();
  void close_idle();

  HttpLoop& loop_;
  std::map<std::string, ProducerPtr> producers_;
  std::multimap<std::uint64_t, PendingPtr> line_;  // by who goes first, then in their order
  // That have waited for long, the oldest of each producer, by its key; only while admit() runs.
  std::map<std::string_view, const Pending*> overdue_;
  const Pending* kept_room_for_ = nullptr;  // one of them
  std::uint64_t copied_bytes_ = 0;          // of all that is under way
  std::uint64_t unproven_bytes_ = 0;        // of it, those of the unproven
  HttpLoop::TimerId idle_timer_ = 0;        // 0 = none
  HttpLoop::TimerId line_timer_ = 0;
  // Threads that wait: for a cluster that is tested, or for clients to end.
  struct Waiting {
    std::thread thread;
    std::shared_ptr<std::atomic<bool>> is_over;
  };
  void wait_elsewhere(std::function<void()> task);
  std::vector<Waiting> waiting_;
  const std::shared_ptr<std::atomic<bool>> stop_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace sidecast
