#include "exporters/http/egress.h"

#include <string>

#include <gtest/gtest.h>

namespace sidecast {
namespace {

TEST(Egress, MetadataServicesAreDeniedToAll) {
  for (const char* address :
       {"169.254.169.254", "169.254.170.2", "169.254.0.1", "100.100.100.200", "168.63.129.16",
        "192.0.0.192", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::a9fe:a9fe%eth0"}) {
    EXPECT_FALSE(is_egress_allowed(address, Egress::kOperator)) << address;
    EXPECT_FALSE(is_egress_allowed(address, Egress::kTenant)) << address;
  }
}

TEST(Egress, HostileIpv4InsideIpv6IsJudgedAsWhatItReaches) {
  for (const char* address :
       {"::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1", "::169.254.169.254", "::ffff:0:169.254.169.254"}) {
    EXPECT_FALSE(is_egress_allowed(address, Egress::kOperator)) << address;
  }
  EXPECT_FALSE(is_egress_allowed("::ffff:127.0.0.1", Egress::kTenant));
  EXPECT_TRUE(is_egress_allowed("::ffff:127.0.0.1", Egress::kOperator));
  EXPECT_TRUE(is_egress_allowed("::ffff:8.8.8.8", Egress::kTenant));
}

TEST(Egress, PrivateNetworksAreForTheOperatorOnly) {
  for (const char* address :
       {"127.0.0.1", "127.255.0.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "100.64.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::1",
        "::", "fc00::1", "fdff::1", "fec0::1", "ff02::1", "2001:db8::1"}) {
    EXPECT_TRUE(is_egress_allowed(address, Egress::kOperator)) << address;
    EXPECT_FALSE(is_egress_allowed(address, Egress::kTenant)) << address;
  }
}

TEST(Egress, PublicAddressesAreForAll) {
  for (const char* address :
       {"1.1.1.1", "172.15.0.1", "172.32.0.1", "169.253.255.255", "169.255.0.0", "100.63.255.255",
        "100.128.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1"}) {
    EXPECT_TRUE(is_egress_allowed(address, Egress::kTenant)) << address;
  }
}

TEST(Egress, HostileWhatIsNoAddressIsDenied) {
  for (const char* address :
       {"", "localhost", "1.2.3", "0x7f.1", "::ffff:1.2.3.4.5", "/run/x.sock"}) {
    EXPECT_FALSE(is_egress_allowed(address, Egress::kOperator)) << address;
  }
}

TEST(Egress, HostileShortSocketAddressIsNotRead) {
  sockaddr address{};
  address.sa_family = AF_INET6;
  EXPECT_EQ(classify_address(&address, sizeof address), AddressClass::kPrivate);
}

AddressRanges ranges_of(std::initializer_list<std::string_view> texts) {
  AddressRanges ranges;
  for (const std::string_view text : texts) {
    const Status added = ranges.add(text);
    EXPECT_TRUE(added) << added.error().message();
  }
  return ranges;
}

TEST(Egress, TenantsReachPrivateRangesOfTheOperatorsListAndNoOthers) {
  const AddressRanges allowed =
      ranges_of({"10.1.0.0/16", "192.168.1.7", "fd12:3456::/32", "169.254.0.0/16", "fe80::/10"});
  const auto is_allowed = [&allowed](std::string_view address) {
    return is_egress_allowed(address, Egress::kTenant, &allowed);
  };
  for (const char* address :
       {"10.1.0.1", "10.1.255.255", "::ffff:10.1.2.3", "192.168.1.7", "fd12:3456::1", "8.8.8.8"}) {
    EXPECT_TRUE(is_allowed(address)) << address;
  }
  for (const char* address : {"10.2.0.1", "192.168.1.8", "fd12:3457::1", "127.0.0.1", "0.0.0.0",
                              "64:ff9b::10.1.0.1", "localhost"}) {
    EXPECT_FALSE(is_allowed(address)) << address;
  }
  // Whatever the list says.
  for (const char* address : {"169.254.169.254", "::ffff:169.254.169.254", "fe80::1"}) {
    EXPECT_FALSE(is_allowed(address)) << address;
  }
}

TEST(Egress, HostileRangesAreRefused) {
  AddressRanges ranges;
  for (const char* text :
       {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "localhost/8", "10.0.0/8",
        "fd00::/129", "fe80::1%eth0", "/8", "0x0a.0.0.0/8"}) {
    EXPECT_FALSE(ranges.add(text)) << text;
  }
  EXPECT_TRUE(ranges.is_empty());
}

TEST(Egress, MetadataServicesAreKnownByNameAndInAnySpelling) {
  for (const char* host :
       {"169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "0xa9.254.0251.254",
        "::ffff:169.254.169.254", "fd00:ec2::254", "metadata.google.internal",
        "Metadata.Google.Internal.", "instance-data"}) {
    EXPECT_TRUE(names_metadata_service(host)) << host;
  }
  for (const char* host : {"example.com", "127.0.0.1", "10.0.0.1", "8.8.8.8", "", "metadata"}) {
    EXPECT_FALSE(names_metadata_service(host)) << host;
  }
}

}  // namespace
}  // namespace sidecast
