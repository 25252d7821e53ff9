// The checked configuration. Whoever holds a Config holds one that is valid as a whole; an invalid
// file never becomes one. parse_config() is pure but for ${file:...} and sealed values.
#pragma once

#include <cstdint>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "exporters/exporter.h"

namespace sidecast {

struct DestinationConfig {
  std::string name;
  const Destination* type = nullptr;  // from exporters/registry.h
  bool enabled = true;
  OptionValues options;  // every option of the type, defaults filled in, secrets left out
  Secrets secrets;
  std::shared_ptr<const Exporter> exporter;  // made from `options`

  // Routing.
  std::vector<std::string> accounts;  // empty = all accounts
  std::vector<std::string> api_keys_include;  // key ids or names; empty = all
  std::vector<std::string> api_keys_exclude;
  double sampling_rate = 1.0;  // 0 < rate <= 1
  std::string sampling_salt;
  bool privacy_mode = false;
  std::vector<std::string> privacy_keep;  // attribute keys that stay in privacy mode

  // 128-bit hashes, as 32 hex digits. `group`: all that decides which records and which bytes; equal
  // groups share staged spans and batches. `identity`: name, type, accounts, endpoint and every
  // option that shapes bytes, not the secrets: what queued batches belong to.
  std::string group;
  std::string identity;

  // Delivery.
  std::chrono::milliseconds timeout{30'000};
  std::uint32_t connections_max = 4;
};

struct Config {
  std::string ring_dir = "/dev/shm/sidecast";
  std::uint64_t memory_limit_bytes = 512ULL << 20U;
  std::uint32_t workers = 0;  // 0 = one per CPU but one, at least one
  std::chrono::milliseconds batch_age_max{1'000};
  std::chrono::milliseconds shutdown_deadline{10'000};  // SIGTERM: flush until then
  std::chrono::seconds give_up_after{300};              // a batch older than that is dropped(expired)
  // Settings published to writers; 0 = the writer's default.
  std::uint64_t ring_bytes = 0;
  std::uint32_t lanes = 0;
  std::uint64_t record_bytes_max = 0;
  bool writers_off = false;

  std::vector<DestinationConfig> destinations;
  std::vector<std::string> warnings;  // plaintext secrets and the like, one line each
};

// `file` is used in messages only. An Error reads "FILE:LINE:COLUMN: what is wrong; what to do".
[[nodiscard]] Result<Config> parse_config(std::string_view text, const std::string& file);
[[nodiscard]] Result<Config> load_config(const std::string& path);

}  // namespace sidecast
