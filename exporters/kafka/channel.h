// Requests whose messages go to a Kafka cluster. One producer for each destination and its
// settings, made when it is first needed and closed when it has not been for a while. A request is
// answered when every message of it is decided, by the report of its delivery or by its time.
//
// A batch that a broker refuses for its size is sent again message by message, so that one large
// message costs its neighbours nothing; if they were only too many together, the producer goes on
// message by message for a while.
#pragma once

#include <atomic>
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
  explicit KafkaChannel(HttpLoop& loop) : loop_(loop) {}
  ~KafkaChannel() override;

  void send(Request request, const TransferOptions& options,
            HttpLoop::Completion completion) override;

 private:
  struct Pending;
  struct Producer;
  using ProducerPtr = std::shared_ptr<Producer>;

  [[nodiscard]] Result<ProducerPtr> producer_for(const kafka::Connection& connection,
                                                 const std::string& destination);
  [[nodiscard]] Result<std::unique_ptr<kafka::Client>> open_client(const ProducerPtr& producer,
                                                                   kafka::Client::Batches batches);
  void answer_later(Response response, HttpLoop::Completion completion);
  void probe(kafka::Connection connection, HttpLoop::Completion completion);
  void produce(const ProducerPtr& producer, Pending& pending);
  void serve(const ProducerPtr& producer);
  void take_report(const ProducerPtr& producer, bool was_alone, void* tag, std::string_view code);
  [[nodiscard]] bool produce_alone(const ProducerPtr& producer, Pending& pending,
                                   std::size_t index);
  void give_up(const ProducerPtr& producer, const kafka::Trouble& trouble);
  [[nodiscard]] bool make_room();
  void close(std::unique_ptr<kafka::Client> client);
  void close(Producer& producer);
  void close_idle();

  HttpLoop& loop_;
  std::map<std::string, ProducerPtr> producers_;
  HttpLoop::TimerId idle_timer_ = 0;  // 0 = none
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
