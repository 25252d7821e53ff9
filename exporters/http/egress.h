// Which resolved addresses may be connected to. Endpoints may come from customers, and a name can
// resolve to anything, so the decision is made on the address: when a socket opens and again when a
// pooled connection is reused. Pure functions; exporters/http/loop.cc wires them to libcurl.
//
// Through a proxy only the proxy's address is seen: destinations that are not the operator's must
// not be given one whose targets are unchecked.
#pragma once

#include <string_view>

#include <sys/socket.h>

namespace sidecast {

// Who chose the endpoint.
enum class Egress {
  kOperator,  // may reach private networks (a Collector on localhost just works)
  kTenant,    // public addresses only
};

enum class AddressClass {
  kPublic,
  kPrivate,   // loopback, RFC 1918, carrier-grade NAT, unique local, multicast, reserved, not IP
  kMetadata,  // link-local and the cloud providers' metadata services: nobody may reach them
};

// An IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4) is judged as the IPv4
// address that it reaches.
[[nodiscard]] AddressClass classify_address(const sockaddr* address, socklen_t length) noexcept;
[[nodiscard]] bool is_egress_allowed(const sockaddr* address, socklen_t length,
                                     Egress egress) noexcept;
// Numeric text ("10.0.0.1", "fe80::1%eth0"); what is neither IPv4 nor IPv6 is not allowed.
[[nodiscard]] bool is_egress_allowed(std::string_view address, Egress egress) noexcept;

}  // namespace sidecast
