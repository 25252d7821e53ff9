// sidecast spool: looks into the batches that wait on disk, checks and repairs them, and gives them
// to another destination. Looking needs no engine and disturbs none.
#include "tools/sidecast/spool.h"

#include <utility>

#include <CLI/CLI.hpp>

#include "engine/config/config.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

void add_place(CLI::App& command, SpoolOptions& options) {
  CLI::Option* const config =
      command
          .add_option("--config", options.config_file, "The engine's config; names the directory")
          ->check(CLI::ExistingFile);
  command.add_option("--dir", options.directory, "Directory of the spool")->excludes(config);
}

}  // namespace

Result<std::string> find_spool_dir(const SpoolOptions& options) {
  if (!options.directory.empty()) return options.directory;
  if (options.config_file.empty())
    return fail("say where the spool is: --config FILE or --dir DIR");
  auto directory = load_spool_dir(options.config_file);
  if (directory && directory->empty()) return fail(options.config_file + " names no spool");
  return directory;
}

std::uint64_t SpoolSegment::waiting(const spool::SegmentFile::Found& frame) const {
  const std::size_t count = frame.head.destinations.size();
  const std::uint64_t all = count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
  return all & ~(*done)[frame.head.ordinal];
}

Result<std::string> SpoolSegment::read(const spool::SegmentFile::Found& frame) const {
  const auto awake = spool::SegmentFile::open(path, spool::SegmentFile::Access::kRead);
  if (!awake) return fail(awake.error());
  return (*awake)->read(frame.offset, frame.head.size_bytes);
}

std::vector<const spool::DestinationName*> waiting_destinations(
    const SpoolSegment& segment, const spool::SegmentFile::Found& frame) {
  std::vector<const spool::DestinationName*> destinations;
  const std::uint64_t waiting = segment.waiting(frame);
  for (std::size_t i = 0; i < frame.head.destinations.size(); ++i) {
    if ((waiting >> i & 1U) != 0) destinations.push_back(&frame.head.destinations[i]);
  }
  return destinations;
}

std::vector<std::string> waiting_names(const SpoolSegment& segment,
                                       const spool::SegmentFile::Found& frame) {
  std::vector<std::string> names;
  for (const auto* const one : waiting_destinations(segment, frame)) {
    names.emplace_back(spool::name_of(*one));
  }
  return names;
}

Result<std::vector<SpoolSegment>> read_spool(const std::string& directory,
                                             spool::SegmentFile::Access access) {
  const auto paths = spool::files_of(directory, ".spool");
  if (!paths) return fail(paths.error());
  std::vector<SpoolSegment> segments;
  for (const std::string& path : *paths) {
    SpoolSegment segment;
    segment.path = path;
    spool::SegmentFile::Unusable why{};
    auto file = spool::SegmentFile::open(path, access, &why);
    if (file) {
      auto scan = (*file)->scan();
      if (scan) {
        segment.scan = *std::move(scan);
        segment.done = (*file)->read_done();
        segment.file = std::move(*file);
        segment.file->rest();
      } else {
        segment.flaw = scan.error().message();
      }
    } else {
      segment.flaw = file.error().message();
      segment.is_damaged = why == spool::SegmentFile::Unusable::kDamaged;
    }
    segments.push_back(std::move(segment));
  }
  return segments;
}

void add_spool(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SpoolOptions>();
  CLI::App* const command =
      app.add_subcommand("spool", "Look into the batches that wait on disk, check them, move them");
  command->require_subcommand(1);

  CLI::App* const list = command->add_subcommand(
      "ls", "List the segments, and what waits in them for which destination since when.");
  add_place(*list, *options);
  list->add_flag("--json", options->json, "One JSON object");
  list->callback([options, &exit_code] { exit_code = list_spool(*options); });

  CLI::App* const cat = command->add_subcommand(
      "cat",
      "Print the records that wait, one JSON object a line; content is redacted unless asked for.");
  add_place(*cat, *options);
  cat->add_option("--destination", options->destination, "Only what waits for that one");
  cat->add_flag("--show-content", options->show_content, "Show texts of attributes as well");
  cat->callback([options, &exit_code] { exit_code = cat_spool(*options); });

  CLI::App* const check = command->add_subcommand(
      "check", "Check every checksum; says what is damaged and where, and then exits 1.");
  add_place(*check, *options);
  check->add_flag("--repair", options->repair,
                  "Cut torn ends, write off damaged batches, set aside what is no segment; the "
                  "engine must not run");
  check->add_flag("--json", options->json, "One JSON object");
  check->callback([options, &exit_code] { exit_code = check_spool(*options); });

  CLI::App* const replay = command->add_subcommand(
      "replay",
      "Give what waits to another destination as well: the next start of the engine delivers it.\n"
      "Refuses records of accounts that it does not take, content if it is in privacy mode, and\n"
      "another dialect, unless forced. Without --to it writes nothing and says what the next "
      "start\n"
      "delivers, and what it never will, because its destination is gone or is another one now.\n"
      "The engine must not run.");
  replay->add_option("--config", options->config_file, "The engine's config")
      ->required()
      ->check(CLI::ExistingFile);
  replay->add_option(
      "--to", options->to,
      "Name of the destination that is to get them, even if they were spooled for what it "
      "was before it changed");
  replay->add_option("--from", options->destination, "Only what waits for that one");
  replay->add_flag("--force", options->force, "Even what it would not have got");
  replay->callback([options, &exit_code] { exit_code = replay_spool(*options); });
}

}  // namespace sidecast
