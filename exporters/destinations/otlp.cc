#include "exporters/destinations/otlp.h"

#include <algorithm>
#include <array>
#include <optional>

#include "engine/base/assert.h"
#include "engine/base/utf8.h"
#include "exporters/compress/compress.h"
#include "exporters/destinations/answer.h"
#include "exporters/destinations/grpc.h"
#include "exporters/destinations/template.h"
#include "exporters/dialects/generation_metadata.h"
#include "exporters/registry.h"

namespace sidecast {
namespace {

constexpr std::string_view kProbeName = "sidecast-connection-test";
// resource_spans { }: field 1, no bytes.
constexpr std::string_view kBareResourceProtobuf("\x0a\x00", 2);
constexpr std::string_view kBareResourceJson = "{}";

bool is_host_part(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-';
  });
}

// What of `path` the URL's own path does not end in already: backends show their base URL with more
// or less of it (https://host, https://host/otlp, https://host/otlp/v1/traces).
std::string_view rest_of_path(std::string_view given, std::string_view path) {
  for (std::size_t size = path.size(); size > 0; --size) {
    const bool is_segment_end = size == path.size() || path[size] == '/';
    if (is_segment_end && given.ends_with(path.substr(0, size))) return path.substr(size);
  }
  return path;
}

}  // namespace

// ---- Options ------------------------------------------------------------------------------------

Result<std::unique_ptr<const Exporter>> OtlpExporter::make(const OtlpPreset& preset,
                                                           const OptionValues& options) {
  std::unique_ptr<OtlpExporter> exporter(new OtlpExporter(preset));
  const auto shared = shared_otlp_options(preset);
  if (Status status = check_required(options, preset.options); !status) return fail(status.error());
  if (Status status = check_required(options, shared); !status) return fail(status.error());
  if (Status status = exporter->read_protocol(options); !status) return fail(status.error());
  if (Status status = exporter->read_url(options); !status) return fail(status.error());
  if (Status status = exporter->read_format(options); !status) return fail(status.error());
  if (Status status = exporter->read_limits(options); !status) return fail(status.error());
  if (Status status = exporter->read_resource(options); !status) return fail(status.error());
  if (Status status = exporter->read_headers(options); !status) return fail(status.error());
  auto statuses = parse_statuses("retry_statuses", options.get("retry_statuses"));
  if (!statuses) return fail(statuses.error());
  exporter->retried_statuses_ = std::move(*statuses);
  return std::unique_ptr<const Exporter>(std::move(exporter));
}

Status OtlpExporter::read_protocol(const OptionValues& options) {
  std::vector<std::string_view> protocols = {"http"};
  if (preset_.takes_grpc) protocols.emplace_back("grpc");
  const auto protocol = parse_choice("protocol", options.get("protocol"), protocols);
  if (!protocol) return fail(protocol.error());
  is_grpc_ = *protocol == "grpc";
  return {};
}

// The endpoint given, with options in their places, else the region's.
Result<std::string> OtlpExporter::base_url(const OptionValues& options) const {
  const std::string_view endpoint = trim_blanks(options.get("endpoint"));
  if (endpoint.empty()) {
    std::vector<std::string_view> names;
    for (const OtlpField& region : preset_.regions) names.push_back(region.name);
    const auto region = parse_choice("region", trim_blanks(options.get("region")), names);
    if (!region) return fail(region.error());
    const auto found = std::find_if(preset_.regions.begin(), preset_.regions.end(),
                                    [&](const OtlpField& each) { return each.name == *region; });
    return std::string(found->value);
  }
  // What becomes part of a host must not bring a host of its own.
  const auto url = fill_template(endpoint, [&](std::string_view name) -> Result<std::string_view> {
    const std::string_view value = trim_blanks(options.get(name));
    if (value.empty())
      return fail("endpoint names {" + std::string(name) + "}, which has no value");
    if (!is_host_part(value)) {
      return fail(std::string(name) +
                  " becomes part of a host; it must be letters, digits, . and -");
    }
    return value;
  });
  if (!url) return fail(url.error());
  return url->value_or("");
}

