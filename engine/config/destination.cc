#include "engine/config/destination.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/config/identity.h"

namespace sidecast {
namespace {

constexpr std::size_t kNameBytesMax = 128;

// Below the minimum a rate keeps next to nothing and is more likely a percentage gone wrong.
constexpr Between<double> kSamplingRates{0.0001, 1.0};
constexpr Between<std::chrono::milliseconds> kTimeouts{std::chrono::milliseconds(100),
                                                       std::chrono::minutes(10)};
// An eighth of all (exporters/http/gate.h).
constexpr Between<std::uint32_t> kConnections{1, 64};
// What a tenant may hold of what all share: connections, and for how long a silent server has one.
constexpr std::chrono::seconds kTenantTimeoutMax{60};
constexpr std::uint32_t kTenantConnectionsMax = 16;

bool is_header_name(std::string_view name) {
  static constexpr std::string_view kTokenMarks = "!#$%&'*+-.^_`|~";  // RFC 9110 §5.6.2
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           kTokenMarks.find(c) != std::string_view::npos;
  });
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

// By its name: such a header's value is expected to change when credentials do.
bool is_credential_header(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<std::string_view, 8> kMarks = {"auth",   "token",   "secret",  "cookie",
                                                      "apikey", "api-key", "api_key", "password"};
  return std::any_of(kMarks.begin(), kMarks.end(), [&lower](std::string_view mark) {
    return lower.find(mark) != std::string::npos;
  });
}

// Reads one destination; a class because each part needs the reader and the config so far.
class DestinationReader {
 public:
  DestinationReader(const YamlNode& map, ReadContext context,
                    std::span<const Destination* const> types, DestinationNames& names,
                    const TenantScope* tenant)
      : reader_(map, context),
        problems_(context.problems),
        types_(types),
        names_(names),
        tenant_(tenant) {}

  std::optional<DestinationConfig> read() {
    const std::size_t errors_before = problems_.error_count();
    config_.is_tenants = tenant_ != nullptr;
    read_name();
    read_type();
    read_routing();
    read_privacy();
    read_delivery();
    // Without a type its options are unknown, and reporting each would bury the one real mistake.
    if (config_.type == nullptr) return std::nullopt;
    read_options();
    read_headers();
    reader_.finish();
    if (problems_.error_count() != errors_before || problems_.is_full()) return std::nullopt;
    if (!make_exporter()) return std::nullopt;
    config_.group = group_hash(config_);
    config_.identity = identity_hash(config_, secret_headers_);
    return std::move(config_);
  }

 private:
  void read_name() {
    const auto name = reader_.read_text("name");
    if (!name) {
      if (!reader_.has("name")) {
        problems_.error(reader_.position(), "a destination needs a 'name', to tell it from others");
      }
      return;
    }
    config_.name = name->text;
    name_ = name->as_written;
    if (name->text.empty() || name->text.size() > kNameBytesMax ||
        has_control_characters(name->text)) {
      problems_.error(name->position,
                      fmt::format("'name' must be 1 to {} bytes on one line", kNameBytesMax));
    }
    if (tenant_ != nullptr) config_.name = tenant_->name + "/" + name->text;
    const auto [first, is_new] = names_.emplace(name->text, name->position);
    if (!is_new) {
      problems_.error(name->position, fmt::format("{} stands already in line {}; names must differ",
                                                  described(), first->second.line));
    }
  }

  void read_type() {
    const auto type = reader_.read_text("type");
    if (!type) {
      if (!reader_.has("type")) {
        problems_.error(
            reader_.position(),
            fmt::format("{} needs a 'type'; `sidecast destinations` lists them", described()));
      }
      return;
    }
    std::vector<std::string_view> names;
    for (const Destination* candidate : types_) {
      if (candidate->name == type->text) config_.type = candidate;
      names.push_back(candidate->name);
    }
    if (config_.type != nullptr) {
      refuse_operators_types(type->position);
      return;
    }
    const std::string_view meant = nearest(type->text, names);
    problems_.error(
        type->position,
        meant.empty()
            ? fmt::format("unknown destination type '{}'; `sidecast destinations` lists them",
                          type->as_written)
            : fmt::format("unknown destination type '{}'; did you mean '{}'?", type->as_written,
                          meant));
  }

  // What is written here is the operator's: its disk, and who reads it.
  void refuse_operators_types(Position position) {
    const bool is_local = config_.type->transport == Transport::kFile ||
                          config_.type->transport == Transport::kConsole;
    if (tenant_ == nullptr || !is_local) return;
    problems_.error(position, fmt::format("type '{}' writes to this machine; a tenant may not",
                                          config_.type->name));
  }

