// sidecast seal: secrets for the config that only who has the key can read; new keys; and values
// sealed again under a new key.
#include "engine/base/seal.h"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "engine/base/private_memory.h"
#include "engine/config/config.h"
#include "engine/config/file.h"
#include "engine/config/seal_keys.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/config_edit.h"
#include "tools/sidecast/replace_file.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

constexpr std::size_t kKeyFileBytesMax = 64U << 10U;

struct SealOptions {
  std::string key_file;
  std::string new_key;              // file to make
  std::vector<std::string> rotate;  // files to seal again
  bool forgets_old = false;
};

// Stdin, without the line end that a terminal or `echo` adds.
Result<LockedBytes> read_secret() {
  LockedBytes buffer(kSecretBytesMax + 2);
  std::size_t size = 0;
  while (size < buffer.size()) {
    const ssize_t count = ::read(STDIN_FILENO, buffer.data() + size, buffer.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail("cannot read stdin: " + std::generic_category().message(errno));
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  std::string_view secret = buffer.view().substr(0, size);
  if (secret.ends_with('\n')) secret.remove_suffix(1);
  if (secret.ends_with('\r')) secret.remove_suffix(1);
  return LockedBytes(secret);
}

int failed(std::string_view message, int exit_code = kExitFailed) {
  print_error(message);
  return exit_code;
}

int make_key(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
  if (file < 0) {
    return failed(fmt::format("cannot make {}: {}", path, std::generic_category().message(errno)));
  }
  const LockedBytes line = SealKeys::new_key_line();
  const bool is_written =
      ::write(file, line.view().data(), line.size()) == static_cast<ssize_t>(line.size()) &&
      ::fsync(file) == 0;
  static_cast<void>(::close(file));
  if (!is_written) {
    static_cast<void>(::unlink(path.c_str()));
    return failed(fmt::format("cannot write {}", path));
  }
  fmt::print("Made {0}, for its owner alone. Name it in the config: seal_key_file: {0}\n", path);
  return kExitDone;
}

int seal_stdin(const SealOptions& options) {
  const auto found = find_seal_keys(process_sources(""), options.key_file);
  if (!found) return failed(found.error().message(), kExitUsage);
  const auto secret = read_secret();
  if (!secret) return failed(secret.error().message());
  const auto sealed = found->keys.seal(secret->view());
  if (!sealed) return failed(sealed.error().message(), kExitUsage);
  fmt::print("{}\n", *sealed);
  return kExitDone;
}

struct Rotated {
  std::string path;
  Resealed resealed;
};

// All in memory: a value that cannot be opened must leave every file as it is.
Result<std::vector<Rotated>> reseal_files(const std::vector<std::string>& paths,
                                          const SealKeys& keys) {
  std::vector<Rotated> rotated;
  for (const std::string& path : paths) {
    const auto text = read_file(path, kConfigBytesMax);
    if (!text) return fail(text.error());
    auto resealed = reseal_all(*text, [&keys](std::string_view value) -> Result<std::string> {
      const auto secret = keys.open(value);
      if (!secret) return fail(secret.error());
      return keys.seal(secret->view());
    });
    if (!resealed) return fail(fmt::format("{}: {}", path, resealed.error().message()));
    rotated.push_back({path, std::move(*resealed)});
  }
  return rotated;
}

// The new key goes before the old ones first, so that at every instant the key file opens whatever
// the other files hold.
int rotate(const SealOptions& options) {
  const auto found = find_seal_keys(process_sources(""), options.key_file);
  if (!found) return failed(found.error().message(), kExitUsage);
  if (found->file.empty()) {
    return failed("the key came from the environment; put it into a file and name it by --key-file",
                  kExitUsage);
  }
  auto read = read_file(found->file, kKeyFileBytesMax);
  if (!read) return failed(read.error().message());
  std::string& old_text = *read;
  const LockedBytes new_key = SealKeys::new_key_line();
  LockedBytes both(new_key.size() + old_text.size());
  new_key.view().copy(both.data(), new_key.size());
  old_text.copy(both.data() + new_key.size(), old_text.size());
  wipe(old_text.data(), old_text.size());
  const auto keys = SealKeys::parse(both.view());
  if (!keys) return failed(fmt::format("{}: {}", found->file, keys.error().message()));
  const auto rotated = reseal_files(options.rotate, *keys);
  if (!rotated) return failed(rotated.error().message());

  if (Status saved = replace_file(found->file, both.view()); !saved) {
    return failed(saved.error().message());
  }
  for (const auto& [path, resealed] : *rotated) {
    if (Status saved = replace_file(path, resealed.text); !saved) {
      return failed(saved.error().message());
    }
    fmt::print("{}: {} sealed again\n", path, human_count(resealed.count, "value"));
  }
  if (options.forgets_old) {
    if (Status saved = replace_file(found->file, new_key.view()); !saved) {
      return failed(saved.error().message());
    }
  }
  fmt::print("{}: {}\n", found->file,
             options.forgets_old ? "holds the new key alone"
                                 : "holds the new key, and the old ones after it");
  return kExitDone;
}

int run_seal(const SealOptions& options) {
  if (!options.new_key.empty()) return make_key(options.new_key);
  return options.rotate.empty() ? seal_stdin(options) : rotate(options);
}

}  // namespace

void add_seal(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SealOptions>();
  CLI::App* const command = app.add_subcommand(
      "seal",
      "Read a secret from stdin and print it sealed, for the config. The key is that of "
      "--key-file,\n"
      "$SIDECAST_SEAL_KEY_FILE, $SIDECAST_SEAL_KEY, or systemd's credential sidecast-seal-key.");
  command->add_option("--key-file", options->key_file, "The key's file");
  command->add_option("--new-key", options->new_key, "Make a new key in this file, and no more");
  command->add_option("--rotate", options->rotate,
                      "Make a new key, and seal every value of these files again under it; a\n"
                      "running engine takes both up when it reads its config the next time");
  command->add_flag("--forget-old", options->forgets_old,
                    "With --rotate: drop the old keys; values elsewhere can then not be opened");
  command->callback([options, &exit_code] {
    keep_memory_private(true);
    exit_code = run_seal(*options);
  });
}

}  // namespace sidecast
