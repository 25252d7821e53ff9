#include "engine/deliver/loss_log.h"

#include <utility>

#include "engine/base/log.h"

namespace sidecast {

std::string_view shortage_text(Shortage shortage) noexcept {
  return shortage == Shortage::kMemoryLimit ? "memory is full"
                                            : "the file system of ring_dir is full";
}

std::string_view shortage_remedy(Shortage shortage) noexcept {
  return shortage == Shortage::kMemoryLimit
             ? "raise memory_limit"
             : "make the file system larger (mount -o remount,size=..., --shm-size of a container)";
}

bool LossEpisode::add(std::uint64_t records, Instant now) noexcept {
  const bool begins = records_ == 0 && records > 0;
  records_ += records;
  last_ = now;
  return begins;
}

std::optional<std::uint64_t> LossEpisode::end_if_quiet(Instant now) noexcept {
  return now - last_ < kQuiet ? std::nullopt : end();
}

std::optional<std::uint64_t> LossEpisode::end() noexcept {
  const std::uint64_t records = std::exchange(records_, 0);
  return records == 0 ? std::nullopt : std::optional(records);
}

void LossLog::dropped(ledger::DropReason reason, std::uint64_t records, const std::string& cause,
                      Instant now, Shortage shortage) {
  if (!episodes_[static_cast<std::size_t>(reason)].add(records, now)) return;
  const std::string why = cause.empty() ? "it takes less than it gets" : cause;
  switch (reason) {
    case ledger::DropReason::kExpired:
      log_warning(
          "{}: batches that are older than {} s are dropped(expired): {}; mend the destination, or "
          "raise give_up_after",
          destination_, give_up_after_.count(), why);
      break;
    case ledger::DropReason::kBudget:
      log_warning("{}: {}, its oldest batches are dropped(budget): {}; mend the destination, or {}",
                  destination_, shortage_text(shortage), why, shortage_remedy(shortage));
      break;
    case ledger::DropReason::kEncode:
      log_error(
          "{}: batches cannot be made into requests and are dropped(encode): {}; check its "
          "options",
          destination_, why);
      break;
    default:
      log_error("{}: batches are dropped({}): {}; please report this", destination_,
                ledger::kDropReasons[static_cast<std::size_t>(reason)], why);
      break;
  }
}

void LossLog::rejected(std::uint64_t records, const std::string& cause, Instant now) {
  if (!rejections_.add(records, now)) return;
  log_warning(
      "{}: refuses records for good, they are counted as rejected: {}; check its dialect, encoding "
      "and limits, and name the status in retry_statuses if it passes",
      destination_, cause);
}

void LossLog::tick(Instant now) {
  report_end_of_rejections(rejections_.end_if_quiet(now));
  for (std::size_t i = 0; i < episodes_.size(); ++i) {
    if (const auto records = episodes_[i].end_if_quiet(now)) report_end(i, *records);
  }
}

void LossLog::finish() {
  report_end_of_rejections(rejections_.end());
  for (std::size_t i = 0; i < episodes_.size(); ++i) {
    if (const auto records = episodes_[i].end()) report_end(i, *records);
  }
}

void LossLog::report_end_of_rejections(std::optional<std::uint64_t> records) const {
  if (records) log_warning("{}: refuses no more; it has cost {} records", destination_, *records);
}

void LossLog::report_end(std::size_t reason, std::uint64_t records) const {
  log_warning("{}: batches are no longer dropped({}); it has cost {} records", destination_,
              ledger::kDropReasons[reason], records);
}

}  // namespace sidecast
