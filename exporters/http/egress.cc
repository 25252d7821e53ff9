#include "exporters/http/egress.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <strings.h>

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

// The bytes of an address of either family, IPv4 as ::ffff:a.b.c.d.
struct AnyAddress {
  Ipv6 bytes{};
  AddressClass kind = AddressClass::kPrivate;
  bool is_known = false;  // neither family: kPrivate
};

Ipv6 mapped(std::uint32_t address) {
  return {0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0xff,
          0xff,
          static_cast<unsigned char>(address >> 24U),
          static_cast<unsigned char>(address >> 16U),
          static_cast<unsigned char>(address >> 8U),
          static_cast<unsigned char>(address)};
}

AnyAddress any_address(const sockaddr* address, socklen_t length) {
  // Copied out: a sockaddr from a resolver need not be aligned for its family.
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in in{};
    std::memcpy(&in, address, sizeof in);
    const std::uint32_t host_order = ntohl(in.sin_addr.s_addr);
    return {mapped(host_order), classify(host_order), true};
  }
  if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in6{};
    std::memcpy(&in6, address, sizeof in6);
    Ipv6 bytes{};
    std::memcpy(bytes.data(), &in6.sin6_addr, bytes.size());
    return {bytes, classify(bytes), true};
  }
  return {};
}

AnyAddress any_address(std::string_view address) {
  const std::string text(address.substr(0, address.find('%')));
  in_addr in{};
  if (::inet_pton(AF_INET, text.c_str(), &in) == 1) {
    const std::uint32_t host_order = ntohl(in.s_addr);
    return {mapped(host_order), classify(host_order), true};
  }
  Ipv6 bytes{};
  if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return {bytes, classify(bytes), true};
  return {};
}

bool is_allowed(const AnyAddress& address, Egress egress, const AddressRanges* allowed) {
  switch (address.kind) {
    case AddressClass::kPublic:
      return true;
    case AddressClass::kPrivate:
      return egress == Egress::kOperator ||
             (address.is_known && allowed != nullptr && allowed->contains(address.bytes));
    case AddressClass::kMetadata:
      return false;
  }
  return false;
}

}  // namespace

Status AddressRanges::add(std::string_view range) {
  const std::size_t slash = range.find('/');
  const std::string_view host = range.substr(0, slash);
  const AnyAddress address = any_address(host);
  if (!address.is_known || host.find('%') != host.npos) {
    return fail("'" + std::string(range.substr(0, 60)) +
                "' is not a range of addresses such as 10.1.0.0/16 or fd12::/16");
  }
  const bool is_ipv4 = host.find(':') == host.npos;
  const unsigned bits_max = is_ipv4 ? 32 : 128;
  unsigned bits = bits_max;
  if (slash != range.npos) {
    const std::string_view text = range.substr(slash + 1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
    if (error != std::errc() || end != text.data() + text.size() || bits > bits_max) {
      return fail("'" + std::string(range.substr(0, 60)) + "' needs a number from 0 to " +
                  std::to_string(bits_max) + " after its /");
    }
  }
  ranges_.push_back({address.bytes, is_ipv4 ? bits + 96 : bits});
  return {};
}

bool AddressRanges::contains(const Ipv6& address) const noexcept {
  return std::any_of(ranges_.begin(), ranges_.end(), [&address](const Range& range) {
    return sidecast::contains(Ipv6Range{range.first, range.bits}, address);
  });
}

AddressClass classify_address(const sockaddr* address, socklen_t length) noexcept {
  return any_address(address, length).kind;
}

AddressClass classify_address(std::string_view address) noexcept {
  return any_address(address).kind;
}

bool is_egress_allowed(const sockaddr* address, socklen_t length, Egress egress,
                       const AddressRanges* allowed) noexcept {
  return is_allowed(any_address(address, length), egress, allowed);
}

bool is_egress_allowed(std::string_view address, Egress egress,
                       const AddressRanges* allowed) noexcept {
  const AnyAddress any = any_address(address);
  return any.is_known && is_allowed(any, egress, allowed);
}

bool names_metadata_service(std::string_view host) noexcept {
  static constexpr std::string_view kNames[] = {"metadata.google.internal", "metadata.goog",
                                                "instance-data", "instance-data.ec2.internal"};
  while (host.ends_with('.')) host.remove_suffix(1);
  for (const std::string_view name : kNames) {
    if (host.size() == name.size() && ::strncasecmp(host.data(), name.data(), name.size()) == 0) {
      return true;
    }
  }
  const AnyAddress literal = any_address(host);
  if (literal.is_known) return literal.kind == AddressClass::kMetadata;
  // inet_aton takes what resolvers take: 2852039166, 0xa9fea9fe, 0251.0376.0251.0376.
  in_addr in{};
  const std::string text(host);
  return ::inet_aton(text.c_str(), &in) != 0 &&
         classify(ntohl(in.s_addr)) == AddressClass::kMetadata;
}

}  // namespace sidecast
