// sidecast spool replay: writes batches anew, for another destination. The engine finds the new
// segment at its next start and counts it in as adopted. What waits for the old destination goes on
// waiting. What lies there for the new one already is not written again. A destination is its
// identity, not its name: what was queued for what it used to be goes to it when a person says so
// with --to, and never else.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include "engine/base/clock.h"
#include "engine/config/loader.h"
#include "engine/spool/directory_lock.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/spool.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

using spool::SegmentFile;

// Whoever gets a batch must have been allowed to get it.
class Gatekeeper {
 public:
  Gatekeeper(const DestinationConfig& to, bool force)
      : to_(to), force_(force), privacy_(spool::privacy_mark(to.privacy_mode, to.privacy_keep)) {}

  [[nodiscard]] Status admit(const spool::Frame& frame) const {
    const spool::BodyForm& form = frame.head.form;
    const Format& format = to_.exporter->format();
    if (form.encoder != format.encoder->name) {
      return fail(fmt::format("it is encoded as {}, and {} takes {}: it cannot be converted",
                              form.encoder.empty() ? "nobody knows what" : form.encoder, to_.name,
                              format.encoder->name));
    }
    if (force_) return {};
    if (form.dialect != format.dialect->name) {
      return fail(fmt::format("it is of dialect {}, and {} takes {}", form.dialect, to_.name,
                              format.dialect->name));
    }
    if (to_.privacy_mode && form.privacy != privacy_) {
      return fail(fmt::format("it holds more than the privacy mode of {} lets through", to_.name));
    }
    if (to_.accounts.empty()) return {};
    const auto foreign = std::find_if(
        frame.records.begin(), frame.records.end(), [this](const spool::FrameRecord& record) {
          return std::find(to_.accounts.begin(), to_.accounts.end(), record.fields.account) ==
                 to_.accounts.end();
        });
    if (foreign == frame.records.end()) return {};
    return fail(fmt::format("it has records of account '{}', which {} does not take",
                            printable(foreign->fields.account, 100), to_.name));
  }

 private:
  const DestinationConfig& to_;
  bool force_;
  std::uint64_t privacy_;
};

// New segments, written one after the other.
class Copier {
 public:
  Copier(std::string directory, std::uint64_t sequence, const DestinationConfig& to)
      : directory_(std::move(directory)),
        sequence_(sequence),
        name_(spool::destination_name(to.identity, to.name, to.type->name)) {}

  [[nodiscard]] Status copy(const spool::Frame& frame) {
    // Framed anew when it is read back: this destination's envelope may be another one.
    spool::BodyForm form = frame.head.form;
    form.frozen = false;
    const spool::NewFrame copy{.records = frame.records,
                               .destinations = {name_},
                               .form = form,
                               .sealed_ns = unix_ns(wall_now()),
                               .body = frame.body};
    const std::uint64_t bytes = spool::frame_bytes(copy);
    if (file_ == nullptr || !file_->has_room(bytes) || ordinal_ == spool::kFramesMax) {
      if (Status ended = finish(); !ended) return ended;
      constexpr std::uint64_t kCapacity = 16U << 20U;
      auto made = SegmentFile::create(directory_, sequence_++, std::max(bytes, kCapacity),
                                      unix_ns(wall_now()));
      if (!made) return fail(made.error());
      file_ = std::move(*made);
      ordinal_ = 0;
    }
    return file_->append(copy, ordinal_++);
  }
  [[nodiscard]] Status finish() {
    if (file_ == nullptr) return {};
    if (Status cut = file_->cut(file_->tail()); !cut) return cut;
    return file_->sync();
  }

 private:
  std::string directory_;
  std::uint64_t sequence_;
  spool::DestinationName name_;
  std::unique_ptr<SegmentFile> file_;
  std::uint32_t ordinal_ = 0;
};

// Which records a batch holds, whoever it is for.
std::uint64_t identity_of_batch(const spool::Frame& frame) {
  std::string records;
  for (const spool::FrameRecord& record : frame.records) {
    const auto& fields = record.fields;
    records.append(reinterpret_cast<const char*>(fields.ring.data()), fields.ring.size());
    records += fmt::format("{}/{} ", fields.lane, fields.sequence);
  }
  return XXH3_64bits(records.data(), records.size());
}

struct Copied {
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t records_there = 0;    // in batches that lie there for it already
  std::uint64_t records_of_both = 0;  // in batches that wait for several, and are written once
};

