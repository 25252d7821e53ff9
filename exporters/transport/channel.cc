#include "exporters/transport/channel.h"

#include "engine/base/assert.h"
#include "exporters/kafka/channel.h"
#include "exporters/transport/blocking_channel.h"
#include "exporters/transport/console_sink.h"
#include "exporters/transport/file_sink.h"

namespace sidecast {

std::unique_ptr<Channel> make_channel(Transport transport, HttpLoop& loop) {
  switch (transport) {
    case Transport::kFile:
      return std::make_unique<BlockingChannel>(loop, &make_file_sink);
    case Transport::kConsole:
      return std::make_unique<BlockingChannel>(loop, &make_console_sink);
    case Transport::kKafka:
      return std::make_unique<KafkaChannel>(loop);
    case Transport::kHttp:
      break;
  }
  SIDECAST_ASSERT(false);  // http is the loop's own
  return nullptr;
}

}  // namespace sidecast
