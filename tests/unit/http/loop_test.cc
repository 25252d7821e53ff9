// The loop against a real server over real sockets.
#include "exporters/http/loop.h"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "tests/unit/http/loop_fixture.h"

namespace sidecast::test {
namespace {

using Failure = Response::Failure;
using Manner = ScriptedReply::Manner;
using std::chrono::milliseconds;

TEST_F(LoopTest, SendsPiecesAsOneBodyOfKnownLength) {
  HttpServer server;
  server.set_default({.status = 202, .headers = {{"X-Thing", "  a b "}}, .body = "taken"});
  const std::string large(300'000, 'x');
  const Answer answer =
      send(post_to(server.url() + "/v1/traces?a=b", {"head,", "", large, ",tail"}));
  EXPECT_EQ(answer.response.failure, Failure::kNone);
  EXPECT_EQ(answer.response.status, 202);
  EXPECT_EQ(answer.response.body, "taken");
  EXPECT_EQ(header_value(answer.response, "x-thing"), "a b");
  EXPECT_EQ(answer.times.http_version, 11);
  EXPECT_GT(answer.times.total.count(), 0);
  const ReceivedRequest request = server.requests().at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/v1/traces?a=b");
  EXPECT_EQ(request.body, "head," + large + ",tail");
  EXPECT_EQ(request.header("content-length"), std::to_string(request.body.size()));
  EXPECT_EQ(request.header("content-type"), "application/x-protobuf");
  EXPECT_EQ(request.header("user-agent"), "test/1");
  EXPECT_FALSE(request.has_header("expect"));
  EXPECT_FALSE(request.has_header("transfer-encoding"));
}

TEST_F(LoopTest, MethodsAndEmptyBodiesArriveAsAsked) {
  HttpServer server;
  for (const char* method : {"POST", "PUT", "GET", "DELETE", "HEAD"}) {
    Request request;
    request.method = method;
    request.url = server.url() + "/";
    EXPECT_EQ(send(std::move(request)).response.status, 200) << method;
    const ReceivedRequest received = server.requests().back();
    EXPECT_EQ(received.method, method);
    EXPECT_FALSE(received.has_header("content-type")) << method;
    EXPECT_FALSE(received.has_header("expect")) << method;
  }
  Request put;
  put.method = "PUT";
  put.url = server.url() + "/a%20b/../c";
  put.headers = {{"x-empty", ""}};
  put.body = {"object"};
  EXPECT_EQ(send(std::move(put)).response.status, 200);
  EXPECT_EQ(server.requests().back().body, "object");
  EXPECT_EQ(server.requests().back().target, "/a%20b/../c");
  EXPECT_TRUE(server.requests().back().has_header("x-empty"));
}

TEST_F(LoopTest, KeepsConnectionsForLaterRequests) {
  HttpServer server;
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(send(post_to(server.url() + "/", {"body"})).response.status, 200);
  }
  EXPECT_EQ(server.connection_count(), 1U);
}

TEST_F(LoopTest, OpensAnotherConnectionWhenOneIsOld) {
  HttpServer server;
  TransferOptions options;
  options.connection_lifetime = std::chrono::seconds(1);
  const Instant deadline = monotonic_now() + kWatchdog;
  while (server.connection_count() < 2 && monotonic_now() < deadline) {
    ASSERT_EQ(send(post_to(server.url() + "/", {"body"}), options).response.status, 200);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(server.connection_count(), 2U);
  EXPECT_GT(server.requests().size(), 2U) << "one that is young is used again";
}

TEST_F(LoopTest, SendsAgainOnAFreshConnectionWhenAKeptOneWasClosed) {
  HttpServer server;
  server.set_default({.manner = Manner::kWholeAndClose});
  for (int i = 0; i < 20; ++i) {
    const Answer answer = send(post_to(server.url() + "/", {"first", "second"}));
    ASSERT_EQ(answer.response.failure, Failure::kNone) << answer.response.failure_text;
    ASSERT_EQ(server.requests().back().body, "firstsecond");
  }
}

class NarrowLoopTest : public LoopTest {
 protected:
  NarrowLoopTest()
      : LoopTest({.connections_max = 4, .idle_connections_max = 2, .user_agent = ""}) {}
};

TEST_F(NarrowLoopTest, ThousandTransfersShareFewConnections) {
  HttpServer server;
  std::vector<Request> requests;
  for (int i = 0; i < 1000; ++i) {
    auto text = std::make_shared<std::string>("body " + std::to_string(i));
    requests.push_back(post_to(server.url() + "/" + std::to_string(i), {*text}));
    requests.back().keep_alive = text;
  }
  for (const Answer& answer : send_all(std::move(requests))) {
    ASSERT_EQ(answer.response.status, 200) << answer.response.failure_text;
  }
  EXPECT_LE(server.connection_count(), 4U);
  const std::vector<ReceivedRequest> received = server.requests();
  ASSERT_EQ(received.size(), 1000U);
  for (const ReceivedRequest& request : received) {
    EXPECT_EQ(request.body, "body " + request.target.substr(1));
  }
}

TEST_F(NarrowLoopTest, ServersThatHangLeaveRoomForThoseThatAnswer) {
  HttpServer hanging;
  hanging.set_default({.manner = Manner::kNever});
  HttpServer healthy;
  on_loop([&] {
    TransferOptions doubtful;
    doubtful.standing = {.is_proven = false, .failures = 1};
    for (int i = 0; i < 300; ++i) {
      doubtful.destination = std::to_string(i);
      loop_.send(post_to(hanging.url() + "/"), doubtful,
                 [](const Response&, const TransferTimes&) {});
    }
  });
  ASSERT_TRUE(hanging.wait_for_requests(2));
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(send(post_to(healthy.url() + "/")).response.status, 200);
  }
  EXPECT_EQ(hanging.requests().size(), 2U) << "half of the connections, no more";
}

TEST_F(NarrowLoopTest, WhoIsNewAtATenantDoesNotWaitForTheTimeoutsOfItsOwnThatHang) {
  HttpServer hanging;
  hanging.set_default({.manner = Manner::kNever});
  HttpServer healthy;
  auto allowed = std::make_shared<AddressRanges>();
  ASSERT_TRUE(allowed->add("127.0.0.0/8"));
  TransferOptions tenants;
  tenants.egress = Egress::kTenant;
  tenants.egress_allowed = allowed;
  tenants.timeout = std::chrono::minutes(30);
  on_loop([&] {
    for (int i = 0; i < 10; ++i) {
      tenants.destination = "acme/" + std::to_string(i);
      tenants.standing = {.is_proven = false, .failures = 3};
      loop_.send(post_to(hanging.url() + "/"), tenants,
                 [](const Response&, const TransferTimes&) {});
    }
  });
  ASSERT_TRUE(hanging.wait_for_requests(1)) << "all that the tenant may have open";
  tenants.destination = "acme/new";
  tenants.standing = {.is_proven = false, .failures = 0};
  EXPECT_EQ(send(post_to(healthy.url() + "/"), tenants).response.status, 200);
}

TEST_F(NarrowLoopTest, ATimeoutBeginsWithItsTurn) {
  HttpServer server;
  server.set_default({.manner = Manner::kNever});
  TransferOptions impatient;
  impatient.timeout = milliseconds(100);
  std::vector<Request> requests;
  for (int i = 0; i < 12; ++i) requests.push_back(post_to(server.url() + "/"));
  for (const Answer& answer : send_all(std::move(requests), impatient)) {
    EXPECT_EQ(answer.response.failure, Failure::kTimeout);
  }
  EXPECT_EQ(server.requests().size(), 12U) << "each was sent, three rounds long";
}

// A connection that the operator's destinations opened to a private address is there to be used
// again; a tenant that names the same host gets one of its own, checked when it opened.
TEST_F(LoopTest, TrustClassesNeverShareAConnection) {
  HttpServer server;
  auto ranges = std::make_shared<AddressRanges>();
  ASSERT_TRUE(ranges->add("127.0.0.0/8"));
  const TransferOptions operators;
  TransferOptions tenants;
  tenants.egress = Egress::kTenant;
  tenants.egress_allowed = ranges;
  for (int round = 0; round < 5; ++round) {
    ASSERT_EQ(send(post_to(server.url() + "/"), operators).response.status, 200);
    ASSERT_EQ(send(post_to(server.url() + "/"), tenants).response.status, 200);
    EXPECT_EQ(server.connection_count(), 2U) << "one each, and each used again";
  }
  tenants.egress_allowed = nullptr;
  EXPECT_EQ(send(post_to(server.url() + "/"), tenants).response.failure, Failure::kRefusedAddress)
      << "on its own class's connection it is checked again";
  EXPECT_EQ(server.requests().size(), 10U);
}

TEST_F(LoopTest, TimeoutResetAndRefusalAreToldApart) {
  HttpServer server;
  server.script({{.manner = Manner::kNever},
                 {.manner = Manner::kReset},
                 {.manner = Manner::kResetUnread},
                 {.body = "a whole answer", .manner = Manner::kHalf}});
  TransferOptions impatient;
  impatient.timeout = milliseconds(100);
  EXPECT_EQ(send(post_to(server.url() + "/", {"x"}), impatient).response.failure,
            Failure::kTimeout);
  EXPECT_EQ(send(post_to(server.url() + "/", {"x"})).response.failure, Failure::kReset);
  const std::string large(8U << 20U, 'x');
  EXPECT_EQ(send(post_to(server.url() + "/", {large})).response.failure, Failure::kReset);
  EXPECT_EQ(send(post_to(server.url() + "/", {"x"})).response.failure, Failure::kReset);

  const Answer refused = send(post_to("http://127.0.0.1:" + std::to_string(unused_port()) + "/"));
  EXPECT_EQ(refused.response.failure, Failure::kConnect);
  EXPECT_NE(refused.response.failure_text.find("Connection refused"), std::string::npos)
      << refused.response.failure_text;
  EXPECT_EQ(refused.response.failure_text.find("127.0.0.1"), std::string::npos);
  EXPECT_EQ(send(post_to("http://no-such-host.invalid/")).response.failure, Failure::kResolve);
}

TEST_F(LoopTest, EndlessAnswerIsCutAndCountsAsAnAnswer) {
  HttpServer server;
  server.set_default(
      {.status = 400, .body = std::string(100'000, 'z'), .manner = Manner::kEndless});
  const Answer answer = send(post_to(server.url() + "/"));
  EXPECT_EQ(answer.response.failure, Failure::kNone);
  EXPECT_EQ(answer.response.status, 400);
  EXPECT_TRUE(answer.response.body_truncated);
  EXPECT_EQ(answer.response.body.size(), kResponseBytesMax);
}

TEST_F(LoopTest, HostileHeadersAreBounded) {
  HttpServer server;
  HeaderFields headers;
  for (int i = 0; i < 200; ++i)
    headers.emplace_back("X-" + std::to_string(i), std::string(900, 'v'));
  server.set_default({.headers = headers});
  const Answer answer = send(post_to(server.url() + "/"));
  EXPECT_EQ(answer.response.status, 200);
  std::size_t bytes = 0;
  for (const Header& header : answer.response.headers) bytes += header.value.size();
  EXPECT_LE(bytes, 64U << 10U);
}

TEST_F(LoopTest, RedirectsAreNotFollowed) {
  HttpServer target;
  HttpServer server;
  server.set_default({.status = 307, .headers = {{"Location", target.url() + "/stolen"}}});
  EXPECT_EQ(send(post_to(server.url() + "/")).response.status, 307);
  EXPECT_TRUE(target.requests().empty());
}

TEST_F(LoopTest, EnvironmentsProxiesAreIgnored) {
  HttpServer proxy;
  HttpServer server;
  ::setenv("http_proxy", proxy.url().c_str(), 1);
  ::setenv("ALL_PROXY", proxy.url().c_str(), 1);
  EXPECT_EQ(send(post_to(server.url() + "/direct")).response.status, 200);
  EXPECT_EQ(proxy.requests().size(), 0U);
  // A proxy that the config names is used, whatever the environment excepts.
  ::setenv("no_proxy", "*", 1);
  TransferOptions options;
  options.proxy = proxy.url();
  EXPECT_EQ(send(post_to(server.url() + "/by-proxy"), options).response.status, 200);
  ASSERT_EQ(proxy.requests().size(), 1U);
  EXPECT_EQ(proxy.requests()[0].target, server.url() + "/by-proxy");
  for (const char* name : {"http_proxy", "ALL_PROXY", "no_proxy"}) ::unsetenv(name);
}

TEST_F(LoopTest, MetadataAddressesAreRefusedWhateverTheirSpelling) {
  for (const char* host : {"169.254.169.254", "2852039166", "[::ffff:169.254.169.254]"}) {
    const Answer answer = send(post_to("http://" + std::string(host) + "/"));
    EXPECT_EQ(answer.response.failure, Failure::kRefusedAddress) << host;
  }
}

TEST_F(LoopTest, TenantsReachNoPrivateAddressNotEvenByAConnectionThatIsOpen) {
  HttpServer server;
  ASSERT_EQ(send(post_to(server.url() + "/operator")).response.status, 200);
  TransferOptions tenant;
  tenant.egress = Egress::kTenant;
  const Answer answer = send(post_to(server.url() + "/tenant"), tenant);
  EXPECT_EQ(answer.response.failure, Failure::kRefusedAddress);
  EXPECT_EQ(server.requests().size(), 1U);
  ASSERT_EQ(send(post_to(server.url() + "/operator")).response.status, 200);
}

TEST_F(LoopTest, TenantsReachWhatTheOperatorsListAllows) {
  HttpServer server;
  TransferOptions tenant;
  tenant.egress = Egress::kTenant;
  auto allowed = std::make_shared<AddressRanges>();
  ASSERT_TRUE(allowed->add("127.0.0.1"));
  tenant.egress_allowed = allowed;
  const Answer answer = send(post_to(server.url() + "/"), tenant);
  EXPECT_EQ(answer.response.status, 200) << answer.response.failure_text;
  EXPECT_TRUE(answer.times.is_peer_private);
}

TEST_F(LoopTest, HostileSpellingsOfPrivateAddressesAreRefusedToTenants) {
  HttpServer server;
  const std::string port = ":" + std::to_string(server.port()) + "/";
  TransferOptions tenant;
  tenant.egress = Egress::kTenant;
  // Names that resolve to it as well: each connection is judged by the address it opens.
  for (const char* host : {"localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1",
                           "0.0.0.0", "0", "[::1]", "[::ffff:127.0.0.1]", "[::]"}) {
    const Answer answer = send(post_to("http://" + std::string(host) + port), tenant);
    EXPECT_EQ(answer.response.failure, Failure::kRefusedAddress) << host;
  }
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(LoopTest, TenantsUseNoProxyAndNobodyReachesMetadataByOne) {
  HttpServer proxy;
  TransferOptions options;
  options.proxy = proxy.url();
  for (const char* url : {"http://169.254.169.254/", "http://0xa9fea9fe/", "http://2852039166/",
                          "http://metadata.google.internal/", "http://[::ffff:169.254.169.254]/"}) {
    const Answer answer = send(post_to(url), options);
    EXPECT_EQ(answer.response.failure, Failure::kRefusedAddress) << url;
  }
  options.egress = Egress::kTenant;
  EXPECT_EQ(send(post_to("http://example.com/"), options).response.failure,
            Failure::kRefusedAddress);
  EXPECT_TRUE(proxy.requests().empty());
}

TEST_F(LoopTest, ProxyIsGivenItsCredentialsAndLeftOutForItsExceptions) {
  HttpServer proxy;
  HttpServer server;
  TransferOptions options;
  options.proxy = proxy.url();
  options.proxy_credentials = LockedBytes("user:pass:word");
  ASSERT_EQ(send(post_to("http://backend.invalid/by-proxy"), options).response.status, 200);
  ASSERT_EQ(proxy.requests().size(), 1U);
  EXPECT_EQ(proxy.requests()[0].header("proxy-authorization"), "Basic dXNlcjpwYXNzOndvcmQ=");
  options.no_proxy = "other.invalid,127.0.0.1";
  ASSERT_EQ(send(post_to(server.url() + "/direct"), options).response.status, 200);
  EXPECT_EQ(proxy.requests().size(), 1U);
  ASSERT_EQ(server.requests().size(), 1U);
  EXPECT_FALSE(server.requests()[0].has_header("proxy-authorization"));
}

TEST_F(LoopTest, HostileRequestIsRefusedBeforeItIsSent) {
  HttpServer server;
  for (const Header& header : {Header{"x-a", "1\r\nx-injected: 2"}, Header{"x\r\ny", "1"},
                               Header{"", "1"}, Header{"a:b", "1"}}) {
    Request request = post_to(server.url() + "/");
    request.headers.push_back(header);
    EXPECT_EQ(send(std::move(request)).response.failure, Failure::kOther);
  }
  EXPECT_EQ(send(post_to("file:///etc/hostname")).response.failure, Failure::kOther);
  EXPECT_EQ(send(post_to("")).response.failure, Failure::kOther);
  EXPECT_TRUE(server.requests().empty());
  EXPECT_EQ(send(post_to(server.url() + "/")).response.status, 200);
}

TEST_F(LoopTest, StopCancelsWhatIsOpenWithoutCompletion) {
  HttpServer server;
  server.set_default({.manner = Manner::kNever});
  std::atomic<int> completions{0};
  auto owned = std::make_shared<int>(1);
  on_loop([&] {
    for (int i = 0; i < 10; ++i) {
      Request request = post_to(server.url() + "/", {"x"});
      request.keep_alive = owned;
      loop_.send(std::move(request), {},
                 [&completions](const Response&, const TransferTimes&) { ++completions; });
    }
    EXPECT_EQ(loop_.open_transfers(), 10U);
  });
  ASSERT_TRUE(server.wait_for_requests(10));
  stop();
  EXPECT_EQ(completions, 0);
  EXPECT_EQ(loop_.open_transfers(), 0U);
  EXPECT_EQ(owned.use_count(), 1);
}

TEST_F(LoopTest, RequestIsLetGoBeforeItsCompletionRuns) {
  HttpServer server;
  auto owned = std::make_shared<int>(1);
  Request request = post_to(server.url() + "/");
  request.keep_alive = owned;
  long count = 0;
  bool is_done = false;
  on_loop([&] {
    loop_.send(std::move(request), {}, [&](const Response&, const TransferTimes&) {
      with_lock([&] {
        count = owned.use_count();
        is_done = true;
      });
    });
  });
  wait([&] { return is_done; });
  EXPECT_EQ(count, 1);
}

TEST_F(LoopTest, CompletionMaySendAgain) {
  HttpServer server;
  int left = 50;
  std::function<void()> again = [&] {
    loop_.send(post_to(server.url() + "/"), {},
               [&](const Response& response, const TransferTimes&) {
                 EXPECT_EQ(response.status, 200);
                 bool is_last = false;
                 with_lock([&] { is_last = --left == 0; });
                 if (!is_last) again();
               });
  };
  loop_.post(again);
  wait([&] { return left == 0; });
  EXPECT_EQ(server.connection_count(), 1U);
}

TEST_F(LoopTest, PostsFromManyThreadsAllRunAndInEachThreadsOrder) {
  constexpr int kThreads = 8;
  constexpr int kEach = 2000;
  std::vector<int> last(kThreads, -1);
  int run = 0;
  bool in_order = true;
  std::vector<std::thread> posters;
  for (int t = 0; t < kThreads; ++t) {
    posters.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        loop_.post([&, t, i] {
          const auto slot = static_cast<std::size_t>(t);
          in_order = in_order && last[slot] == i - 1;
          last[slot] = i;
          if (++run == kThreads * kEach) with_lock([] {});
        });
      }
    });
  }
  for (std::thread& poster : posters) poster.join();
  int seen = 0;
  while (seen < kThreads * kEach) on_loop([&] { seen = run; });
  on_loop([&] { EXPECT_TRUE(in_order); });
}

TEST_F(LoopTest, TimersRunInOrderWhileTransfersAreOpenAndCancelledOnesDoNot) {
  HttpServer server;
  server.set_default({.manner = Manner::kNever});
  std::string ran;
  on_loop([&] {
    loop_.send(post_to(server.url() + "/"), {}, [](const Response&, const TransferTimes&) {});
    loop_.after(milliseconds(30), [&] { with_lock([&] { ran += 'c'; }); });
    loop_.after(milliseconds(5), [&] { with_lock([&] { ran += 'a'; }); });
    const HttpLoop::TimerId cancelled =
        loop_.after(milliseconds(10), [&] { with_lock([&] { ran += 'x'; }); });
    loop_.after(milliseconds(5), [&, cancelled] {
      loop_.cancel(cancelled);
      with_lock([&] { ran += 'b'; });
    });
  });
  wait([&] { return ran.size() >= 3; });
  EXPECT_EQ(ran, "abc");
}

}  // namespace
}  // namespace sidecast::test
