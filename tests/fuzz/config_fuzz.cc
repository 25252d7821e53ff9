// Any text is either a config whose promises hold or a list of positioned mistakes, none of which
// shows what a reference gave. No environment and no file of the machine is read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/base/assert.h"
#include "engine/config/config.h"
#include "engine/route/route.h"
#include "tests/unit/config/fake_destination.h"

namespace {

using namespace sidecast;

constexpr std::string_view kOutside = "0utside-va1ue";

ConfigSources sources_without_world() {
  ConfigSources sources;
  sources.environment = [](const std::string& name) -> std::optional<std::string> {
    if (name.size() > 3) return std::nullopt;
    return std::string(kOutside);
  };
  sources.read_file = [](const std::string& path) -> Result<std::string> {
    if (path.size() > 3) return fail("no such file");
    return std::string(kOutside) + "\n";
  };
  return sources;
}

void check_promises(const Config& config) {
  for (const DestinationConfig& destination : config.destinations) {
    SIDECAST_ASSERT(!destination.name.empty());
    SIDECAST_ASSERT(destination.type != nullptr);
    SIDECAST_ASSERT(destination.exporter != nullptr);
    SIDECAST_ASSERT(destination.group.size() == 32);
    SIDECAST_ASSERT(destination.identity.size() == 32);
    SIDECAST_ASSERT(destination.sampling_rate > 0);
    SIDECAST_ASSERT(destination.sampling_rate <= 1);
    for (const std::string& account : destination.accounts) SIDECAST_ASSERT(!account.empty());
    for (const Option& option : destination.type->options) {
      if (option.secret) SIDECAST_ASSERT(!destination.options.values.contains(option.name));
    }
  }
  const Router router(config.destinations);
  std::vector<Routed> routed;
  router.route({.account = "a"}, routed);
  for (const Routed& one : routed) SIDECAST_ASSERT(one.group_index < router.groups().size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ConfigReport report =
      check_config(text, "fuzz.yaml", test::kFakeTypes, sources_without_world());
  SIDECAST_ASSERT(report.config.has_value() == report.errors.empty());
  const bool text_holds_it = text.find(kOutside) != std::string_view::npos;
  for (const ConfigProblem& error : report.errors) {
    SIDECAST_ASSERT(!error.message.empty());
    SIDECAST_ASSERT(error.message.find('\n') == std::string::npos);
    if (!text_holds_it) SIDECAST_ASSERT(error.message.find(kOutside) == std::string::npos);
  }
  if (report.config) check_promises(*report.config);
  return 0;
}