// The batches that were ever spooled for that destination, as it is, and still lie there.
std::set<std::uint64_t> batches_of(const std::vector<SpoolSegment>& segments,
                                   const std::string& identity) {
  std::set<std::uint64_t> batches;
  for (const SpoolSegment& segment : segments) {
    for (const SegmentFile::Found& found : segment.scan.frames) {
      const auto& names = found.head.destinations;
      if (std::none_of(names.begin(), names.end(),
                       [&](const auto& one) { return spool::identity_of(one) == identity; })) {
        continue;
      }
      const auto whole = segment.read(found);
      if (!whole) continue;
      const auto frame = spool::parse_frame(*whole, segment.file->id(), found.offset);
      if (frame) batches.insert(identity_of_batch(*frame));
    }
  }
  return batches;
}

// Whether it is asked for what waits for one of these.
bool is_wanted(const SpoolOptions& options,
               const std::vector<const spool::DestinationName*>& waiting) {
  return std::any_of(waiting.begin(), waiting.end(), [&](const auto* one) {
    return options.destination.empty() || spool::name_of(*one) == options.destination;
  });
}

// What is to be copied of all segments; the first refusal ends it. Without a copier it is only
// looked at and added up. `there`: batches that it has already.
Result<Copied> copy_segments(const std::vector<SpoolSegment>& segments, const SpoolOptions& options,
                             const Gatekeeper& gatekeeper, const std::set<std::uint64_t>& there,
                             Copier* copier) {
  Copied copied;
  std::set<std::uint64_t> taken;
  std::set<std::uint64_t> left;
  for (const SpoolSegment& segment : segments) {
    for (const SegmentFile::Found& found : segment.scan.frames) {
      if (!is_wanted(options, waiting_destinations(segment, found))) continue;
      const auto whole = segment.read(found);
      const std::string place = fmt::format("{} offset {}", segment.path, found.offset);
      if (!whole) return fail(Error(whole.error()).with(place));
      const auto frame = spool::parse_frame(*whole, segment.file->id(), found.offset);
      if (!frame) return fail(Error(frame.error()).with(place));
      const std::uint64_t batch = identity_of_batch(*frame);
      if (there.contains(batch)) {
        if (left.insert(batch).second) copied.records_there += frame->records.size();
        continue;
      }
      if (Status admitted = gatekeeper.admit(*frame); !admitted) {
        return fail(Error(admitted.error()).with(place));
      }
      // Those of another destination are often the same records, once more.
      if (!taken.insert(batch).second) {
        copied.records_of_both += frame->records.size();
        continue;
      }
      copied.records += frame->records.size();
      copied.bytes += found.head.size_bytes;
      if (copier == nullptr) continue;
      if (Status written = copier->copy(*frame); !written) return fail(written.error());
    }
  }
  return copied;
}

Result<Copied> replay(const SpoolOptions& options, const std::vector<SpoolSegment>& segments,
                      const spool::Settings& settings, const DestinationConfig& to) {
  std::uint64_t last = 0;
  std::uint64_t used_bytes = 0;
  for (const SpoolSegment& segment : segments) {
    // Of those that this cannot read, too.
    if (const auto named = spool::named_segment(segment.path))
      last = std::max(last, named->sequence);
    if (segment.file == nullptr) continue;
    last = std::max(last, segment.file->sequence());
    used_bytes += segment.file->file_bytes();
  }
  const std::set<std::uint64_t> there = batches_of(segments, to.identity);
  const Gatekeeper gatekeeper(to, options.force);
  // All is looked at before anything is written.
  const auto counted = copy_segments(segments, options, gatekeeper, there, nullptr);
  if (!counted) return fail(counted.error());
  // The engine would make room for it with the oldest of what it is copied from.
  if (used_bytes + counted->bytes > settings.limit_bytes) {
    return fail(fmt::format(
        "the spool has {} bytes, {} more would be over its limit of {}; raise spool.limit, or "
        "say less with --from",
        used_bytes, counted->bytes, settings.limit_bytes));
  }
  Copier copier(settings.directory, last + 1, to);
  auto copied = copy_segments(segments, options, gatekeeper, there, &copier);
  if (!copied) return fail(copied.error());
  if (Status ended = copier.finish(); !ended) return fail(ended.error());
  return copied;
}

int failed(int exit_code, const std::string& message) {
  print_error("spool replay: " + message);
  return exit_code;
}

std::string whose(const SpoolOptions& options) {
  return options.destination.empty() ? std::string()
                                     : " for " + printable(options.destination, 100);
}

