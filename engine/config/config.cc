#include "engine/config/config.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "engine/budget.h"
#include "engine/config/destination.h"
#include "engine/config/units.h"
#include "engine/config/yaml_reader.h"
#include "engine/config/yaml_tree.h"

namespace sidecast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr Between<std::uint64_t> kMemoryLimits{16ULL << 20U, 1ULL << 40U};
constexpr Between<std::uint32_t> kWorkers{0, 256};
constexpr Between<std::uint32_t> kIdCharacters{16, 4096};
constexpr Between<milliseconds> kBatchAges{milliseconds(10), hours(1)};
constexpr Between<milliseconds> kShutdownDeadlines{milliseconds(0), hours(1)};
constexpr Between<milliseconds> kGiveUpAfter{std::chrono::seconds(1), hours(24 * 7)};
constexpr Between<std::uint64_t> kSpoolLimits{4ULL << 20U, 1ULL << 50U};
constexpr Between<milliseconds> kSpoolAges{std::chrono::seconds(1), hours(24 * 365)};
constexpr Between<milliseconds> kSpoolAfter{milliseconds(0), hours(24)};
constexpr Between<std::uint64_t> kRingSizes{1ULL << 20U, 4ULL << 30U};
constexpr Between<std::uint32_t> kLanes{1, 16};
constexpr Between<std::uint64_t> kRecordSizes{4ULL << 10U, 1ULL << 30U};
constexpr Between<std::uint64_t> kExplainSizes{0, 1ULL << 30U};
constexpr std::uint64_t kExplainShareMin = 16;
constexpr std::uint64_t kRecordBytesUsual = 1ULL << 20U;  // and above what most gateways write

void read_ring_dir(MapReader& reader, Config& config) {
  auto ring_dir = reader.read_text("ring_dir");
  if (!ring_dir) return;
  if (!ring_dir->text.starts_with('/')) {
    // Gateways and the engine run in different working directories.
    reader.context().problems.error(ring_dir->position, "'ring_dir' must be an absolute path");
  }
  config.ring_dir = std::move(ring_dir->text);
}

void read_egress(MapReader& reader, Config& config) {
  const YamlNode* const map = reader.read_map("egress");
  if (map == nullptr) return;
  MapReader egress(*map, reader.context());
  std::vector<std::string> texts;
  egress.read_set("allow", texts);
  auto ranges = std::make_shared<AddressRanges>();
  for (const std::string& text : texts) {
    if (Status added = ranges->add(text); !added) egress.error_at("allow", added.error().message());
  }
  if (!ranges->is_empty()) config.egress_allowed = std::move(ranges);
  egress.finish();
}

// Before anything that may be sealed.
void read_seal_key_file(MapReader& reader) {
  if (const auto file = reader.read_text("seal_key_file")) {
    reader.context().expander.set_seal_key_file(file->text);
  }
}

void read_writers(MapReader& reader, Config& config) {
  const YamlNode* const map = reader.read_map("writers");
  if (map == nullptr) return;
  MapReader writers(*map, reader.context());
  bool enabled = true;
  writers.read_flag("enabled", enabled);
  config.writers_off = !enabled;
  writers.read_size("ring_size", config.ring_bytes, kRingSizes);
  writers.read_count("lanes", config.lanes, kLanes);
  writers.read_size("record_size_max", config.record_bytes_max, kRecordSizes);
  writers.finish();
}

void read_explain(MapReader& reader, Config& config) {
  const YamlNode* const map = reader.read_map("explain");
  if (map == nullptr) return;
  MapReader explain(*map, reader.context());
  std::uint64_t bytes = kExplainSizes.max;
  if (explain.has("size")) {
    explain.read_size("size", bytes, kExplainSizes);
    config.explain_bytes = bytes;
    if (bytes > config.memory_limit_bytes / kExplainShareMin) {
      reader.context().problems.error(
          explain.position_of("size"),
          fmt::format(
              "'size' may be at most a sixteenth of 'memory_limit', of which it is a part: {}",
              size_text(config.memory_limit_bytes / kExplainShareMin)));
    }
  }
  explain.finish();
}

