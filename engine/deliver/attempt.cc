#include "engine/deliver/attempt.h"

namespace sidecast {

Result<ExchangeTarget> exchange_target(HttpLoop& loop, const DestinationConfigPtr& destination) {
  TransferOptions options{.destination = destination->name,
                          .timeout = destination->timeout,
                          .ca_file = destination->ca_file,
                          .client_cert_file = destination->client_cert_file,
                          .client_key_file = destination->client_key_file,
                          .proxy = destination->proxy,
                          .no_proxy = destination->no_proxy,
                          .egress = destination->is_tenants ? Egress::kTenant : Egress::kOperator,
                          .egress_allowed = destination->egress_allowed,
                          .http2_prior_knowledge = destination->http2_prior_knowledge};
  const auto credentials = destination->proxy_credentials.open();
  if (!credentials) return fail("proxy_credentials: " + credentials.error().message());
  options.proxy_credentials = LockedBytes(credentials->reveal());
  return ExchangeTarget{.loop = loop,
                        .exporter = destination->exporter,
                        .secrets = {destination, &destination->secrets},
                        .secret_headers = {destination, &destination->secret_headers},
                        .options = std::move(options)};
}

}  // namespace sidecast
