#include "engine/config/expand.h"

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "engine/config/file.h"
#include "engine/config/seal_keys.h"

namespace sidecast {
namespace {

// Bounds for a config that went wrong (a generated one, a path to the wrong file): a secret is
// hundreds of bytes, and nobody keeps more than a few per destination.
constexpr std::size_t kFilesMax = 65'536;
constexpr std::size_t kFileBytesMax = 64U << 10U;

}  // namespace

ConfigSources process_sources(const std::string& config_file) {
  ConfigSources sources;
  sources.environment = [](const std::string& name) -> std::optional<std::string> {
    // Nobody in these programs calls setenv().
    const char* const value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
  sources.read_file =
      [folder = std::filesystem::path(config_file).parent_path()](const std::string& path) {
        return read_file((folder / path).string(), kFileBytesMax);
      };
  return sources;
}

Result<std::shared_ptr<const SealKeys>> Expander::seal_keys() {
  if (seal_keys_ != nullptr) return seal_keys_;
  auto found = find_seal_keys(sources_, seal_key_file_);
  if (!found) return fail(found.error());
  seal_keys_ = std::make_shared<const SealKeys>(std::move(found->keys));
  return seal_keys_;
}

Result<Expanded> Expander::expand(std::string_view raw) {
  Expanded result;
  while (true) {
    const std::size_t start = raw.find("${");
    if (start == std::string_view::npos) {
      result.text += raw;
      return result;
    }
    if (start > 0 && raw[start - 1] == '$') {
      result.text += raw.substr(0, start - 1);
      result.text += "${";
      raw.remove_prefix(start + 2);
      continue;
    }
    result.text += raw.substr(0, start);
    raw.remove_prefix(start + 2);
    const std::size_t end = raw.find('}');
    if (end == std::string_view::npos) return fail("'${' without '}'; write $${ for a literal ${");
    auto value = resolve(raw.substr(0, end));
    if (!value) return fail(std::move(value).error());
    result.text += *value;
    result.from_outside = true;
    raw.remove_prefix(end + 1);
  }
}

Result<std::string> Expander::resolve(std::string_view reference) {
  if (!sources_.environment && !sources_.read_file) {
    return fail("${...} is not for tenants' files: it could name the operator's secrets");
  }
  constexpr std::string_view kEnvironment = "env:";
  constexpr std::string_view kFile = "file:";
  if (reference.starts_with(kEnvironment) && reference.size() > kEnvironment.size()) {
    const std::string name(reference.substr(kEnvironment.size()));
    auto value = sources_.environment(name);
    if (!value) return fail(fmt::format("environment variable {} is not set", name));
    return std::move(*value);
  }
  if (reference.starts_with(kFile) && reference.size() > kFile.size()) {
    if (++file_count_ > kFilesMax) {
      return fail(fmt::format("more than {} ${{file:...}} references in one config", kFilesMax));
    }
    auto value = sources_.read_file(std::string(reference.substr(kFile.size())));
    // Editors and `echo` end a file with a newline that is no part of the secret.
    if (value && value->ends_with('\n')) value->pop_back();
    if (value && value->ends_with('\r')) value->pop_back();
    return value;
  }
  return fail(fmt::format(
      "unknown reference '${{{}}}'; use ${{env:NAME}}, ${{file:PATH}}, or $${{ for a literal ${{",
      reference));
}

}  // namespace sidecast
