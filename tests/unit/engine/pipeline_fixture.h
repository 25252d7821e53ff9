// An engine in the test's own process, with a real ring and a gateway that writes to it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sidecast.h>

#include "engine/config/config.h"
#include "engine/engine.h"
#include "engine/ledger/snapshot.h"
#include "tests/support/http_server.h"
#include "tests/support/temp_dir.h"

namespace sidecast {

using test::HttpServer;

inline sidecast_text text(std::string_view value) {
  return {value.data(), value.size()};
}

class Gateway {
 public:
  explicit Gateway(const std::string& ring_dir) {
    sidecast_options options{};
    options.struct_size = sizeof options;
    options.ring_dir = ring_dir.c_str();
    EXPECT_EQ(sidecast_open(&options, &writer_), SIDECAST_OK);
  }
  ~Gateway() { sidecast_close(writer_); }
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  void write(std::string_view id, std::string_view account = {}, std::size_t padding = 0) {
    const std::string request =
        fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"hello{}"}}]}})",
                    std::string(padding, 'x'));
    const sidecast_slice slice{request.data(), request.size()};
    sidecast_generation generation{};
    generation.struct_size = sizeof generation;
    generation.flags = SIDECAST_WRITE_ALL_OR_NOTHING;
    generation.generation_id = text(id);
    generation.account = text(account);
    generation.operation = text("chat");
    generation.request = {&slice, 1};
    generation.start_ns = 1'700'000'000'000'000'000;
    generation.end_ns = generation.start_ns + 1'000'000;
    // Ends by the test's own time limit if the engine does not read.
    while (sidecast_write_generation(writer_, &generation) != SIDECAST_OK)
      std::this_thread::yield();
  }
  void write_many(std::size_t count, std::string_view account = {}, std::size_t padding = 0) {
    for (std::size_t i = 0; i < count; ++i) {
      write(fmt::format("gen-{}-{}", account, next_++), account, padding);
    }
  }

 private:
  sidecast_writer* writer_ = nullptr;
  std::size_t next_ = 0;
};

inline std::string otlp(std::string_view name, const HttpServer& server,
                        std::string_view more = {}) {
  return fmt::format(
      "  - {{name: {}, type: otlp, endpoint: \"{}\", dialect: generic, encoding: otlp_json, "
      "compression: none{}}}\n",
      name, server.url(), more);
}

class Pipeline : public ::testing::Test {
 protected:
  std::unique_ptr<Engine> open(const std::string& destinations, std::string_view settings = {},
                               bool drain_and_end = true) {
    const std::string yaml = fmt::format(
        "ring_dir: {}\nworkers: 2\nbatch_age_max: 50ms\nshutdown_deadline: 2s\n{}"
        "destinations:\n{}",
        directory_.path(), settings, destinations);
    auto config = parse_config(yaml, "test.yaml");
    EXPECT_TRUE(config) << config.error().message();
    auto engine =
        Engine::open(std::move(*config), {.drain = drain_and_end, .version = "test"}, never_);
    EXPECT_TRUE(engine) << engine.error().message();
    return std::move(*engine);
  }
  bool drain(const std::string& destinations, std::string_view settings = {}) {
    return open(destinations, settings)->run(never_);
  }
  StatsSnapshot stats() const {
    auto read = read_stats(directory_.path());
    EXPECT_TRUE(read) << read.error().message();
    EXPECT_EQ(check_identities(*read), std::vector<std::string>{});
    EXPECT_EQ(read->engine.ledger_mismatches, 0U);
    return std::move(*read);
  }
  static std::uint64_t count(const ReasonCounts& counts, std::string_view reason) {
    for (const auto& [name, number] : counts) {
      if (name == reason) return number;
    }
    ADD_FAILURE() << "no reason " << reason;
    return 0;
  }
  static std::size_t ids_in(const HttpServer& server, std::string_view prefix) {
    std::size_t found = 0;
    for (const auto& request : server.requests()) {
      for (std::size_t at = 0; (at = request.body.find(prefix, at)) != std::string::npos; ++at)
        ++found;
    }
    return found;
  }

  test::TempDir directory_;
  const std::atomic<bool> never_{false};
};

}  // namespace sidecast