void read_limits(MapReader& reader, Config& config) {
  reader.read_size("memory_limit", config.memory_limit_bytes, kMemoryLimits);
  reader.read_count("workers", config.workers, kWorkers);
  reader.read_count("id_characters_max", config.id_characters_max, kIdCharacters);
  reader.read_duration("batch_age_max", config.batch_age_max, kBatchAges);
  reader.read_flag("core_dumps", config.core_dumps);
  reader.read_duration("shutdown_deadline", config.shutdown_deadline, kShutdownDeadlines);
  milliseconds give_up_after = config.give_up_after;
  reader.read_duration("give_up_after", give_up_after, kGiveUpAfter);
  config.give_up_after = std::chrono::ceil<std::chrono::seconds>(give_up_after);
}

void read_spool_dir(MapReader& spool, const MapReader& reader, std::string& directory) {
  auto dir = spool.read_text("dir");
  if (dir && !dir->text.starts_with('/')) {
    spool.context().problems.error(dir->position, "'dir' must be an absolute path");
  } else if (dir) {
    directory = std::move(dir->text);
  } else if (!spool.has("dir")) {
    spool.context().problems.error(
        reader.position_of("spool"),
        "'spool' needs 'dir': a directory on disk for what outlives memory");
  }
}

// After read_limits().
void read_spool(MapReader& reader, Config& config) {
  const YamlNode* const map = reader.read_map("spool");
  if (map == nullptr) return;
  spool::Settings settings;
  MapReader spool(*map, reader.context());
  read_spool_dir(spool, reader, settings.directory);
  spool.read_size("limit", settings.limit_bytes, kSpoolLimits);
  milliseconds age_max = reader.has("give_up_after") ? config.give_up_after : settings.age_max;
  if (reader.has("give_up_after") && spool.has("age_max")) {
    spool.error_at("age_max", "'age_max' and 'give_up_after' are the same age; set one of them");
  }
  spool.read_duration("age_max", age_max, kSpoolAges);
  settings.age_max = std::chrono::ceil<std::chrono::seconds>(age_max);
  config.give_up_after = settings.age_max;
  spool.read_duration("after", settings.after, kSpoolAfter);
  if (const auto sync = spool.read_text("sync")) {
    using spool::Sync;
    constexpr std::array<std::pair<std::string_view, Sync>, 3> kNames = {
        {{"never", Sync::kNever}, {"always", Sync::kAlways}, {"interval", Sync::kInterval}}};
    const auto* const named = std::find_if(
        kNames.begin(), kNames.end(), [&](const auto& name) { return name.first == sync->text; });
    if (named != kNames.end()) {
      settings.sync = named->second;
    } else {
      spool.error_at("sync", "'sync' must be never, always or interval");
    }
  }
  spool.finish();
  config.spool = std::move(settings);
}

void read_destinations(MapReader& reader, std::span<const Destination* const> types,
                       Config& config) {
  Problems& problems = reader.context().problems;
  if (!reader.has("destinations") && config.destinations_dir.empty()) {
    problems.warning(reader.position(), "there are no 'destinations'; no record will be sent");
  }
  const YamlNode* const list = reader.read_list("destinations");
  if (list == nullptr) return;
  DestinationNames names;
  for (const auto& item : list->items) {
    if (problems.is_full()) return;
    if (item->kind != YamlNode::Kind::kMap) {
      problems.error(item->position, "a destination must be a map with 'name' and 'type'");
      continue;
    }
    auto destination = read_destination(*item, reader.context(), types, names);
    if (destination) config.destinations.push_back(*std::move(destination));
  }
}

void read_destinations_dir(MapReader& reader, Config& config) {
  auto directory = reader.read_text("destinations_dir");
  if (!directory) return;
  if (!directory->text.starts_with('/')) {
    reader.context().problems.error(directory->position,
                                    "'destinations_dir' must be an absolute path");
  }
  config.destinations_dir = std::move(directory->text);
}

