#include "exporters/http/egress.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace sidecast {
namespace {

struct Ipv4Range {
  std::uint32_t first;  // host byte order
  unsigned bits;
};
using Ipv6 = std::array<unsigned char, 16>;
struct Ipv6Range {
  Ipv6 first;
  unsigned bits;
};

constexpr std::uint32_t ipv4(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return a << 24U | b << 16U | c << 8U | d;
}

constexpr Ipv4Range kMetadata4[] = {
    {ipv4(169, 254, 0, 0), 16},      // link-local: AWS, GCP, Azure, Oracle, ECS tasks
    {ipv4(100, 100, 100, 200), 32},  // Alibaba
    {ipv4(168, 63, 129, 16), 32},    // Azure's host
    {ipv4(192, 0, 0, 192), 32},      // Oracle, older
};
constexpr Ipv4Range kPrivate4[] = {
    {ipv4(0, 0, 0, 0), 8},       {ipv4(10, 0, 0, 0), 8},     {ipv4(100, 64, 0, 0), 10},
    {ipv4(127, 0, 0, 0), 8},     {ipv4(172, 16, 0, 0), 12},  {ipv4(192, 0, 0, 0), 24},
    {ipv4(192, 168, 0, 0), 16},  {ipv4(198, 18, 0, 0), 15},  {ipv4(192, 0, 2, 0), 24},
    {ipv4(198, 51, 100, 0), 24}, {ipv4(203, 0, 113, 0), 24}, {ipv4(224, 0, 0, 0), 3},
};
constexpr Ipv6Range kMetadata6[] = {
    {{0xfe, 0x80}, 10},              // link-local
    {{0xfd, 0x00, 0x0e, 0xc2}, 32},  // AWS
    {{0xfd, 0x20, 0x00, 0xce}, 32},  // GCP
};
constexpr Ipv6Range kPrivate6[] = {
    {{0xfc}, 7},                     // unique local
    {{0xfe, 0xc0}, 10},              // site local, retired
    {{0xff}, 8},                     // multicast
    {{0x01, 0x00}, 64},              // discard
    {{0x20, 0x01, 0x0d, 0xb8}, 32},  // documentation
    {{0x20, 0x01, 0x00, 0x00}, 32},  // Teredo: the target hides in the address
    {{}, 96},                        // ::, ::1 and what is left of IPv4-compatible
};
// Prefixes after which an IPv4 address stands, at byte `offset`.
struct Embedding {
  Ipv6Range range;
  std::size_t offset;
};
constexpr Embedding kEmbeddings[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12},  // IPv4-mapped
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},                    // NAT64
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12},        // IPv4-translated
    {{{0x20, 0x02}, 16}, 2},                                 // 6to4
};

constexpr bool contains(const Ipv4Range& range, std::uint32_t address) {
  return (address ^ range.first) >> (32U - range.bits) == 0;
}

bool contains(const Ipv6Range& range, const Ipv6& address) {
  const std::size_t whole = range.bits / 8;
  if (std::memcmp(range.first.data(), address.data(), whole) != 0) return false;
  const unsigned rest = range.bits % 8;
  return rest == 0 || ((range.first[whole] ^ address[whole]) >> (8U - rest)) == 0;
}

AddressClass classify(std::uint32_t address) {
  for (const Ipv4Range& range : kMetadata4) {
    if (contains(range, address)) return AddressClass::kMetadata;
  }
  for (const Ipv4Range& range : kPrivate4) {
    if (contains(range, address)) return AddressClass::kPrivate;
  }
  return AddressClass::kPublic;
}

std::uint32_t ipv4_at(const Ipv6& address, std::size_t offset) {
  return ipv4(address[offset], address[offset + 1], address[offset + 2], address[offset + 3]);
}

AddressClass classify(const Ipv6& address) {
  for (const Embedding& embedding : kEmbeddings) {
    if (contains(embedding.range, address)) return classify(ipv4_at(address, embedding.offset));
  }
  for (const Ipv6Range& range : kMetadata6) {
    if (contains(range, address)) return AddressClass::kMetadata;
  }
  for (const Ipv6Range& range : kPrivate6) {
    if (!contains(range, address)) continue;
    // IPv4-compatible (::a.b.c.d) is retired, but a metadata service in it stays one.
    const bool is_compatible = address[0] == 0 && range.bits == 96;
    if (is_compatible && classify(ipv4_at(address, 12)) == AddressClass::kMetadata) {
      return AddressClass::kMetadata;
    }
    return AddressClass::kPrivate;
  }
  return AddressClass::kPublic;
}

bool is_allowed(AddressClass address, Egress egress) {
  switch (address) {
    case AddressClass::kPublic:
      return true;
    case AddressClass::kPrivate:
      return egress == Egress::kOperator;
    case AddressClass::kMetadata:
      return false;
  }
  return false;
}

}  // namespace

AddressClass classify_address(const sockaddr* address, socklen_t length) noexcept {
  // Copied out: a sockaddr from a resolver need not be aligned for its family.
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in in{};
    std::memcpy(&in, address, sizeof in);
    return classify(ntohl(in.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in6{};
    std::memcpy(&in6, address, sizeof in6);
    Ipv6 bytes{};
    std::memcpy(bytes.data(), &in6.sin6_addr, bytes.size());
    return classify(bytes);
  }
  return AddressClass::kPrivate;
}

bool is_egress_allowed(const sockaddr* address, socklen_t length, Egress egress) noexcept {
  return is_allowed(classify_address(address, length), egress);
}

bool is_egress_allowed(std::string_view address, Egress egress) noexcept {
  const std::string text(address.substr(0, address.find('%')));
  in_addr in{};
  if (::inet_pton(AF_INET, text.c_str(), &in) == 1) {
    return is_allowed(classify(ntohl(in.s_addr)), egress);
  }
  Ipv6 bytes{};
  if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) {
    return is_allowed(classify(bytes), egress);
  }
  return false;
}

}  // namespace sidecast
