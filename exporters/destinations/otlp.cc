#include "exporters/destinations/otlp.h"

#include <algorithm>
#include <array>
#include <optional>

#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <simdjson.h>

#include "engine/base/utf8.h"
#include "exporters/compress/compress.h"
#include "exporters/destinations/answer.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr std::string_view kProbeName = "sidecast-connection-test";

// What the exporter or libcurl writes itself; two of one would contradict each other.
constexpr std::array<std::string_view, 5> kOwnHeaders = {
    "content-type", "content-encoding", "content-length", "transfer-encoding", "host"};

std::string lower_case(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

// "Bearer {api_key}" with each {option} replaced by what `value_of` has for it; nothing when one of
// them is empty.
template <typename ValueOf>
std::optional<std::string> expand(std::string_view pattern, const ValueOf& value_of) {
  std::string text;
  while (!pattern.empty()) {
    const std::size_t open = pattern.find('{');
    text += pattern.substr(0, open);
    if (open == std::string_view::npos) break;
    const std::size_t close = pattern.find('}', open);
    if (close == std::string_view::npos) break;
    const std::string_view value =
        trim_blanks(value_of(pattern.substr(open + 1, close - open - 1)));
    if (value.empty()) return std::nullopt;
    text += value;
    pattern.remove_prefix(close + 1);
  }
  return text;
}

bool names_secret(std::string_view pattern, std::span<const Option> options) {
  return std::any_of(options.begin(), options.end(), [pattern](const Option& option) {
    return option.secret && pattern.find("{" + std::string(option.name) + "}") != pattern.npos;
  });
}

struct PartialSuccess {
  std::int64_t rejected_spans = 0;
  std::string message;
};

std::optional<PartialSuccess> partial_success_of_protobuf(std::string_view body) {
  std::optional<PartialSuccess> partial;
  try {
    protozero::pbf_reader response(body.data(), body.size());
    while (response.next(1, protozero::pbf_wire_type::length_delimited)) {
      protozero::pbf_reader fields = response.get_message();
      if (!partial) partial.emplace();
      while (fields.next()) {
        switch (fields.tag_and_type()) {
          case protozero::tag_and_type(1, protozero::pbf_wire_type::varint):
            partial->rejected_spans = fields.get_int64();
            break;
          case protozero::tag_and_type(2, protozero::pbf_wire_type::length_delimited):
            partial->message = fields.get_string();
            break;
          default:
            fields.skip();
        }
      }
    }
  } catch (const protozero::exception&) {
    return std::nullopt;
  }
  return partial;
}

// 64-bit numbers are strings in OTLP JSON, and numbers in much that claims to be.
std::int64_t lenient_integer(const simdjson::dom::element& element) {
  std::int64_t number = 0;
  if (element.get(number) == simdjson::SUCCESS) return number;
  double fraction = 0;
  if (element.get(fraction) == simdjson::SUCCESS) {
    return fraction >= 1 && fraction < 9e18 ? static_cast<std::int64_t>(fraction) : 0;
  }
  std::string_view text;
  if (element.get(text) != simdjson::SUCCESS) return 0;
  const auto parsed = parse_number("", text, {.min = 0, .max = INT64_MAX});
  return parsed ? static_cast<std::int64_t>(*parsed) : 0;
}

std::optional<PartialSuccess> partial_success_of_json(std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  for (const char* outer : {"partialSuccess", "partial_success"}) {
    simdjson::dom::element fields;
    if (document[outer].get(fields) != simdjson::SUCCESS) continue;
    PartialSuccess partial;
    simdjson::dom::element element;
    for (const char* name : {"rejectedSpans", "rejected_spans"}) {
      if (fields[name].get(element) == simdjson::SUCCESS) {
        partial.rejected_spans = lenient_integer(element);
      }
    }
    for (const char* name : {"errorMessage", "error_message"}) {
      std::string_view text;
      if (fields[name].get(text) == simdjson::SUCCESS) partial.message = text;
    }
    return partial;
  }
  return std::nullopt;
}

std::optional<PartialSuccess> partial_success(const Request& request, const Response& response) {
  if (response.body.empty() || response.body_truncated) return std::nullopt;
  std::string type = lower_case(header_value(response, "content-type"));
  const auto is_known = [&type] {
    return type.find("json") != std::string::npos || type.find("protobuf") != std::string::npos;
  };
  if (!is_known()) {
    for (const Header& header : request.headers) {
      if (lower_case(header.name) == "content-type") type = lower_case(header.value);
    }
  }
  return type.find("json") != std::string::npos ? partial_success_of_json(response.body)
                                                : partial_success_of_protobuf(response.body);
}

}  // namespace

