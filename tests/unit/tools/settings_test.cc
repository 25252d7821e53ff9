// destinations, seal, add and test, as users run them, against the real sink.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/base/bytes.h"
#include "engine/base/sha256.h"
#include "tests/support/http_server.h"
#include "tests/unit/tools/program.h"
#include "tests/unit/tools/scratch.h"

namespace sidecast {
namespace {

using nlohmann::json;

std::string text_of(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Runs `sidecast ARGUMENTS` with this on its stdin; what it prints.
std::string output_with_stdin(const std::string& input, const std::string& arguments) {
  const std::string command =
      "printf '%s' '" + input + "' | " SIDECAST_PROGRAM " " + arguments + " 2>&1";
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  std::string out;
  for (int c = 0; (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
  ::pclose(pipe);
  return out;
}

class SettingsTest : public ::testing::Test {
 protected:
  // Where a sink listens, started when it is first asked for.
  std::string sink_url() {
    if (sink_ == nullptr) {
      sink_ = std::make_unique<Program>(std::vector<std::string>{
          "sink", "--listen", "127.0.0.1:0", "--out", scratch_.file("spans.jsonl"), "--quiet"});
      const std::string line = sink_->read_line();
      url_ = "http://" + line.substr(std::string("listening on ").size());
    }
    return url_;
  }
  void put(std::string_view name, std::string_view text) const {
    static_cast<void>(scratch_.put(name, text));
  }
  std::string config() const { return scratch_.file("sidecast.yaml"); }

  Scratch scratch_;
  std::unique_ptr<Program> sink_;
  std::string url_;
};

TEST_F(SettingsTest, DestinationsListsEveryTypeAndEveryOptionOfOne) {
  const json all = json::parse(run({"destinations", "--json"}).out);
  EXPECT_GE(all["destinations"].size(), 32U);
  const Ended one = run({"destinations", "langfuse"});
  EXPECT_EQ(one.exit_code, 0);
  for (const char* text :
       {"secret_key (required) (secret)", "region [us]", "us, eu, jp or hipaa"}) {
    EXPECT_NE(one.out.find(text), std::string::npos) << one.out;
  }
  EXPECT_EQ(run({"destinations", "nonsense"}).exit_code, 2);
  EXPECT_NE(run({"destinations"}).out.find("otel-collector"), std::string::npos);
}

TEST_F(SettingsTest, TestSaysInALineWhatCameOfIt) {
  put("sidecast.yaml", "destinations:\n- name: up\n  type: otlp\n  endpoint: " + sink_url() +
                           "\n- name: down\n  type: otlp\n"
                           "  endpoint: http://127.0.0.1:1\n"
                           "- name: nowhere\n  type: otlp\n"
                           "  endpoint: http://no-such-host.invalid\n"
                           "- name: metadata\n  type: otlp\n"
                           "  endpoint: http://169.254.169.254\n");
  const Ended up = run({"test", "up", "--config", config()});
  EXPECT_EQ(up.exit_code, 0) << up.out;
  EXPECT_EQ(up.out.find("up: ok: HTTP 200 (DNS "), 0U) << up.out;
  const Ended down = run({"test", "down", "--config", config()});
  EXPECT_EQ(down.exit_code, 1);
  EXPECT_EQ(down.out.find("down: failed: connect failed"), 0U) << down.out;
  EXPECT_NE(down.out.find("check host and port"), std::string::npos) << down.out;
  EXPECT_EQ(run({"test", "nowhere", "--config", config()}).out.find("nowhere: failed: name"), 0U);
  const Ended metadata = run({"test", "metadata", "--config", config()});
  EXPECT_EQ(metadata.exit_code, 1);
  EXPECT_EQ(metadata.out.find("metadata: failed: address not allowed"), 0U) << metadata.out;
  for (const Ended& ended : {up, down, metadata}) {
    EXPECT_EQ(std::count(ended.out.begin(), ended.out.end(), '\n'), 1) << ended.out;
  }
  EXPECT_EQ(run({"test", "other", "--config", config()}).exit_code, 2);
  EXPECT_EQ(run({"test", "up", "--config", "/no/such"}).exit_code, 2);
}

TEST_F(SettingsTest, TestNeverEchoesAPrivateServersAnswer) {
  Program sink({"sink", "--listen", "127.0.0.1:0", "--misbehave", "status=403", "--quiet"});
  const std::string url = "http://" + sink.read_line().substr(13);
  put("sidecast.yaml", "destinations:\n- {name: a, type: otlp, endpoint: '" + url + "'}\n");
  const Ended ended = run({"test", "a", "--config", config()});
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_EQ(ended.out.find("a: failed: HTTP 403 "), 0U) << ended.out;
  EXPECT_NE(ended.out.find("check the credentials"), std::string::npos) << ended.out;
  EXPECT_EQ(ended.out.find("says"), std::string::npos) << ended.out;
}

TEST_F(SettingsTest, SendTraceArrivesMarked) {
  put("sidecast.yaml", "destinations:\n- {name: a, type: otlp, endpoint: '" + sink_url() + "'}\n");
  const Ended ended = run({"test", "a", "--send-trace", "--config", config()});
  EXPECT_EQ(ended.exit_code, 0) << ended.out;
  sink_->terminate();
  static_cast<void>(sink_->wait());
  EXPECT_NE(text_of(scratch_.file("spans.jsonl")).find("sidecast-connection-test"),
            std::string::npos);
}

TEST_F(SettingsTest, CreateTableSaysWhatItDidAndThenTests) {
  test::HttpServer server;
  const test::ScriptedReply done{};
  server.script({done,
                 done,  // made, tested
                 {.status = 500,
                  .headers = {{"x-clickhouse-exception-code", "57"}},
                  .body = "Code: 57. DB::Exception: Table exists"},
                 done,
                 {.status = 403,
                  .headers = {{"x-clickhouse-exception-code", "497"}},
                  .body = "Code: 497. DB::Exception: hunter2 may not"}});
  put("sidecast.yaml",
      "destinations:\n- {name: lake, type: clickhouse, password: hunter2, endpoint: '" +
          server.url() + "'}\n- {name: a, type: otlp, endpoint: 'http://h'}\n");
  const auto create = [&](const char* name) {
    const Ended ended = run({"test", name, "--create-table", "--config", config()});
    EXPECT_EQ(ended.out.find("hunter2"), std::string::npos) << ended.out;
    return ended;
  };
  const Ended made = create("lake");
  EXPECT_EQ(made.exit_code, 0) << made.out;
  EXPECT_EQ(made.out.find("lake: ok: the table was made (DNS "), 0U) << made.out;
  EXPECT_NE(made.out.find("\nlake: ok: HTTP 200 ("), std::string::npos) << made.out;
  const Ended there = create("lake");
  EXPECT_EQ(there.exit_code, 0) << there.out;
  EXPECT_EQ(there.out.find("lake: ok: the table was there (DNS "), 0U) << there.out;
  const Ended refused = create("lake");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.out.find("ACCESS_DENIED"), std::string::npos) << refused.out;
  ASSERT_EQ(server.requests().size(), 5U) << "what could not be made is not tested";
  EXPECT_EQ(server.requests()[0].body.find("CREATE TABLE `default`.`SIDECAST_TRACES` ("), 0U);
  EXPECT_EQ(server.requests()[0].header("x-clickhouse-key"), "hunter2");
  const Ended none = create("a");
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_NE(none.out.find("no request makes its table"), std::string::npos) << none.out;
}

// Their requests are signed over the body's digest.
TEST_F(SettingsTest, SendTraceReachesFirehoseAndABucketOfBatches) {
  test::HttpServer server;
  server.set_default({.headers = {{"content-type", "application/x-amz-json-1.1"}},
                      .body = R"({"FailedPutCount":0,"RequestResponses":[{"RecordId":"a"}]})"});
  const std::string keys = "endpoint: '" + server.url() +
                           "', region: eu-west-1, access_key_id: AKIA, secret_access_key: s3cr3t";
  put("sidecast.yaml", "destinations:\n- {name: stream, type: firehose, stream: traces, " + keys +
                           "}\n- {name: bucket, type: s3, bucket: traces, objects: batch, " + keys +
                           "}\n");
  for (const char* name : {"stream", "bucket"}) {
    const Ended ended = run({"test", name, "--send-trace", "--config", config()});
    EXPECT_EQ(ended.exit_code, 0) << ended.out;
  }
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 2U);
  for (const test::ReceivedRequest& request : requests) {
    EXPECT_EQ(request.header("x-amz-content-sha256"), to_hex(as_bytes(sha256(request.body))));
    EXPECT_FALSE(request.body.empty());
  }
  EXPECT_EQ(json::parse(requests[0].body)["DeliveryStreamName"], "traces");
}

TEST_F(SettingsTest, AddSavesWhatPassedAndKeepsTheFile) {
  const std::string before =
      "# mine\ndestinations:\n  - name: first   # stays\n    type: otlp\n    endpoint: http://h\n";
  put("sidecast.yaml", before);
  const Ended added =
      run({"add", "otlp", "endpoint=" + sink_url(), "accounts=[acme]", "--config", config()});
  EXPECT_EQ(added.exit_code, 0) << added.out;
  EXPECT_EQ(text_of(config()), before + "  - name: otlp\n    type: otlp\n    endpoint: '" +
                                   sink_url() + "'\n    accounts: [acme]\n");
  EXPECT_EQ(run({"validate", config()}).exit_code, 0);
  const std::string saved = text_of(config());
  // What fails its test, or is wrong, changes nothing.
  EXPECT_EQ(run({"add", "otlp", "endpoint=http://127.0.0.1:1", "--config", config()}).exit_code, 1);
  EXPECT_EQ(run({"add", "otlp", "--config", config()}).exit_code, 2);
  EXPECT_EQ(run({"add", "otlp", "endpont=http://h", "--config", config()}).exit_code, 2);
  EXPECT_EQ(run({"add", "otlp", "endpoint", "--config", config()}).exit_code, 2);
  EXPECT_EQ(run({"add", "nonsense", "--config", config()}).exit_code, 2);
  EXPECT_EQ(
      run({"add", "otlp", "endpoint=http://h\n  - name: x", "--no-test", "--config", config()})
          .exit_code,
      2);
  EXPECT_EQ(text_of(config()), saved);
  EXPECT_EQ(run({"add", "otlp", "endpoint=http://127.0.0.1:1", "--no-test", "--config", config()})
                .exit_code,
            0);
  EXPECT_NE(text_of(config()).find("- name: otlp-2\n"), std::string::npos);
}

TEST_F(SettingsTest, AddSealsSecretsWhereThereIsAKey) {
  ASSERT_EQ(run({"seal", "--new-key", scratch_.file("key")}).exit_code, 0);
  put("sidecast.yaml", "seal_key_file: key\n");
  const Ended added = run({"add", "otlp", "endpoint=" + sink_url(), "authorization=Bearer hunter2",
                           "--key-file", scratch_.file("key"), "--config", config()});
  EXPECT_EQ(added.exit_code, 0) << added.out;
  const std::string text = text_of(config());
  EXPECT_NE(text.find("authorization: 'sealed:"), std::string::npos) << text;
  EXPECT_EQ(text.find("hunter2"), std::string::npos);
  EXPECT_EQ(added.out.find("hunter2"), std::string::npos);
  // The key opens it when a request is authorised.
  sink_->terminate();
  static_cast<void>(sink_->wait());
}

TEST_F(SettingsTest, SealedHeadersArriveOpened) {
  ASSERT_EQ(run({"seal", "--new-key", scratch_.file("key")}).exit_code, 0);
  std::string sealed =
      output_with_stdin("Bearer hunter2", "seal --key-file " + scratch_.file("key"));
  ASSERT_EQ(sealed.find("sealed:"), 0U) << sealed;
  sealed.pop_back();
  put("sidecast.yaml",
      "seal_key_file: key\ndestinations:\n- name: a\n  type: otlp\n  endpoint: " + sink_url() +
          "\n  authorization: " + sealed + "\n  headers: {X-Sealed: '" + sealed + "'}\n");
  const Ended ended = run({"test", "a", "--send-trace", "--config", config()});
  EXPECT_EQ(ended.exit_code, 0) << ended.out;
  sink_->terminate();
  static_cast<void>(sink_->wait());
  std::ifstream spans(scratch_.file("spans.jsonl"));
  std::string line;
  ASSERT_TRUE(std::getline(spans, line));
  const std::string headers = json::parse(line)["request"]["headers"].dump();
  EXPECT_NE(headers.find("x-sealed"), std::string::npos) << headers;
}

TEST_F(SettingsTest, RotateSealsEveryValueAgainUnderANewKey) {
  const std::string key = scratch_.file("key");
  ASSERT_EQ(run({"seal", "--new-key", key}).exit_code, 0);
  EXPECT_EQ(run({"seal", "--new-key", key}).exit_code, 1) << "a key is never overwritten";
  const auto seal = [&](const std::string& secret) {
    std::string sealed = output_with_stdin(secret, "seal --key-file " + key);
    sealed.pop_back();
    return sealed;
  };
  const std::string one = seal("Bearer one");
  const std::string text =
      "# keep\nseal_key_file: key\ndestinations:\n- name: a\n  type: otlp\n"
      "  endpoint: http://h  # here\n  authorization: " +
      one + "\n";
  put("sidecast.yaml", text);
  const std::string old_key = text_of(key);
  const Ended rotated = run({"seal", "--key-file", key, "--rotate", config(), "--forget-old"});
  ASSERT_EQ(rotated.exit_code, 0) << rotated.out;
  const std::string after = text_of(config());
  EXPECT_EQ(after.find(one), std::string::npos);
  EXPECT_EQ(after.substr(0, after.find("sealed:")), text.substr(0, text.find("sealed:")));
  EXPECT_EQ(run({"validate", config()}).exit_code, 0);
  EXPECT_EQ(text_of(key).find(old_key), std::string::npos);
  // Under the new key alone the old value is worth nothing, and a file that holds one stays as it
  // is.
  put("old.yaml", text);
  const std::string key_before = text_of(key);
  EXPECT_EQ(run({"validate", scratch_.file("old.yaml")}).exit_code, 2);
  const Ended failed =
      run({"seal", "--key-file", key, "--rotate", config(), scratch_.file("old.yaml")});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_NE(failed.out.find("old.yaml: line 7: it was sealed under a key that is not here"),
            std::string::npos)
      << failed.out;
  EXPECT_EQ(text_of(config()), after);
  EXPECT_EQ(text_of(key), key_before);
  // Without --forget-old both keys stay, the new one first.
  ASSERT_EQ(run({"seal", "--key-file", key, "--rotate", config()}).exit_code, 0);
  EXPECT_TRUE(text_of(key).ends_with(key_before));
  EXPECT_EQ(run({"validate", config()}).exit_code, 0);
}

TEST_F(SettingsTest, WithoutAKeyNothingIsSealed) {
  ::unsetenv("SIDECAST_SEAL_KEY");
  ::unsetenv("SIDECAST_SEAL_KEY_FILE");
  ::unsetenv("CREDENTIALS_DIRECTORY");
  const std::string out = output_with_stdin("hunter2", "seal");
  EXPECT_NE(out.find("there is no key"), std::string::npos) << out;
  EXPECT_EQ(out.find("hunter2"), std::string::npos);
  ASSERT_EQ(run({"seal", "--new-key", scratch_.file("sidecast-seal-key")}).exit_code, 0);
  ::setenv("CREDENTIALS_DIRECTORY", scratch_.file("").c_str(), 1);
  EXPECT_EQ(output_with_stdin("hunter2", "seal").find("sealed:"), 0U)
      << "a credential of systemd's";
  ::unsetenv("CREDENTIALS_DIRECTORY");
}

}  // namespace
}  // namespace sidecast
