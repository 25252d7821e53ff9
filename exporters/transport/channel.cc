#include "exporters/transport/channel.h"

#include "engine/base/assert.h"

namespace sidecast {

std::unique_ptr<Channel> make_channel(Transport transport, HttpLoop& /*loop*/) {
  switch (transport) {
    case Transport::kHttp:
    case Transport::kFile:     // not there yet
    case Transport::kConsole:  // not there yet
      break;
  }
  SIDECAST_ASSERT(false);  // http is the loop's own
  return nullptr;
}

}  // namespace sidecast