void check_budget(const MapReader& reader, const Config& config) {
  Problems& problems = reader.context().problems;
  const Budget budget = make_budget(config.memory_limit_bytes, config.workers);
  if (budget.workers < config.workers) {
    problems.warning(reader.position_of("workers"),
                     fmt::format("'memory_limit' is enough for {} of {} 'workers'", budget.workers,
                                 config.workers));
  }
  std::set<std::string_view> groups;
  for (const DestinationConfig& destination : config.destinations) {
    if (destination.enabled) groups.insert(destination.group);
  }
  // Spans are seldom larger than the record they are made of.
  const std::uint64_t record_bytes =
      config.record_bytes_max != 0 ? config.record_bytes_max : kRecordBytesUsual;
  if (record_bytes * groups.size() > budget.record_spans_bytes) {
    problems.warning(
        reader.position_of("memory_limit"),
        fmt::format("'memory_limit' is too small for records of {} in {} groups of destinations: "
                    "together their spans may take {}; the content of larger ones is shortened",
                    size_text(record_bytes), groups.size(), size_text(budget.record_spans_bytes)));
  }
}

void refuse_later_keys(MapReader& reader) {
  reader.refuse("gateways", "every ring may speak for every account");
}

void read_document(const YamlNode& root, ReadContext context,
                   std::span<const Destination* const> types, Config& config) {
  if (root.kind != YamlNode::Kind::kMap && root.kind != YamlNode::Kind::kNothing) {
    context.problems.error(root.position, "a config is a map of 'key: value' lines");
    return;
  }
  MapReader reader(root, context);
  read_ring_dir(reader, config);
  read_limits(reader, config);
  read_spool(reader, config);
  read_explain(reader, config);
  read_writers(reader, config);
  read_seal_key_file(reader);
  read_egress(reader, config);
  read_destinations_dir(reader, config);
  read_destinations(reader, types, config);
  check_budget(reader, config);
  refuse_later_keys(reader);
  reader.finish();
}

}  // namespace

Result<std::string> parse_ring_dir(std::string_view text, const std::string& file,
                                   const ConfigSources& sources) {
  const auto root = parse_yaml(text);
  if (!root) return fail(problem_line(file, root.error()));
  Config config;
  if ((*root)->kind != YamlNode::Kind::kMap) return config.ring_dir;
  Problems problems;
  Expander expander(sources);
  MapReader reader(**root, {problems, expander});
  static_cast<void>(problems.take_errors());  // duplicate keys are the engine's business
  read_ring_dir(reader, config);
  const auto errors = problems.take_errors();
  if (!errors.empty()) return fail(problem_line(file, errors.front()));
  return config.ring_dir;
}

Result<std::string> parse_spool_dir(std::string_view text, const std::string& file,
                                    const ConfigSources& sources) {
  const auto root = parse_yaml(text);
  if (!root) return fail(problem_line(file, root.error()));
  std::string directory;
  if ((*root)->kind != YamlNode::Kind::kMap) return directory;
  Problems problems;
  Expander expander(sources);
  MapReader reader(**root, {problems, expander});
  const YamlNode* const map = reader.read_map("spool");
  static_cast<void>(problems.take_errors());  // duplicate keys are the engine's business
  if (map == nullptr) return directory;
  MapReader spool(*map, reader.context());
  read_spool_dir(spool, reader, directory);
  const auto errors = problems.take_errors();
  if (!errors.empty()) return fail(problem_line(file, errors.front()));
  return directory;
}

ConfigReport check_config(std::string_view text, const std::string& file,
                          std::span<const Destination* const> types, const ConfigSources& sources) {
  ConfigReport report;
  Problems problems;
  Expander expander(sources);
  Config config;
  if (text.size() > kConfigBytesMax) {
    problems.error({}, fmt::format("larger than {}; split it", size_text(kConfigBytesMax)));
  } else if (auto root = parse_yaml(text)) {
    read_document(**root, {problems, expander}, types, config);
  } else {
    problems.error(root.error().position, root.error().message);
  }
  report.errors = problems.take_errors();
  report.warnings = problems.take_warnings();
  if (!report.errors.empty()) return report;
  for (const ConfigProblem& warning : report.warnings) {
    config.warnings.push_back(problem_line(file, warning));
  }
  report.config = std::move(config);
  return report;
}

}  // namespace sidecast
