#include "engine/config/seal_keys.h"

#include <utility>

#include <fmt/format.h>

namespace sidecast {
namespace {

constexpr const char* kCredential = "sidecast-seal-key";

Result<FoundSealKeys> parse_wiped(std::string text, const std::string& place, std::string file) {
  auto keys = SealKeys::parse(text);
  wipe(text.data(), text.size());
  if (!keys) return fail(fmt::format("{}: {}", place, keys.error().message()));
  return FoundSealKeys{std::move(*keys), std::move(file)};
}

}  // namespace

Result<FoundSealKeys> find_seal_keys(const ConfigSources& sources,
                                     const std::string& config_key_file) {
  std::string file = config_key_file;
  if (file.empty()) file = sources.environment("SIDECAST_SEAL_KEY_FILE").value_or("");
  if (file.empty()) {
    if (auto key = sources.environment("SIDECAST_SEAL_KEY")) {
      return parse_wiped(*std::move(key), "SIDECAST_SEAL_KEY", "");
    }
    const auto credentials = sources.environment("CREDENTIALS_DIRECTORY");
    if (!credentials) {
      return fail(
          "there is no key for sealed values; set seal_key_file, SIDECAST_SEAL_KEY_FILE or "
          "systemd's LoadCredential=sidecast-seal-key");
    }
    file = *credentials + "/" + kCredential;
  }
  auto text = sources.read_file(file);
  if (!text) return fail(std::move(text).error());
  return parse_wiped(*std::move(text), file, file);
}

}  // namespace sidecast
