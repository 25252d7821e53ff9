#include "tests/support/exchanges.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <simdjson.h>
#include <zlib.h>

namespace sidecast::test {
namespace {

std::filesystem::path data_folder() {
  if (const char* const folder = std::getenv("SIDECAST_DATA"))
    return folder;  // NOLINT(concurrency-mt-unsafe)
  return std::filesystem::path(SIDECAST_SOURCE_DIR) / ".." / "shared" / "data";
}

// Calls `visit` for each line; false if the file is missing. gzread reads plain files as well.
bool for_each_line(const std::string& file, const std::function<void(std::string_view)>& visit) {
  const std::filesystem::path path = data_folder() / file;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> input(gzopen(path.c_str(), "rb"), &gzclose);
  if (input == nullptr) {
    std::fprintf(stderr,
                 "\n*** NOT TESTED ON REAL INPUT: %s is missing (set SIDECAST_DATA) ***\n\n",
                 path.c_str());
    return false;
  }
  std::vector<char> block(1U << 20U);
  std::string line;
  while (true) {
    const int size = gzread(input.get(), block.data(), static_cast<unsigned>(block.size()));
    if (size < 0) throw std::runtime_error("cannot read " + path.string());
    if (size == 0) break;
    std::string_view rest(block.data(), static_cast<std::size_t>(size));
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      line.append(rest.substr(0, end));
      if (end == std::string_view::npos) break;
      visit(line);
      line.clear();
      rest.remove_prefix(end + 1);
    }
  }
  if (!line.empty()) visit(line);
  return true;
}

using Element = simdjson::dom::element;

template <typename T>
std::optional<T> get(const Element& object, const char* key) {
  T value;
  if (object[key].get(value) != simdjson::SUCCESS) return std::nullopt;
  return value;
}

std::string text_of(const Element& object, const char* key) {
  return std::string(get<std::string_view>(object, key).value_or(""));
}

// An object as compact JSON; empty for null or nothing.
std::string json_of(const Element& object, const char* key) {
  Element value;
  if (object[key].get(value) != simdjson::SUCCESS || value.is_null()) return {};
  return simdjson::minify(value);
}

}  // namespace

bool for_each_exchange(const std::string& file, const std::function<void(const Exchange&)>& visit) {
  simdjson::dom::parser parser;
  return for_each_line(file, [&](std::string_view line) {
    const Element source = parser.parse(line.data(), line.size());
    Exchange exchange;
    exchange.id = text_of(source, "id");
    exchange.provider = text_of(source, "provider");
    exchange.operation = text_of(source, "operation");
    exchange.model = text_of(source, "model");
    exchange.url_path = text_of(source, "url_path");
    exchange.status = static_cast<int>(get<std::int64_t>(source, "status").value_or(0));
    exchange.streaming = get<bool>(source, "streaming").value_or(false);
    exchange.request = json_of(source, "request");
    exchange.response = text_of(source, "response_sse");
    exchange.is_stream = !exchange.response.empty();
    if (!exchange.is_stream) exchange.response = json_of(source, "response");
    Element tokens;
    if (source["tokens"].get(tokens) == simdjson::SUCCESS) {
      exchange.tokens.input = get<std::int64_t>(tokens, "input");
      exchange.tokens.output = get<std::int64_t>(tokens, "output");
      exchange.tokens.cached = get<std::int64_t>(tokens, "cached");
      exchange.tokens.cache_write = get<std::int64_t>(tokens, "cache_write");
      exchange.tokens.reasoning = get<std::int64_t>(tokens, "reasoning");
      exchange.tokens.cost = get<double>(tokens, "cost");
    }
    visit(exchange);
  });
}

bool for_each_conversation_call(const std::function<void(const Exchange&)>& visit) {
  simdjson::dom::parser parser;
  return for_each_line("conversations.jsonl.gz", [&](std::string_view line) {
    const Element source = parser.parse(line.data(), line.size());
    std::string before;  // the messages so far
    int call = 0;
    for (const Element message : source["messages"].get_array()) {
      const std::string json = simdjson::minify(message);
      if (text_of(message, "role") == "assistant" && !before.empty()) {
        Exchange exchange;
        exchange.id = text_of(source, "id") + "-" + std::to_string(call++);
        exchange.operation = "chat";
        exchange.url_path = "/v1/chat/completions";
        exchange.status = 200;
        exchange.request = R"({"model":"recorded","messages":[)" + before + "]}";
        exchange.response =
            R"({"object":"chat.completion","model":"recorded","choices":[{"index":0,"message":)" +
            json + R"(,"finish_reason":"stop"}]})";
        visit(exchange);
      }
      before += (before.empty() ? "" : ",") + json;
    }
  });
}

}  // namespace sidecast::test
