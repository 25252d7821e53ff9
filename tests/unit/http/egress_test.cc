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

}  // namespace
}  // namespace sidecast
