// sidecast spool replay: writes batches anew, for another destination. The engine finds the new
// segment at its next start and counts it in as adopted. What waits for the old destination goes on
// waiting. What lies there for the new one already is not written again.
#include <algorithm>
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
  std::uint64_t records_there = 0;  // in batches that lie there for it already
};

// The batches that were ever spooled for that destination and still lie there.
std::set<std::uint64_t> batches_of(const std::vector<SpoolSegment>& segments,
                                   const std::string& name) {
  std::set<std::uint64_t> batches;
  for (const SpoolSegment& segment : segments) {
    for (const SegmentFile::Found& found : segment.scan.frames) {
      const auto& names = found.head.destinations;
      if (std::none_of(names.begin(), names.end(),
                       [&](const auto& one) { return spool::name_of(one) == name; })) {
        continue;
      }
      const auto whole = segment.file->read(found.offset, found.head.size_bytes);
      if (!whole) continue;
      const auto frame = spool::parse_frame(*whole, segment.file->id(), found.offset);
      if (frame) batches.insert(identity_of_batch(*frame));
    }
  }
  return batches;
}

// What is to be copied of one segment; the first refusal ends it. Without a copier it is only
// looked at and added up. Takes part in `there`.
Status copy_segment(const SpoolSegment& segment, const SpoolOptions& options,
                    const Gatekeeper& gatekeeper, std::set<std::uint64_t>& there, Copier* copier,
                    Copied& copied) {
  for (const SegmentFile::Found& found : segment.scan.frames) {
    const std::vector<std::string> names = waiting_names(segment, found);
    const bool is_wanted =
        options.destination.empty()
            ? !names.empty()
            : std::find(names.begin(), names.end(), options.destination) != names.end();
    const bool is_there = std::find(names.begin(), names.end(), options.to) != names.end();
    if (!is_wanted || is_there) continue;
    const auto whole = segment.file->read(found.offset, found.head.size_bytes);
    const std::string place = fmt::format("{} offset {}", segment.path, found.offset);
    if (!whole) return fail(Error(whole.error()).with(place));
    const auto frame = spool::parse_frame(*whole, segment.file->id(), found.offset);
    if (!frame) return fail(Error(frame.error()).with(place));
    if (Status admitted = gatekeeper.admit(*frame); !admitted) {
      return fail(Error(admitted.error()).with(place));
    }
    // Those of another destination are often the same records, once more.
    if (!there.insert(identity_of_batch(*frame)).second) {
      copied.records_there += frame->records.size();
      continue;
    }
    copied.records += frame->records.size();
    copied.bytes += found.head.size_bytes;
    if (copier == nullptr) continue;
    if (Status written = copier->copy(*frame); !written) return written;
  }
  return {};
}

Result<Copied> replay(const SpoolOptions& options, const std::string& directory,
                      std::uint64_t limit_bytes, const DestinationConfig& to) {
  const auto segments = read_spool(directory, SegmentFile::Access::kRead);
  if (!segments) return fail(segments.error());
  std::uint64_t last = 0;
  std::uint64_t used_bytes = 0;
  for (const SpoolSegment& segment : *segments) {
    // Of those that this cannot read, too.
    if (const auto named = spool::named_segment(segment.path))
      last = std::max(last, named->sequence);
    if (segment.file == nullptr) continue;
    last = std::max(last, segment.file->sequence());
    used_bytes += segment.file->file_bytes();
  }
  const std::set<std::uint64_t> found_there = batches_of(*segments, to.name);
  const Gatekeeper gatekeeper(to, options.force);
  Copier copier(directory, last + 1, to);
  Copied copied;
  // All is looked at before anything is written.
  for (Copier* const step : {static_cast<Copier*>(nullptr), &copier}) {
    copied = {};
    std::set<std::uint64_t> there = found_there;
    for (const SpoolSegment& segment : *segments) {
      if (segment.file == nullptr) continue;
      if (Status done = copy_segment(segment, options, gatekeeper, there, step, copied); !done) {
        return fail(done.error());
      }
    }
    // The engine would make room for it with the oldest of what it is copied from.
    if (used_bytes + copied.bytes > limit_bytes) {
      return fail(fmt::format(
          "the spool has {} bytes, {} more would be over its limit of {}; raise spool.limit, or "
          "say less with --from",
          used_bytes, copied.bytes, limit_bytes));
    }
  }
  if (Status ended = copier.finish(); !ended) return fail(ended.error());
  return copied;
}

int failed(int exit_code, const std::string& message) {
  print_error("spool replay: " + message);
  return exit_code;
}

}  // namespace

int replay_spool(const SpoolOptions& options) {
  const auto running = ConfigLoader(options.config_file).load();  // tenants' destinations as well
  if (!running) return failed(kExitUsage, running.error().message());
  const Config& config = *running->config;
  if (!config.spool) return failed(kExitUsage, options.config_file + " names no spool");
  const auto to = std::find_if(running->destinations.begin(), running->destinations.end(),
                               [&](const auto& one) { return one->name == options.to; });
  if (to == running->destinations.end()) {
    return failed(kExitUsage, fmt::format("there is no destination '{}'", options.to));
  }
  const std::string& directory = config.spool->directory;
  const auto lock = spool::lock_directory(directory);
  if (!lock) return failed(kExitFailed, lock.error().message() + "; stop the engine first");
  const auto copied = replay(options, directory, config.spool->limit_bytes, **to);
  close(*lock);
  if (!copied) {
    return failed(kExitFailed,
                  copied.error().message() +
                      (options.force ? "" : "; --force overrides what may be overridden"));
  }
  fmt::print("{} for {}: the next start of the engine delivers them\n",
             human_count(copied->records, "record"), options.to);
  if (copied->records_there > 0) {
    fmt::print("{} lie there for it already and are not written twice\n",
               human_count(copied->records_there, "record"));
  }
  return kExitDone;
}

}  // namespace sidecast
