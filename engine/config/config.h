// The checked configuration. Whoever holds a Config holds one that is valid as a whole; an invalid
// file never becomes one. Checking is pure but for what ${env:...} and ${file:...} name.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/expand.h"
#include "engine/config/filter_rules.h"
#include "engine/config/problems.h"
#include "engine/spool/settings.h"
#include "exporters/exporter.h"
#include "exporters/http/egress.h"

namespace sidecast {

// So much of a record's account is staged beside its spans, where delivery compares it.
inline constexpr std::size_t kAccountBytesMax = 1024;

struct DestinationConfig {
  std::string name;
  const Destination* type = nullptr;  // from exporters/registry.h
  bool enabled = true;
  OptionValues options;  // every option of the type, defaults filled in, secrets left out
  Secrets secrets;
  Secrets secret_headers;                    // by header name: sealed values of `headers`
  std::shared_ptr<const Exporter> exporter;  // made from `options`; never null

  // Of a tenant's file: it is not trusted as the operator's own are.
  bool is_tenants = false;

  // Routing. Lists are sorted and hold each text once.
  std::vector<std::string> accounts;          // empty = all accounts
  std::vector<std::string> api_keys_include;  // key ids or names; empty = all
  std::vector<std::string> api_keys_exclude;  // wins over include
  // Where a request was served: "global" (no region is known), "europe", "us" or a region's own
  // name; empty = anywhere.
  std::vector<std::string> regions;
  FilterRules filter_rules;
  double sampling_rate = 1.0;  // 0 < rate <= 1
  std::string sampling_salt;
  bool privacy_mode = false;
  std::vector<std::string> privacy_keep;  // attribute keys that stay in privacy mode

  // 128-bit hashes, as 32 hex digits: see engine/config/identity.h. Equal groups share staged spans
  // and batches; queued batches belong to an identity.
  std::string group;
  std::string identity;

  // Delivery.
  std::chrono::milliseconds timeout{30'000};
  std::uint32_t connections_max = 4;
  std::string ca_file;           // PEM; empty = the system's certificates
  std::string client_cert_file;  // PEM, for servers that ask who calls
  std::string client_key_file;   // PEM; empty = in client_cert_file
  std::string proxy;             // URL without credentials; the environment's is never used
  std::string no_proxy;          // hosts that are reached without it, separated by commas
  Secret proxy_credentials;      // user:password
  std::shared_ptr<const AddressRanges> egress_allowed;  // of a tenant's: Config's; else null
  bool http2_prior_knowledge = false;  // cleartext HTTP/2, for servers that speak nothing else
};

struct Config {
  std::string ring_dir = "/dev/shm/sidecast";
  std::uint64_t memory_limit_bytes = 512ULL << 20U;
  std::uint32_t workers = 0;  // 0 = one per CPU but one, at least one
  std::chrono::milliseconds batch_age_max{1'000};
  std::chrono::milliseconds shutdown_deadline{10'000};  // SIGTERM: flush until then
  // For the recent fates that `sidecast explain` reads; 0 = none. Unset: a small part of
  // memory_limit.
  std::optional<std::uint64_t> explain_bytes;
  // A batch older than that is dropped(expired); with a spool, that is spool.age_max.
  std::chrono::seconds give_up_after{300};
  std::optional<spool::Settings> spool;
  std::uint32_t id_characters_max = 128;  // of user and session ids; the rest is cut
  // Settings published to writers; 0 = the writer's default.
  std::uint64_t ring_bytes = 0;
  std::uint32_t lanes = 0;
  std::uint64_t record_bytes_max = 0;
  bool writers_off = false;
  // The engine's memory may be dumped and traced: for who debugs it. Credentials are in it.
  bool core_dumps = false;

  // Private addresses that tenants' destinations may reach as well; null = none.
  std::shared_ptr<const AddressRanges> egress_allowed;

  std::vector<DestinationConfig> destinations;  // in the order of the file; names are unique
  std::string destinations_dir;                 // of tenants' files (tenants.h); empty = none
  std::vector<std::string>
      warnings;  // plaintext secrets and the like, "FILE:LINE:COLUMN: ..." each
};

// Larger configs are refused unread.
inline constexpr std::size_t kConfigBytesMax = 16U << 20U;

// `file` names the file in messages, and its folder is what relative ${file:...} paths start from.
// An Error has one line per mistake, each "FILE:LINE:COLUMN: what is wrong; what to do".
[[nodiscard]] Result<Config> parse_config(std::string_view text, const std::string& file);
[[nodiscard]] Result<Config> load_config(const std::string& path);

// The ring directory alone, whatever else is wrong: for tools that need no destination and may not
// see the secrets.
[[nodiscard]] Result<std::string> load_ring_dir(const std::string& path);
[[nodiscard]] Result<std::string> parse_ring_dir(std::string_view text, const std::string& file,
                                                 const ConfigSources& sources);

// The spool's directory alone, in the same way; empty when there is no spool.
[[nodiscard]] Result<std::string> load_spool_dir(const std::string& path);
[[nodiscard]] Result<std::string> parse_spool_dir(std::string_view text, const std::string& file,
                                                  const ConfigSources& sources);

// For those who show mistakes one by one. Up to a hundred of each kind, in the order of the file.
struct ConfigReport {
  std::optional<Config> config;  // set when there are no errors
  std::vector<ConfigProblem> errors;
  std::vector<ConfigProblem> warnings;
};

// The same against given destination types and outside world. Pure if `sources` is.
[[nodiscard]] ConfigReport check_config(std::string_view text, const std::string& file,
                                        std::span<const Destination* const> types,
                                        const ConfigSources& sources);
// The file as load_config() would see it. An Error when it cannot be read.
[[nodiscard]] Result<ConfigReport> check_config_file(const std::string& path);

}  // namespace sidecast
