// What the destinations with an API of their own share: options that several of them have, a batch
// as one request, secrets' checks, and the part of an answer that is the same everywhere.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exporters/destinations/options.h"
#include "exporters/exporter.h"

namespace sidecast {

// Statuses that most services use for a bad moment, though OTLP calls them final.
inline constexpr int kTransientStatuses[] = {408, 425, 500};

// Every secret option that is required is there, and none holds a line break; an Error names it.
[[nodiscard]] Status check_secrets(const Secrets& secrets, std::span<const Option> options);
// The secret's text without blanks around it; empty when there is none.
[[nodiscard]] std::string_view reveal_secret(const Secrets& secrets, std::string_view name);

// judge() of a service that says no more than HTTP does: delivered for a 2xx, unless a web page
// answered; else the standard table.
[[nodiscard]] Verdict judge_native(const Request& request, const Response& response, Timestamp now,
                                   std::span<const int> retried_statuses = kTransientStatuses);

// JSON text with quotes and escapes, for envelopes.
[[nodiscard]] std::string json_string(Text text);
// The text of a string member of the object that `json` holds; empty when there is none.
[[nodiscard]] std::string json_member(Text json, const char* name);

class NativeExporter : public Exporter {
 public:
  [[nodiscard]] const Format& format() const noexcept final { return format_; }
  // One request with the whole body, to `url_`.
  [[nodiscard]] Result<std::vector<Request>> encode(
      std::shared_ptr<const Batch> batch) const override;

 protected:
  // The format's encoder by name, over the generic dialect.
  [[nodiscard]] Status read_encoder(std::string_view encoder);
  // `url_`: the option's URL and the path after it. The URL has no query.
  [[nodiscard]] Status read_url(const OptionValues& options, std::string_view option,
                                std::string_view path);
  // `headers_`: the content type, then the user's own. Those in `taken` (lower case) are refused,
  // since the destination writes them itself.
  [[nodiscard]] Status read_headers(const OptionValues& options, std::string_view content_type,
                                    std::span<const std::string_view> taken = {});
  // The option `compression`: none, gzip or zstd.
  [[nodiscard]] Status read_compression(const OptionValues& options);
  // The options `batch_records_max` and `batch_bytes_max`, at most those of the service.
  [[nodiscard]] Status read_limits(const OptionValues& options, const Limits& most);

  // A POST to `url_` with `headers_`, without a body.
  [[nodiscard]] Request post() const;
  // A POST of a small body of our own.
  [[nodiscard]] Request post(std::string body) const;

  Format format_;
  std::string url_;
  std::vector<Header> headers_;  // of every request, not secret
};

}  // namespace sidecast
