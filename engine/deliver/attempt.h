// What an exchange with a destination takes besides the request: credentials, and how to reach the
// server. Delivery and the connection test both come here, so that the test proves what delivery
// will do.
#pragma once

#include "engine/base/result.h"
#include "engine/config/running.h"
#include "exporters/exchange.h"

namespace sidecast {

[[nodiscard]] Result<ExchangeTarget> exchange_target(HttpLoop& loop,
                                                     const DestinationConfigPtr& destination);

}  // namespace sidecast
