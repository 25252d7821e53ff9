// The connection test of a Kafka cluster: asks it for the topic's metadata, on a thread of its own,
// since librdkafka waits there for the answer.
#pragma once

#include <atomic>

#include "exporters/kafka/client.h"

namespace sidecast::kafka {

// Waits for the connection's timeout at most, or until `stop`.
[[nodiscard]] Response ask_for_topic(const Connection& connection, const std::atomic<bool>& stop);

}  // namespace sidecast::kafka
