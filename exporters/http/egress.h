// Which resolved addresses may be connected to. Endpoints may come from customers, and a name can
// resolve to anything, so the decision is made on the address: when a socket opens and again when a
// pooled connection is reused. Pure functions; exporters/http/loop.cc wires them to libcurl.
//
// Through a proxy only the proxy's address is seen: destinations that are not the operator's must
// not be given one whose targets are unchecked.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include <sys/socket.h>

#include "engine/base/result.h"

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

// Ranges of addresses, as an operator lists them: "10.1.0.0/16", "fd12::/16", or one address.
class AddressRanges {
 public:
  [[nodiscard]] Status add(std::string_view range);
  [[nodiscard]] bool is_empty() const noexcept { return ranges_.empty(); }
  [[nodiscard]] bool contains(const std::array<unsigned char, 16>& address) const noexcept;
  bool operator==(const AddressRanges&) const = default;

 private:
  struct Range {
    std::array<unsigned char, 16> first{};  // IPv4 as ::ffff:a.b.c.d
    unsigned bits = 0;
    bool operator==(const Range&) const = default;
  };
  std::vector<Range> ranges_;
};

// An IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4) is judged as the IPv4
// address that it reaches.
[[nodiscard]] AddressClass classify_address(const sockaddr* address, socklen_t length) noexcept;
// Numeric text ("10.0.0.1", "fe80::1%eth0"); what is neither IPv4 nor IPv6 counts as private.
[[nodiscard]] AddressClass classify_address(std::string_view address) noexcept;
// `allowed`: private ranges that tenants' destinations may reach as well; may be null. Metadata
// services stay out of reach whatever it holds.
[[nodiscard]] bool is_egress_allowed(const sockaddr* address, socklen_t length, Egress egress,
                                     const AddressRanges* allowed = nullptr) noexcept;
// What is neither IPv4 nor IPv6 is not allowed.
[[nodiscard]] bool is_egress_allowed(std::string_view address, Egress egress,
                                     const AddressRanges* allowed = nullptr) noexcept;

// What a URL names as its host and nobody may reach, told without asking a resolver: for requests
// that a proxy resolves. Numbers in any spelling.
[[nodiscard]] bool names_metadata_service(std::string_view host) noexcept;

}  // namespace sidecast
