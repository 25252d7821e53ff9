// The recorded exchanges with real providers, for tests and benchmarks: gzip JSON Lines, read from
// $SIDECAST_DATA or ../shared/data beside the source tree. They are no part of the repository:
// where they are missing, tests say so loudly and pass.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace sidecast::test {

struct Exchange {
  std::string id;
  std::string provider;
  std::string operation;
  std::string model;
  std::string url_path;
  int status = 0;
  bool streaming = false;
  std::string request;   // compact JSON; empty if it was not recorded
  std::string response;  // compact JSON, or the raw stream
  bool is_stream = false;
  // As the provider reported them.
  struct Tokens {
    std::optional<std::int64_t> input;
    std::optional<std::int64_t> output;
    std::optional<std::int64_t> cached;
    std::optional<std::int64_t> cache_write;
    std::optional<std::int64_t> reasoning;
    std::optional<double> cost;
  } tokens;
};

// Calls `visit` for each exchange of a file such as "exchanges.jsonl.gz", in order. False, after a
// loud word on stderr, if the file is missing.
bool for_each_exchange(const std::string& file, const std::function<void(const Exchange&)>& visit);

// Each call of the recorded conversations as a chat completion: the request holds the messages
// before an assistant's, the response is that one. Their token counts are empty.
bool for_each_conversation_call(const std::function<void(const Exchange&)>& visit);

}  // namespace sidecast::test