Status OtlpExporter::read_url(const OptionValues& options) {
  const auto base = base_url(options);
  if (!base) return fail(base.error());
  auto url = parse_url("endpoint", *base);
  if (!url) return fail(url.error());
  if (is_grpc_) {
    const std::string origin = url->scheme + "://" + url->authority;
    if (url->path.find_first_not_of('/') != std::string::npos || !url->query.empty()) {
      return fail("endpoint: gRPC has a path of its own, write " + origin);
    }
    url_ = origin + std::string(kGrpcTracesPath);
    return {};
  }
  std::string path(trim_blanks(options.get("traces_path")));
  if (!path.starts_with('/')) return fail("traces_path must begin with /, e.g. /v1/traces");
  while (path.ends_with('/')) path.pop_back();
  while (url->path.ends_with('/')) url->path.pop_back();
  url->path += rest_of_path(url->path, path);
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

  std::vector<std::string_view> encodings;
  if (preset_.takes_protobuf) encodings.emplace_back("otlp_protobuf");
  if (preset_.takes_json && !is_grpc_) encodings.emplace_back("otlp_json");
  const auto encoding = parse_choice("encoding", options.get("encoding"), encodings);
  if (!encoding) return fail(encoding.error());
  format_.encoder = find_encoder(*encoding);
  if (format_.encoder == nullptr) {
    return fail("encoding " + std::string(*encoding) + " is not part of this build");
  }

  std::vector<std::string_view> codecs = {"none", "gzip"};
  if (preset_.takes_zstd) codecs.emplace_back("zstd");
  const auto codec = parse_choice("compression", options.get("compression"), codecs);
  if (!codec) return fail(codec.error());
  format_.compression = *codec == "gzip"   ? Compression::kGzip
                        : *codec == "zstd" ? Compression::kZstd
                                           : Compression::kNone;

  if (Status status = read_dialect_options(options); !status) return status;
  return read_caps(options);
}

