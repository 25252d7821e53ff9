// sidecast spool replay: writes batches anew, for another destination. The engine finds the new
// segment at its next start and counts it in as adopted. What waits for the old destination goes on
// waiting.
#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

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

// What is to be copied of one segment; the first refusal ends it.
Status copy_segment(const SpoolSegment& segment, const SpoolOptions& options,
                    const Gatekeeper& gatekeeper, Copier* copier, std::uint64_t& records) {
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
    if (copier == nullptr) continue;
    if (Status copied = copier->copy(*frame); !copied) return copied;
    records += frame->records.size();
  }
  return {};
}

Result<std::uint64_t> replay(const SpoolOptions& options, const std::string& directory,
                             const DestinationConfig& to) {
  const auto segments = read_spool(directory, SegmentFile::Access::kRead);
  if (!segments) return fail(segments.error());
  std::uint64_t last = 0;
  for (const SpoolSegment& segment : *segments) {
    if (segment.file != nullptr) last = std::max(last, segment.file->sequence());
  }
  const Gatekeeper gatekeeper(to, options.force);
  Copier copier(directory, last + 1, to);
  std::uint64_t records = 0;
  // All is looked at before anything is written.
  for (Copier* const step : {static_cast<Copier*>(nullptr), &copier}) {
    for (const SpoolSegment& segment : *segments) {
      if (segment.file == nullptr) continue;
      if (Status copied = copy_segment(segment, options, gatekeeper, step, records); !copied) {
        return fail(copied.error());
      }
    }
  }
  if (Status ended = copier.finish(); !ended) return fail(ended.error());
  return records;
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
  const auto records = replay(options, directory, **to);
  close(*lock);
  if (!records) {
    return failed(kExitFailed,
                  records.error().message() +
                      (options.force ? "" : "; --force overrides what may be overridden"));
  }
  fmt::print("{} for {}: the next start of the engine delivers them\n",
             human_count(*records, "record"), options.to);
  return kExitDone;
}

}  // namespace sidecast