  // An empty list would take everything: what is meant by it and what a template that found no
  // accounts produces are opposites, and the second sends customers' data to a stranger.
  void read_selection(MapReader& reader, std::string_view key, std::vector<std::string>& values,
                      std::size_t bytes_max = std::string_view::npos) {
    const std::size_t errors_before = problems_.error_count();
    reader.read_set(key, values, bytes_max);
    if (!reader.has(key) || problems_.error_count() != errors_before) return;
    if (values.empty()) {
      reader.error_at(key,
                      fmt::format("'{}' is an empty list; leave the key out to take all", key));
    }
    if (std::binary_search(values.begin(), values.end(), "*")) {
      reader.error_at(key,
                      fmt::format("'{}' knows no patterns; leave the key out to take all", key));
    }
  }

  void read_routing() {
    reader_.read_flag("enabled", config_.enabled);
    read_selection(reader_, "accounts", config_.accounts, kAccountBytesMax);
    if (tenant_ != nullptr) bound_accounts();
    if (const YamlNode* const keys = reader_.read_map("api_keys")) {
      MapReader keys_reader(*keys, reader_.context());
      read_selection(keys_reader, "include", config_.api_keys_include);
      keys_reader.read_set("exclude", config_.api_keys_exclude);
      keys_reader.finish();
    }
    read_regions();
    read_filter_rules(reader_, config_.filter_rules);
    reader_.read_number("sampling_rate", config_.sampling_rate, kSamplingRates);
    if (auto salt = reader_.read_text("sampling_salt"))
      config_.sampling_salt = std::move(salt->text);
  }