Status OtlpExporter::read_limits(const OptionValues& options) {
  const auto records = parse_number("batch_records_max", options.get("batch_records_max"),
                                    {.min = 1, .max = 100'000});
  if (!records) return fail(records.error());
  format_.limits.batch_records_max = static_cast<std::uint32_t>(*records);
  // 64 MiB: the protocol's own bound for a request.
  const auto bytes = parse_bytes("batch_bytes_max", options.get("batch_bytes_max"),
                                 {.min = 64U << 10U, .max = 64U << 20U});
  if (!bytes) return fail(bytes.error());
  format_.limits.batch_bytes_max = *bytes;
  // The preset's default is for HTTP; what a user wrote stays.
  if (is_grpc_ && options.get("batch_bytes_max") == preset_.batch_bytes_max) {
    format_.limits.batch_bytes_max = std::min(*bytes, kGrpcBatchBytesMax);
  }
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
  const auto groups = parse_generation_metadata(options.get("generation_metadata"));
  if (!groups) return fail(groups.error());
  dialect.generation_metadata = *groups;
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
    auto value = fill_template(field.value, [&](std::string_view name) -> Result<std::string_view> {
      if (!is_valid_utf8(options.get(name))) return fail(std::string(name) + " is not UTF-8");
      return options.get(name);
    });
    if (!value) return fail(value.error());
    if (*value) set(field.name, std::move(**value));
  }
  return {};
}

Status OtlpExporter::read_headers(const OptionValues& options) {
  headers_ =
      is_grpc_ ? grpc_headers()
               : std::vector<Header>{{"content-type", std::string(format_.encoder->content_type)}};
  const auto value_of = [&](std::string_view name) -> Result<std::string_view> {
    if (!is_header_value(trim_blanks(options.get(name)))) {
      return fail(std::string(name) + " holds a line break or control character");
    }
    return options.get(name);
  };
  for (const OtlpField& field : preset_.headers) {
    const auto names = options_of_template(field.value);
    if (std::any_of(names.begin(), names.end(), [this](auto name) { return is_secret(name); })) {
      secret_headers_.push_back(field);
      for (const std::string_view name : names) {
        if (is_secret(name)) continue;
        const auto value = value_of(name);
        if (!value) return fail(value.error());
        public_values_.emplace(name, *value);
      }
      continue;
    }
    auto value = fill_template(field.value, value_of);
    if (!value) return fail(value.error());
    if (*value) headers_.push_back({std::string(field.name), std::move(**value)});
  }
  auto extra = extra_headers(options);
  if (!extra) return fail(extra.error());
  Request request{.headers = std::move(headers_)};
  for (Header& header : *extra) {
    set_header(request, header.name, std::move(header.value));  // the user's wins over the preset's
  }
  headers_ = std::move(request.headers);
  return {};
}

bool OtlpExporter::is_secret(std::string_view option) const noexcept {
  return std::any_of(preset_.options.begin(), preset_.options.end(),
                     [option](const Option& each) { return each.secret && each.name == option; });
}

// ---- Requests -----------------------------------------------------------------------------------

Result<std::vector<Request>> OtlpExporter::encode(std::shared_ptr<const Batch> batch) const {
  if (batch->body == nullptr) return fail("encode an OTLP batch: its records have no common body");
  Request request;
  request.url = url_;
  request.headers = headers_;
  request.record_count = batch->records.size();
  const Bytes body = *batch->body;
  if (is_grpc_) {
    const Text encoding = batch->content_encoding;
    if (Status framed = set_grpc_message(request, body, encoding, std::move(batch)); !framed) {
      return fail(framed.error());
    }
  } else {
    if (!batch->content_encoding.empty()) {
      request.headers.push_back({"content-encoding", std::string(batch->content_encoding)});
    }
    request.body = {body};
    request.keep_alive = std::move(batch);
  }
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
  const auto value_of = [&](std::string_view name) -> Result<std::string_view> {
    const auto public_value = public_values_.find(name);
    if (public_value != public_values_.end()) return std::string_view(public_value->second);
    const auto found = secrets.find(name);
    if (found == secrets.end()) return std::string_view();
    if (!is_header_value(trim_blanks(found->second.reveal()))) {
      return fail(std::string(name) + " holds a line break or control character");
    }
    return found->second.reveal();
  };
  for (const OtlpField& field : secret_headers_) {
    auto value = fill_template(field.value, value_of);
    if (!value) return fail(value.error());
    if (*value) set_header(request, field.name, std::move(**value));
  }
  return {};
}

Request OtlpExporter::probe(Timestamp now) const {
  const Encoder& encoder = *format_.encoder;
  Request request;
  request.url = url_;
  request.headers = headers_;
  auto body = std::make_shared<ByteBuffer>();
  body->append(encoder.prefix);
  switch (preset_.probe) {
    case OtlpProbe::kEmpty:
      break;
    case OtlpProbe::kBareResource:
      body->append(encoder.prefix.empty() ? kBareResourceProtobuf : kBareResourceJson);
      break;
    case OtlpProbe::kSpan:
      write_probe_span(now, *body);
      request.record_count = 1;
  }
  body->append(encoder.suffix);
  const Bytes bytes = body->view();
  if (is_grpc_) {
    // Far below what a frame can say.
    SIDECAST_ASSERT(set_grpc_message(request, bytes, "", std::move(body)).has_value());
  } else {
    if (!bytes.empty()) request.body = {bytes};
    request.keep_alive = std::move(body);
  }
  return request;
}

void OtlpExporter::write_probe_span(Timestamp now, ByteBuffer& out) const {
  Arena arena(16U << 10U);
  Trace trace(arena);
  trace.is_explicit_span = true;
  trace.kind = TraceKind::kChain;
  trace.name = kProbeName;
  trace.identity.generation_id = kProbeName;
  trace.trace_id = hash_trace_id(kProbeName);
  trace.start = now - std::chrono::milliseconds(1);
  trace.end = now;
  format_.encoder->write(trace, format_.dialect->write(trace, format_.dialect_options, arena), out);
}

// ---- Answers ------------------------------------------------------------------------------------

Verdict OtlpExporter::judge(const Request& request, const Response& response, Timestamp now) const {
  Verdict verdict = is_grpc_ ? judge_grpc(request, response, now)
                             : judge_otlp(request, response, now, retried_statuses_);
  const auto& paused = preset_.pause_statuses;
  if (response.failure == Response::Failure::kNone &&
      std::find(paused.begin(), paused.end(), response.status) != paused.end()) {
    verdict.kind = Verdict::Kind::kPause;
    verdict.blames_content = false;
    verdict.retry_hint = retry_hint(response, now);
    verdict.explanation = explain(response, known_code(response), preset_.pause_advice);
  }
  return verdict;
}

}  // namespace sidecast
