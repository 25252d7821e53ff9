#include "exporters/destinations/native.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <simdjson.h>

#include "engine/base/json_writer.h"
#include "exporters/destinations/answer.h"
#include "exporters/registry.h"

namespace sidecast {

Status check_secrets(const Secrets& secrets, std::span<const Option> options) {
  for (const Option& option : options) {
    if (!option.secret) continue;
    const std::string_view value = reveal_secret(secrets, option.name);
    if (option.required && value.empty()) {
      return fail(fmt::format("{} is missing: {}", option.name, option.help));
    }
    if (!is_header_value(value)) {
      return fail(fmt::format("{} holds a line break or control character", option.name));
    }
  }
  return {};
}

std::string_view reveal_secret(const Secrets& secrets, std::string_view name) {
  const auto found = secrets.find(name);
  return found == secrets.end() ? std::string_view() : trim_blanks(found->second.reveal());
}

Verdict judge_native(const Request& request, const Response& response, Timestamp now,
                     std::span<const int> retried_statuses) {
  const bool is_success = response.failure == Response::Failure::kNone && response.status >= 200 &&
                          response.status < 300;
  if (!is_success) return judge_refusal(request, response, now, retried_statuses);
  Verdict verdict;
  if (!is_html(response)) return verdict;
  // Counting it as delivered would lose all data without a word.
  verdict.kind = Verdict::Kind::kPause;
  verdict.explanation = explain(response, "", "check the endpoint: a web page answered");
  verdict.server_text = shown_text(request, server_text(response));
  return verdict;
}

std::string json_string(Text text) {
  ByteBuffer buffer;
  JsonWriter(buffer).string(text);
  return std::string(buffer.view());
}

std::string json_member(Text json, const char* name) {
  if (json.empty())
    return {};  // a view of nothing may have no address, which the parser copies from
  simdjson::dom::parser parser;
  std::string_view text;
  if (parser.parse(json.data(), json.size())[name].get(text) != simdjson::SUCCESS) return {};
  return std::string(text);
}

Status NativeExporter::read_encoder(std::string_view encoder) {
  format_.dialect = find_dialect("generic");
  format_.encoder = find_encoder(encoder);
  if (format_.dialect == nullptr || format_.encoder == nullptr) {
    return fail(fmt::format("encoding {} is not part of this build", encoder));
  }
  return {};
}

Status NativeExporter::read_url(const OptionValues& options, std::string_view option,
                                std::string_view path) {
  auto url = parse_url(option, options.get(option));
  if (!url) return fail(url.error());
  if (!url->query.empty()) {
    return fail(fmt::format("{} has a query (?...); give the service's base URL", option));
  }
  while (url->path.ends_with('/')) url->path.pop_back();
  url_ = url->text();
  if (!url->path.ends_with(path)) url_ += path;
  return {};
}

Status NativeExporter::read_headers(const OptionValues& options, std::string_view content_type,
                                    std::span<const std::string_view> taken) {
  headers_.push_back({"content-type", std::string(content_type)});
  auto extra = extra_headers(options, taken);
  if (!extra) return fail(extra.error());
  headers_.insert(headers_.end(), extra->begin(), extra->end());
  return {};
}

Status NativeExporter::read_compression(const OptionValues& options) {
  static constexpr std::array<std::string_view, 3> kCodecs = {"none", "gzip", "zstd"};
  const auto codec = parse_choice("compression", options.get("compression"), kCodecs);
  if (!codec) return fail(codec.error());
  format_.compression = *codec == "gzip"   ? Compression::kGzip
                        : *codec == "zstd" ? Compression::kZstd
                                           : Compression::kNone;
  return {};
}

Status NativeExporter::read_limits(const OptionValues& options, const Limits& most) {
  const auto records = parse_number("batch_records_max", options.get("batch_records_max"),
                                    {.min = 1, .max = most.batch_records_max});
  if (!records) return fail(records.error());
  const auto bytes = parse_bytes("batch_bytes_max", options.get("batch_bytes_max"),
                                 {.min = 64U << 10U, .max = most.batch_bytes_max});
  if (!bytes) return fail(bytes.error());
  format_.limits = {.batch_records_max = static_cast<std::uint32_t>(*records),
                    .batch_spans_max = most.batch_spans_max,
                    .batch_bytes_max = *bytes};
  return {};
}

Request NativeExporter::post() const {
  Request request;
  request.url = url_;
  request.headers = headers_;
  return request;
}

Request NativeExporter::post(std::string body) const {
  Request request = post();
  auto kept = std::make_shared<const std::string>(std::move(body));
  request.body = {*kept};
  request.keep_alive = std::move(kept);
  return request;
}

Result<std::vector<Request>> NativeExporter::encode(std::shared_ptr<const Batch> batch) const {
  if (batch->body == nullptr) return fail("encode a batch: its records have no common body");
  Request request = post();
  if (!batch->content_encoding.empty()) {
    request.headers.push_back({"content-encoding", std::string(batch->content_encoding)});
  }
  request.body = {*batch->body};
  request.record_count = batch->records.size();
  request.keep_alive = std::move(batch);
  std::vector<Request> requests;
  requests.push_back(std::move(request));
  return requests;
}

}  // namespace sidecast