// ---- Options ------------------------------------------------------------------------------------

Result<std::unique_ptr<const Exporter>> OtlpExporter::make(const OtlpPreset& preset,
                                                           const OptionValues& options) {
  std::unique_ptr<OtlpExporter> exporter(new OtlpExporter(preset));
  const auto shared = shared_otlp_options(preset);
  if (Status status = check_required(options, preset.options); !status) return fail(status.error());
  if (Status status = check_required(options, shared); !status) return fail(status.error());
  if (Status status = exporter->read_url(options); !status) return fail(status.error());
  if (Status status = exporter->read_format(options); !status) return fail(status.error());
  if (Status status = exporter->read_resource(options); !status) return fail(status.error());
  if (Status status = exporter->read_headers(options); !status) return fail(status.error());
  auto statuses = parse_statuses("retry_statuses", options.get("retry_statuses"));
  if (!statuses) return fail(statuses.error());
  exporter->retried_statuses_ = std::move(*statuses);
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

Status OtlpExporter::read_url(const OptionValues& options) {
  auto url = parse_url("endpoint", options.get("endpoint"));
  if (!url) return fail(url.error());
  std::string path(trim_blanks(options.get("traces_path")));
  if (!path.starts_with('/')) return fail("traces_path must begin with /, e.g. /v1/traces");
  while (path.ends_with('/')) path.pop_back();
  while (url->path.ends_with('/')) url->path.pop_back();
  if (!url->path.ends_with(path)) url->path += path;
  if (url->path.empty()) url->path = "/";
  // Parsed again as a whole: the path option may hold what no URL may.
  const auto whole = parse_url("traces_path", url->text());
  if (!whole) return fail(whole.error());
  url_ = whole->text();
  return {};
}

Status OtlpExporter::read_format(const OptionValues& options) {
  std::vector<std::string_view> dialect_names;
  for (const DialectEntry& entry : dialects()) dialect_names.push_back(entry.name);
  const auto dialect = parse_choice("dialect", options.get("dialect"), dialect_names);
  if (!dialect) return fail(dialect.error());
  format_.dialect = find_dialect(*dialect);

  static constexpr std::array<std::string_view, 2> kEncodings = {"otlp_protobuf", "otlp_json"};
  const auto encoding = parse_choice("encoding", options.get("encoding"), kEncodings);
  if (!encoding) return fail(encoding.error());
  format_.encoder = find_encoder(*encoding);
  if (format_.encoder == nullptr) {
    return fail("encoding " + std::string(*encoding) + " is not part of this build");
  }

  static constexpr std::array<std::string_view, 3> kCodecs = {"none", "gzip", "zstd"};
  const auto codec = parse_choice("compression", options.get("compression"), kCodecs);
  if (!codec) return fail(codec.error());
  format_.compression = *codec == "gzip"   ? Compression::kGzip
                        : *codec == "zstd" ? Compression::kZstd
                                           : Compression::kNone;

  if (Status status = read_dialect_options(options); !status) return status;
  if (Status status = read_caps(options); !status) return status;

  const auto records = parse_number("batch_records_max", options.get("batch_records_max"),
                                    {.min = 1, .max = 100'000});
  if (!records) return fail(records.error());
  format_.limits.batch_records_max = static_cast<std::uint32_t>(*records);
  // 64 MiB: the protocol's own bound for a request.
  const auto bytes = parse_bytes("batch_bytes_max", options.get("batch_bytes_max"),
                                 {.min = 64U << 10U, .max = 64U << 20U});
  if (!bytes) return fail(bytes.error());
  format_.limits.batch_bytes_max = *bytes;
  return {};
}

Status OtlpExporter::read_dialect_options(const OptionValues& options) {
  DialectOptions& dialect = format_.dialect_options;
  const std::pair<std::string_view, bool*> flags[] = {
      {"always_hash_trace_id", &dialect.always_hash_trace_id},
      {"shared_roots", &dialect.shared_roots},
      {"flat_metadata", &dialect.flat_metadata},
  };
  for (const auto& flag : flags) {
    const auto value = parse_flag(flag.first, options.get(flag.first));
    if (!value) return fail(value.error());
    *flag.second = *value;
  }
  static constexpr std::array<std::string_view, 2> kTrees = {"full", "openrouter"};
  const auto tree = parse_choice("tree", options.get("tree"), kTrees);
  if (!tree) return fail(tree.error());
  dialect.tree = *tree == "full" ? TreeShape::kFull : TreeShape::kOpenRouter;
  static constexpr std::array<std::string_view, 2> kNames = {"1.41.1", "development"};
  const auto names = parse_choice("gen_ai_names", options.get("gen_ai_names"), kNames);
  if (!names) return fail(names.error());
  dialect.gen_ai_names = *names == "1.41.1" ? GenAiNames::kReleased : GenAiNames::kDevelopment;
  return {};
}

Status OtlpExporter::read_caps(const OptionValues& options) {
  AttributeCaps& caps = format_.dialect_options.caps;
  constexpr std::uint64_t kMax = 64U << 20U;
  const std::pair<std::string_view, std::uint32_t*> bounds[] = {
      {"attribute_name_bytes_max", &caps.name_bytes_max},
      {"attribute_bytes_max", &caps.value_bytes_max},
      {"attribute_list_max", &caps.list_values_max},
      {"attributes_max", &caps.count_max},
  };
  for (const auto& bound : bounds) {
    const auto value = parse_bytes(bound.first, options.get(bound.first), {.min = 0, .max = kMax});
    if (!value) return fail(value.error());
    *bound.second = static_cast<std::uint32_t>(*value);
  }
  // Fewer would cut what a backend needs to know a span by.
  constexpr std::uint32_t kLeast = 64;
  for (const auto& bound : {bounds[1], bounds[3]}) {
    if (*bound.second != 0 && *bound.second < kLeast) {
      return fail(std::string(bound.first) + " is 0 or at least " + std::to_string(kLeast));
    }
  }
  return {};
}

// Keys are unique; a later source wins: service_name, the user's attributes, what the backend
// needs.
Status OtlpExporter::read_resource(const OptionValues& options) {
  auto& resource = format_.dialect_options.resource;
  const auto set = [&resource](std::string_view key, std::string value) {
    const auto found = std::find_if(resource.begin(), resource.end(),
                                    [key](const auto& pair) { return pair.first == key; });
    if (found != resource.end()) {
      found->second = std::move(value);
    } else {
      resource.emplace_back(key, std::move(value));
    }
  };
  const std::string_view service_name = trim_blanks(options.get("service_name"));
  if (!is_valid_utf8(service_name)) return fail("service_name is not UTF-8");
  if (!service_name.empty()) set("service.name", std::string(service_name));
  auto pairs = parse_pairs("resource_attributes", options.get("resource_attributes"));
  if (!pairs) return fail(pairs.error());
  for (auto& [key, value] : *pairs) set(key, std::move(value));
  for (const OtlpField& field : preset_.resource) {
    auto value = expand(field.value, [&](std::string_view name) { return options.get(name); });
    if (!value) continue;
    if (!is_valid_utf8(*value)) return fail(std::string(field.name) + " is not UTF-8");
    set(field.name, std::move(*value));
  }
  return {};
}

Status OtlpExporter::read_headers(const OptionValues& options) {
  headers_.push_back({"content-type", std::string(format_.encoder->content_type)});
  for (const OtlpField& field : preset_.headers) {
    if (names_secret(field.value, preset_.options)) {
      secret_headers_.push_back(field);
      continue;
    }
    auto value = expand(field.value, [&](std::string_view name) { return options.get(name); });
    if (value) headers_.push_back({std::string(field.name), std::move(*value)});
  }
  for (const auto& [name, value] : options.headers) {
    if (!is_header_name(name)) return fail("headers: '" + name + "' is not a header name");
    if (!is_header_value(value)) {
      return fail("headers: the value of " + name + " holds a line break or control character");
    }
    if (std::find(kOwnHeaders.begin(), kOwnHeaders.end(), lower_case(name)) != kOwnHeaders.end()) {
      return fail("headers: " + name + " follows from the encoding and cannot be set");
    }
    headers_.push_back({name, value});
  }
  return {};
}

// ---- Requests -----------------------------------------------------------------------------------

Result<std::vector<Request>> OtlpExporter::encode(std::shared_ptr<const Batch> batch) const {
  if (batch->body == nullptr) return fail("encode an OTLP batch: its records have no common body");
  Request request;
  request.url = url_;
  request.headers = headers_;
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

Status OtlpExporter::authorise(Request& request, const Secrets& secrets, Timestamp) const {
  for (const Option& option : preset_.options) {
    if (!option.secret || !option.required) continue;
    const auto found = secrets.find(option.name);
    if (found == secrets.end() || trim_blanks(found->second.reveal()).empty()) {
      return fail(std::string(option.name) + " is missing: " + std::string(option.help));
    }
  }
  for (const OtlpField& field : secret_headers_) {
    auto value = expand(field.value, [&](std::string_view name) -> std::string_view {
      const auto found = secrets.find(name);
      return found == secrets.end() ? std::string_view() : found->second.reveal();
    });
    if (!value) continue;
    if (!is_header_value(*value)) {
      return fail("the secret for header " + std::string(field.name) +
                  " holds a line break or control character");
    }
    set_header(request, field.name, std::move(*value));
  }
  return {};
}

Request OtlpExporter::probe(Timestamp now) const {
  const Encoder& encoder = *format_.encoder;
  Request request;
  request.url = url_;
  request.headers = headers_;
  request.record_count = preset_.is_probed_with_span ? 1 : 0;
  const auto add = [&request](Bytes piece) {
    if (!piece.empty()) request.body.push_back(piece);
  };
  add(encoder.prefix);
  if (preset_.is_probed_with_span) {
    Arena arena(16U << 10U);
    Trace trace(arena);
    trace.is_explicit_span = true;
    trace.kind = TraceKind::kChain;
    trace.name = kProbeName;
    trace.identity.generation_id = kProbeName;
    trace.trace_id = hash_trace_id(kProbeName);
    trace.start = now - std::chrono::milliseconds(1);
    trace.end = now;
    auto bytes = std::make_shared<ByteBuffer>();
    encoder.write(trace, format_.dialect->write(trace, format_.dialect_options, arena), *bytes);
    add(bytes->view());
    request.keep_alive = std::move(bytes);
  }
  add(encoder.suffix);
  return request;
}

// ---- Answers ------------------------------------------------------------------------------------

Verdict OtlpExporter::judge(const Request& request, const Response& response, Timestamp now) const {
  return judge_otlp(request, response, now, retried_statuses_);
}

Verdict judge_otlp(const Request& request, const Response& response, Timestamp now,
                   std::span<const int> retried_statuses) {
  const bool is_success = response.failure == Response::Failure::kNone && response.status >= 200 &&
                          response.status < 300;
  if (!is_success) return judge_refusal(request, response, now, retried_statuses);
  Verdict verdict;
  if (is_html(response) || is_grpc(response)) {
    // No receiver of this protocol, whatever its status: a login page, an app that answers every
    // path, the port for gRPC, which tells a failure behind its 200. Counting it as delivered would
    // lose all data without a word.
    verdict.kind = Verdict::Kind::kPause;
    verdict.explanation = explain(response, "",
                                  is_html(response) ? "check the endpoint: a web page answered"
                                                    : "check the endpoint: a gRPC server answered");
    verdict.server_text = shown_text(request, server_text(response));
    return verdict;
  }
  const auto partial = partial_success(request, response);
  if (!partial) return verdict;
  verdict.server_text = shown_text(request, partial->message);
  if (partial->rejected_spans > 0) {
    verdict.kind = Verdict::Kind::kPartial;
    verdict.reason = RejectReason::kPartial;
    verdict.rejected_spans = static_cast<std::uint64_t>(partial->rejected_spans);
    verdict.explanation =
        explain(response, "", "rejected spans: " + std::to_string(verdict.rejected_spans));
  } else if (!partial->message.empty()) {
    // Without rejected spans the message is a warning; it is told and changes nothing.
    verdict.explanation = explain(response, "", "accepted, with a warning");
  }
  return verdict;
}

}  // namespace sidecast
