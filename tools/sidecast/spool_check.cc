// sidecast spool check: reads every byte there is. With --repair it leaves a spool without flaws:
// torn ends are cut, damaged batches written off in the done-log, foreign files set aside. Nothing
// that could still be delivered is touched.
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "engine/base/json_writer.h"
#include "engine/spool/directory_lock.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/spool.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

using spool::SegmentFile;

struct Flaw {
  std::string text;
  std::string repair;  // what was done, or the error; empty = nothing
};

struct Report {
  std::vector<Flaw> flaws;
  std::uint64_t segments = 0;
  std::uint64_t batches = 0;
  std::uint64_t records = 0;
};

std::string outcome(const Status& status, std::string_view done) {
  return status ? std::string(done) : "not repaired: " + status.error().message();
}

// What is wrong with a frame that the scan took for one. What cannot be read may be sound.
Status check_frame(const SpoolSegment& segment, const SegmentFile::Found& found,
                   bool& is_readable) {
  is_readable = false;
  const auto whole = segment.read(found);
  if (!whole) return fail(whole.error());
  is_readable = true;
  const auto frame = spool::parse_frame(*whole, segment.file->id(), found.offset);
  if (!frame) return fail(frame.error());
  std::string plain;
  const auto records = spool::cut_body(*frame, plain);
  return records ? Status() : fail(records.error());
}

void check_frames(const SpoolSegment& segment, bool repair, Report& report) {
  for (const SegmentFile::Found& found : segment.scan.frames) {
    ++report.batches;
    report.records += found.head.record_count;
    bool is_readable = false;
    const Status sound = check_frame(segment, found, is_readable);
    if (sound) continue;
    Flaw flaw{fmt::format("{} offset {}: {} ({} records)", segment.path, found.offset,
                          sound.error().message(), found.head.record_count),
              {}};
    const std::uint64_t waiting = segment.waiting(found);
    if (repair && !is_readable) {
      flaw.repair = "left: it may be sound";
    } else if (repair && waiting != 0) {
      flaw.repair = outcome(segment.file->note_done(found.head.ordinal, waiting), "written off");
    } else if (repair) {
      flaw.repair = "nobody waits for it";
    }
    report.flaws.push_back(std::move(flaw));
  }
}

void check_segment(const SpoolSegment& segment, bool repair, Report& report) {
  ++report.segments;
  if (segment.file == nullptr) {
    Flaw flaw{segment.flaw, {}};
    if (repair && !segment.is_damaged) {
      flaw.repair = "left where it is: it may be sound";
    } else if (repair) {
      const std::string aside = segment.path + ".damaged";
      flaw.repair = std::rename(segment.path.c_str(), aside.c_str()) == 0
                        ? "set aside as " + aside
                        : "not repaired: it cannot be renamed";
    }
    report.flaws.push_back(std::move(flaw));
    return;
  }
  if (repair && segment.file->wake() != SegmentFile::Waking::kAwake) {
    report.flaws.push_back({segment.path + " cannot be opened once more", "left as it is"});
    return;
  }
  const auto& flaws = segment.scan.flaws;
  for (std::size_t i = 0; i < flaws.size(); ++i) {
    Flaw flaw{segment.path + " " + flaws[i], {}};
    const bool is_torn_end = segment.scan.is_torn && i + 1 == flaws.size();
    if (repair && is_torn_end) {
      flaw.repair = outcome(segment.file->cut(segment.scan.end), "cut off");
    } else if (repair) {
      flaw.repair = "left between sound batches, which go on";
    }
    report.flaws.push_back(std::move(flaw));
  }
  check_frames(segment, repair, report);
  const auto done = segment.file->check_done();
  if (done.foreign > 0) {
    report.flaws.push_back(
        {fmt::format("{}: {} entries are damaged", segment.file->done_path(), done.foreign),
         repair ? "left: their batches are delivered again" : ""});
  }
  if (done.is_torn) {
    Flaw flaw{segment.file->done_path() + " ends amid an entry", {}};
    if (repair) {
      std::error_code error;
      const auto size = std::filesystem::file_size(segment.file->done_path(), error);
      const auto whole = size - size % sizeof(spool::DoneEntry);
      if (!error) std::filesystem::resize_file(segment.file->done_path(), whole, error);
      flaw.repair = error ? "not repaired: " + error.message() : "cut off";
    }
    report.flaws.push_back(std::move(flaw));
  }
  segment.file->rest();
}

std::string report_json(const Report& report) {
  ByteBuffer buffer;
  JsonWriter json(buffer);
  json.begin_object();
  json.key("segments").unsigned_integer(report.segments);
  json.key("batches").unsigned_integer(report.batches);
  json.key("records").unsigned_integer(report.records);
  json.key("flaws").begin_array();
  for (const Flaw& flaw : report.flaws) {
    json.begin_object().key("flaw").string(printable(flaw.text, flaw.text.size()));
    json.key("repair").string(flaw.repair).end_object();
  }
  json.end_array().end_object();
  return std::string(buffer.view()) + "\n";
}

std::string report_lines(const Report& report, const Style& style) {
  std::string out;
  for (const Flaw& flaw : report.flaws) {
    out += fmt::format("{} {}{}{}\n", style.bad("damaged"), printable(flaw.text, flaw.text.size()),
                       flaw.repair.empty() ? "" : ": ", flaw.repair);
  }
  return out + fmt::format("{}, {} batches, {}: {}\n", human_count(report.segments, "segment"),
                           human_count(report.batches), human_count(report.records, "record"),
                           report.flaws.empty()
                               ? style.good("sound")
                               : style.bad(human_count(report.flaws.size(), "flaw")));
}

int failed(int exit_code, const Error& error) {
  print_error("spool check: " + error.message());
  return exit_code;
}

}  // namespace

int check_spool(const SpoolOptions& options) {
  const auto directory = find_spool_dir(options);
  if (!directory) return failed(kExitUsage, directory.error());
  int lock = -1;
  if (options.repair) {
    const auto taken = spool::lock_directory(*directory);
    if (!taken) return failed(kExitFailed, taken.error());
    lock = *taken;
  }
  const auto segments = read_spool(
      *directory, options.repair ? SegmentFile::Access::kChange : SegmentFile::Access::kRead);
  if (!segments) return failed(kExitFailed, segments.error());
  Report report;
  for (const SpoolSegment& segment : *segments) check_segment(segment, options.repair, report);
  if (lock >= 0) close(lock);
  fmt::print("{}", options.json ? report_json(report) : report_lines(report, Style(stdout)));
  return report.flaws.empty() ? kExitDone : kExitFailed;
}

}  // namespace sidecast
