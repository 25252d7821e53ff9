// Whatever a server answers, every destination type makes a verdict of it that a person can read.
//
// An input is text: the status in the first line, then header lines "name: value", an empty line,
// then the body.
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/assert.h"
#include "exporters/destinations/answer.h"
#include "exporters/registry.h"

namespace {

using namespace sidecast;

std::string least_of(std::string_view option) {
  if (option == "endpoint") return "http://127.0.0.1:1";
  if (option == "brokers") return "127.0.0.1:1";
  if (option == "path") return "/dev/null";
  return "needed";
}

// Every destination type with the least it needs.
std::vector<std::unique_ptr<const Exporter>> make_exporters() {
  std::vector<std::unique_ptr<const Exporter>> exporters;
  for (const Destination* type : destination_types()) {
    OptionValues options;
    for (const Option& option : type->options) {
      if (option.secret) continue;
      std::string value(option.fallback);
      if (option.required) value = least_of(option.name);
      options.values.emplace(option.name, value);
    }
    auto made = type->make(options);
    SIDECAST_ASSERT(made.has_value());
    exporters.push_back(std::move(*made));
  }
  return exporters;
}

std::string_view cut_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return line;
}

Response response_of(std::string_view input) {
  Response response;
  const std::string_view status = cut_line(input);
  std::from_chars(status.data(), status.data() + status.size(), response.status);
  for (std::string_view line = cut_line(input); !line.empty(); line = cut_line(input)) {
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) continue;
    response.headers.push_back(
        {std::string(line.substr(0, colon)), std::string(line.substr(colon + 2))});
  }
  response.body = input;
  return response;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::unique_ptr<const Exporter>> exporters = make_exporters();
  const Response response = response_of({reinterpret_cast<const char*>(data), size});
  const Timestamp now = timestamp_from_ns(1'700'000'000'000'000'000);
  for (const auto& exporter : exporters) {
    for (const std::size_t records : {0U, 1U}) {
      Request request = exporter->probe(now);
      // A receiver may answer a connection test with 400 and be well all the same.
      const bool may_be_400 = records == 0;
      request.record_count = records;
      if (!may_be_400) {
        std::erase_if(request.headers,
                      [](const Header& header) { return header.name == "x-test-connection"; });
      }
      const Verdict verdict = exporter->judge(request, response, now);
      SIDECAST_ASSERT(verdict.explanation.size() <= kExplanationBytesMax);
      SIDECAST_ASSERT(verdict.server_text.size() <= kServerTextBytesMax);
      const std::string shown = verdict.explanation + verdict.server_text;
      for (const char byte : shown) {
        const auto code = static_cast<unsigned char>(byte);
        SIDECAST_ASSERT(code >= 0x20 && code != 0x7F);
      }
      // Success is the server's word alone: nothing but a 2xx delivers.
      const bool is_success = (response.status >= 200 && response.status < 300) ||
                              (may_be_400 && response.status == 400);
      if (verdict.kind == Verdict::Kind::kDelivered || verdict.kind == Verdict::Kind::kPartial) {
        SIDECAST_ASSERT(is_success);
      }
      if (verdict.retry_hint) SIDECAST_ASSERT(verdict.retry_hint->count() >= 0);
    }
  }
  return 0;
}