  void read_regions() {
    read_selection(reader_, "regions", config_.regions);
    for (std::string& region : config_.regions) {
      std::transform(region.begin(), region.end(), region.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      if (region == "eu") region = "europe";
    }
    std::sort(config_.regions.begin(), config_.regions.end());
    config_.regions.erase(std::unique(config_.regions.begin(), config_.regions.end()),
                          config_.regions.end());
  }

  // To those of its file, whatever it asks for.
  void bound_accounts() {
    const auto& allowed = tenant_->accounts;
    if (config_.accounts.empty()) config_.accounts = allowed;
    if (std::includes(allowed.begin(), allowed.end(), config_.accounts.begin(),
                      config_.accounts.end())) {
      return;
    }
    reader_.error_at("accounts",
                     fmt::format("'accounts' of {} may only be some of its file's", described()));
    config_.accounts.clear();
  }

  void read_privacy() {
    reader_.read_flag("privacy_mode", config_.privacy_mode);
    reader_.read_set("privacy_keep", config_.privacy_keep);
    if (!config_.privacy_keep.empty() && !config_.privacy_mode) {
      problems_.warning(reader_.position_of("privacy_keep"),
                        fmt::format("'privacy_keep' of {} has no effect without "
                                    "'privacy_mode: true'",
                                    described()));
    }
  }

  void read_delivery() {
    reader_.read_duration("timeout", config_.timeout, kTimeouts);
    reader_.read_count("connections", config_.connections_max, kConnections);
    reader_.read_flag("http2_prior_knowledge", config_.http2_prior_knowledge);
    read_plain_text("ca_file", config_.ca_file);
    read_plain_text("client_cert_file", config_.client_cert_file);
    read_plain_text("client_key_file", config_.client_key_file);
    if (!config_.client_key_file.empty() && config_.client_cert_file.empty()) {
      reader_.error_at("client_key_file", "'client_key_file' needs a 'client_cert_file'");
    }
    read_proxy();
    if (tenant_ != nullptr) refuse_operators_keys();
  }

  // What reads files of this machine, goes round the egress rules, or takes from others.
  void refuse_operators_keys() {
    if (config_.timeout > kTenantTimeoutMax) {
      reader_.error_at("timeout", fmt::format("'timeout' of a tenant's destination is at most {}s",
                                              kTenantTimeoutMax.count()));
    }
    if (config_.connections_max > kTenantConnectionsMax) {
      reader_.error_at("connections",
                       fmt::format("'connections' of a tenant's destination is at most {}",
                                   kTenantConnectionsMax));
    }
    for (const std::string_view key : {"ca_file", "client_cert_file", "client_key_file"}) {
      if (!reader_.has(key)) continue;
      reader_.error_at(key,
                       fmt::format("'{}' names a file of this machine; a tenant may not", key));
    }
    for (const std::string_view key : {"proxy", "no_proxy", "proxy_credentials"}) {
      if (!reader_.has(key)) continue;
      reader_.error_at(key, fmt::format("'{}' is the operator's to set; a tenant may not", key));
    }
  }

  void read_plain_text(std::string_view key, std::string& value) {
    if (auto text = reader_.read_text(key)) value = std::move(text->text);
  }

  void read_proxy() {
    read_plain_text("proxy", config_.proxy);
    std::vector<std::string> hosts;
    reader_.read_set("no_proxy", hosts);
    config_.no_proxy = fmt::format("{}", fmt::join(hosts, ","));
    auto credentials = reader_.read_secret("proxy_credentials");
    if (credentials) {
      if (auto secret = secret_of(*credentials, "proxy_credentials")) {
        config_.proxy_credentials = *std::move(secret);
      }
    }
    if (config_.proxy.empty()) return;
    const bool has_scheme =
        config_.proxy.starts_with("http://") || config_.proxy.starts_with("https://");
    if (!has_scheme || has_control_characters(config_.proxy)) {
      reader_.error_at("proxy", "'proxy' must be a URL such as http://proxy.example:3128");
    } else if (config_.proxy.find('@') != std::string::npos) {
      reader_.error_at("proxy",
                       "'proxy' holds a user or password; put it into 'proxy_credentials'");
    }
  }

  void read_options() {
    for (const Option& option : config_.type->options) {
      auto value =
          option.secret ? reader_.read_secret(option.name) : reader_.read_text(option.name);
      if (option.required && (value ? value->text.empty() : !reader_.has(option.name))) {
        problems_.error(value ? value->position : reader_.position(),
                        fmt::format("{} needs '{}': {}", described(), option.name, option.help));
      }
      if (option.secret) {
        if (!value) continue;
        if (auto secret = secret_of(*value, option.name)) {
          config_.secrets.emplace(option.name, *std::move(secret));
        }
      } else {
        config_.options.values.emplace(option.name,
                                       value ? value->text : std::string(option.fallback));
      }
    }
  }

  void read_headers() {
    for (auto& header : reader_.read_texts_by_name("headers")) {
      if (!is_header_name(header.name)) {
        problems_.error(header.name_position, "not a header name; use letters, digits and '-'");
      }
      if (has_control_characters(header.value.text)) {
        problems_.error(
            header.value.position,
            fmt::format("header '{}' holds a control character, such as a newline", header.name));
      }
      if (header.value.is_sealed) {
        secret_headers_.push_back(header.name);
        if (auto secret = secret_of(header.value, header.name)) {
          config_.secret_headers.emplace(header.name, *std::move(secret));
        }
        continue;
      }
      const bool is_credential = is_credential_header(header.name);
      if (is_credential) warn_of_plain_text(header.value, header.name);
      if (is_credential || header.value.from_outside) secret_headers_.push_back(header.name);
      config_.options.headers.emplace(header.name, std::move(header.value.text));
    }
  }

  // What it was read from is wiped, but for the file's own text.
  std::optional<Secret> secret_of(ReadText& value, std::string_view name) {
    if (!value.is_sealed) {
      warn_of_plain_text(value, name);
      Secret secret{std::string_view(value.text)};
      wipe(value.text.data(), value.text.size());
      return secret;
    }
    if (tenant_ != nullptr) {
      problems_.error(value.position, fmt::format("'{}' of {} is sealed with the operator's key; a "
                                                  "tenant may not have it opened",
                                                  name, described()));
      return std::nullopt;
    }
    // Opened once and wiped, so that a wrong key or a damaged value is found where it stands.
    const auto keys = reader_.context().expander.seal_keys();
    const auto opened = keys ? (*keys)->open(value.text) : Result<LockedBytes>(fail(keys.error()));
    if (!opened) {
      problems_.error(value.position,
                      fmt::format("'{}' of {}: {}", name, described(), opened.error().message()));
      return std::nullopt;
    }
    return Secret(std::move(value.text), *keys);
  }

  void warn_of_plain_text(const ReadText& value, std::string_view name) {
    if (value.from_outside || value.text.empty()) return;
    problems_.warning(value.position,
                      fmt::format("'{0}' of {1} is a secret in plain text; write ${{env:NAME}} or "
                                  "${{file:PATH}} instead, or seal it with `sidecast seal`",
                                  name, described()));
  }

  bool make_exporter() {
    auto exporter = config_.type->make(config_.options);
    if (!exporter) {
      const std::string& message = exporter.error().message();
      problems_.error(position_of_subject(message), fmt::format("{}: {}", described(), message));
      return false;
    }
    config_.exporter = std::move(*exporter);
    return true;
  }

  // Where the setting stands that an exporter's message is about: the message begins with its name.
  Position position_of_subject(std::string_view message) const {
    const std::string_view subject = message.substr(0, message.find_first_of(" :"));
    return reader_.position_of(subject);
  }

  // By the name as it is written: in messages, nothing stands that came from outside.
  std::string described() const {
    return name_.empty() ? "this destination" : fmt::format("destination '{}'", name_);
  }

  MapReader reader_;
  Problems& problems_;
  std::span<const Destination* const> types_;
  DestinationNames& names_;
  const TenantScope* tenant_;
  DestinationConfig config_;
  std::string_view name_;  // as it is written
  std::vector<std::string> secret_headers_;
};

}  // namespace

std::optional<DestinationConfig> read_destination(const YamlNode& map, ReadContext context,
                                                  std::span<const Destination* const> types,
                                                  DestinationNames& names,
                                                  const TenantScope* tenant) {
  return DestinationReader(map, context, types, names, tenant).read();
}

}  // namespace sidecast