void tell_copied(const Copied& copied, const SpoolOptions& options) {
  if (copied.records > 0) {
    fmt::print("{} for {}: the next start of the engine delivers them\n",
               human_count(copied.records, "record"), options.to);
  } else {
    fmt::print("0 records were replayed: {}\n",
               copied.records_there > 0 ? fmt::format("all that waits{} lies there for {} already",
                                                      whose(options), options.to)
                                        : fmt::format("nothing waits{}", whose(options)));
  }
  if (copied.records_there > 0) {
    fmt::print("{} lie there for it already and are not written twice\n",
               human_count(copied.records_there, "record"));
  }
  if (copied.records_of_both > 0) {
    fmt::print("{} of them wait for several destinations and are written once\n",
               human_count(copied.records_of_both, "record"));
  }
}

// ---- Without --to: who gets what waits, if nobody does anything.

int tell_who_gets_it(const std::vector<SpoolSegment>& segments, const SpoolOptions& options,
                     const RunningConfig& running) {
  std::map<std::pair<std::string, std::string>, std::uint64_t> waiting;  // of name and identity
  for (const SpoolSegment& segment : segments) {
    for (const SegmentFile::Found& found : segment.scan.frames) {
      for (const spool::DestinationName* const one : waiting_destinations(segment, found)) {
        const std::string name(spool::name_of(*one));
        if (!options.destination.empty() && name != options.destination) continue;
        waiting[{name, std::string(spool::identity_of(*one))}] += found.head.record_count;
      }
    }
  }
  std::uint64_t taken = 0;
  std::uint64_t left_out = 0;
  for (const auto& [destination, records] : waiting) {
    const auto& [name, identity] = destination;
    const std::string who = printable(name, 100);
    const auto now = std::find_if(running.destinations.begin(), running.destinations.end(),
                                  [&key = name](const auto& one) { return one->name == key; });
    const bool is_there = now != running.destinations.end();
    if (is_there && (*now)->identity == identity) {
      taken += records;
      fmt::print("{}: {} {}\n", who, human_count(records, "record"),
                 (*now)->enabled ? "wait for it: the next start of the engine delivers them"
                                 : "wait until it is enabled");
      continue;
    }
    left_out += records;
    fmt::print("{}: {} left out: {}\n", who, human_count(records, "record"),
               is_there
                   ? fmt::format("they were spooled for what it was before its type, endpoint, "
                                 "accounts, privacy or options changed, and are never sent to "
                                 "what it is now; '--from {0} --to {0}' overrides",
                                 who)
                   : fmt::format("there is no such destination now; '--from {} --to NAME' gives "
                                 "them to another",
                                 who));
  }
  // It lies there already, so nothing is written, whatever is taken.
  if (taken > 0) {
    fmt::print("{} wait as they are and need no replay, {} left out\n",
               human_count(taken, "record"), human_count(left_out));
  } else {
    fmt::print("0 records were replayed: {}\n", left_out > 0
                                                    ? human_count(left_out, "record") + " left out"
                                                    : "nothing waits" + whose(options));
  }
  return taken == 0 && left_out > 0 ? kExitFailed : kExitDone;
}

// The engine must not run.
int replay_locked(const SpoolOptions& options, const RunningConfig& running,
                  const DestinationConfig* to) {
  const spool::Settings& settings = *running.config->spool;
  auto segments = read_spool(settings.directory, SegmentFile::Access::kRead);
  if (!segments) return failed(kExitFailed, segments.error().message());
  if (to == nullptr) return tell_who_gets_it(*segments, options, running);
  const auto copied = replay(options, *segments, settings, *to);
  if (!copied) {
    return failed(kExitFailed,
                  copied.error().message() +
                      (options.force ? "" : "; --force overrides what may be overridden"));
  }
  tell_copied(*copied, options);
  return kExitDone;
}

}  // namespace

int replay_spool(const SpoolOptions& options) {
  const auto running = ConfigLoader(options.config_file).load();  // tenants' destinations as well
  if (!running) return failed(kExitUsage, running.error().message());
  const Config& config = *running->config;
  if (!config.spool) return failed(kExitUsage, options.config_file + " names no spool");
  const DestinationConfig* to = nullptr;
  if (!options.to.empty()) {
    const auto found = std::find_if(running->destinations.begin(), running->destinations.end(),
                                    [&](const auto& one) { return one->name == options.to; });
    if (found == running->destinations.end()) {
      return failed(kExitUsage, fmt::format("there is no destination '{}'", options.to));
    }
    to = found->get();
  }
  const auto lock = spool::lock_directory(config.spool->directory);
  if (!lock) return failed(kExitFailed, lock.error().message() + "; stop the engine first");
  const int exit_code = replay_locked(options, *running, to);
  close(*lock);
  return exit_code;
}

}  // namespace sidecast
