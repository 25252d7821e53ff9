// ${env:NAME} and ${file:PATH} in the scalars of a config; $${ stands for a literal ${. What they
// give is not expanded again, so a value from outside cannot refer to anything.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/base/seal.h"

namespace sidecast {

// The world outside a config's text. Tests and the fuzzer bring their own; without any, a reference
// is an error.
struct ConfigSources {
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::function<Result<std::string>(const std::string& path)> read_file;
};

// The process's environment and files. Paths are relative to the folder of `config_file`.
[[nodiscard]] ConfigSources process_sources(const std::string& config_file);

struct Expanded {
  std::string text;
  bool from_outside = false;  // some of it was not in the file
};

// One per config: it counts the files it read.
class Expander {
 public:
  explicit Expander(const ConfigSources& sources) : sources_(sources) {}

  // An Error says which reference failed and why, without any value.
  [[nodiscard]] Result<Expanded> expand(std::string_view raw);

  // The keys of sealed values, looked for when the first is met: seal_keys.h says where.
  void set_seal_key_file(std::string path) { seal_key_file_ = std::move(path); }
  [[nodiscard]] Result<std::shared_ptr<const SealKeys>> seal_keys();

 private:
  [[nodiscard]] Result<std::string> resolve(std::string_view reference);

  const ConfigSources& sources_;
  std::size_t file_count_ = 0;
  std::string seal_key_file_;
  std::shared_ptr<const SealKeys> seal_keys_;
};

}  // namespace sidecast
