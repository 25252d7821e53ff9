// One exchange with a destination: all that a request takes until its verdict is known.
//
//   token_request -> send -> take_token        only where a token is needed and none is at hand
//   authorise     -> send -> judge  --followup--> authorise -> send -> judge ...
//
// The outlet, for batches, and the connection test, for probes, go through here, so that a service
// with tokens or with answers that come later needs nothing of its own in either.
//
// Threads: belongs to the loop's thread.
#pragma once

#include <functional>
#include <memory>

#include "exporters/http/loop.h"

namespace sidecast {

struct ExchangeTarget {
  HttpLoop& loop;
  // Of the configuration that it began under, whatever replaces that meanwhile.
  std::shared_ptr<const Exporter> exporter;
  // Opened while a request is authorised, and closed again.
  std::shared_ptr<const Secrets> secrets;
  std::shared_ptr<const Secrets> secret_headers;  // by header name; of every request
  TransferOptions options;
};

// The response and times are those of the last transfer.
using ExchangeDone = std::function<void(const Verdict&, const Response&, const TransferTimes&)>;

// An Error says why the request could not be authorised: nothing is sent then, and `done` is not
// called. Else it is called once, later.
[[nodiscard]] Status exchange(const ExchangeTarget& target, Request request, ExchangeDone done);

}  // namespace sidecast
