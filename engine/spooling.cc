#include "engine/spooling.h"

#include <algorithm>
#include <utility>

#include "engine/base/log.h"
#include "engine/spool/leftovers.h"

namespace sidecast {
namespace {

constexpr std::size_t kOperations = 1024;  // of a frame's 64 destinations, two counters each
// What of the time to end belongs to writing the rest to disk.
constexpr int kReserveShare = 3;
constexpr Milliseconds kReserveMax{4'000};
// What a sound disk may still take of it after the deadline.
constexpr Milliseconds kGrace{1'000};
// A start waits so long for a disk.
constexpr std::chrono::seconds kStartPatience{10};
// Of memory_limit, for what is known in memory of each batch on disk, which is so many bytes.
constexpr std::uint64_t kIndexShare = 16;
constexpr std::uint64_t kBatchBytes = 64;

spool::Settings settings_for(const Config& config) {
  spool::Settings settings = *config.spool;
  settings.batches_max = config.memory_limit_bytes / kIndexShare / kBatchBytes;
  return settings;
}

}  // namespace

Result<std::unique_ptr<Spooling>> Spooling::open(const Config& config, Context context) {
  auto& shown = context.ledger.header().spool;
  // relaxed: shown by itself; the spooler knows better once the disk has answered.
  shown.state.store(config.spool ? ledger::SpoolState::kUnusable : ledger::SpoolState::kNone,
                    std::memory_order_relaxed);
  shown.directory = {};
  if (!config.spool) {
    if (const std::uint64_t spooled = spooled_records(context.ledger, nullptr); spooled > 0) {
      log_warning(
          "{} records are in a spool that is configured no more; set 'spool' again to have them "
          "delivered",
          spooled);
    }
    return nullptr;
  }
  const std::string& directory = config.spool->directory;
  std::copy_n(directory.data(), std::min(directory.size(), shown.directory.size() - 1),
              shown.directory.data());
  auto redo = stage::RedoLog::open(context.paths.redo("spool"), kOperations);
  if (!redo) return fail(std::move(redo.error()));
  return std::unique_ptr<Spooling>(new Spooling(config, std::move(context), std::move(*redo)));
}

Spooling::Spooling(const Config& config, Context context, std::unique_ptr<stage::RedoLog> redo)
    : settings_(settings_for(config)),
      reserve_(std::min(config.shutdown_deadline / kReserveShare, kReserveMax)),
      context_(std::move(context)) {
  spooler_ = std::make_shared<spool::Spooler>(
      settings_, context_.paths.spool,
      spool::Spooler::Context{
          .ledger = &context_.ledger,
          .stage = &context_.stage,
          .redo = std::move(redo),
          .budget = context_.budget,
          .fates = context_.fates,
          .body_bytes_total = &context_.body_bytes_total,
          .post = [this](std::function<void()> task) { context_.loop.post(std::move(task)); },
          .relieve = context_.relieve,
          .reclaim =
              [this] { context_.loop.post([this] { deliverer_->spool()->take_read_back(); }); },
          .restored =
              [this](const SealedBatchPtr& sealed) { deliverer_->spool()->restored(sealed); },
          .taken_up = [this] { context_.loop.post([this] { deliverer_->look_for_spooled(); }); }});
}

Spooling::~Spooling() {
  if (!thread_.joinable()) return;
  // The start has failed. The thread may hang on the disk.
  if (beginning_->ask(Beginning::Step::kEnd, Nanoseconds(0))) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

bool Spooling::Beginning::ask(Step step, Nanoseconds patience) {
  std::unique_lock lock(mutex);
  const bool is_idle = done == asked;
  asked = step;
  changed.notify_all();
  if (step == Step::kRun) return true;
  if (step == Step::kEnd) return is_idle;
  return changed.wait_for(lock, patience, [&] { return done >= step; });
}

Spooling::Beginning::Step Spooling::Beginning::next(Step last) {
  std::unique_lock lock(mutex);
  done = last;
  changed.notify_all();
  changed.wait(lock, [&] { return asked > done; });
  return asked;
}

void Spooling::recover(const std::vector<std::unique_ptr<stage::Segment>>& segments) {
  std::uint64_t last = 0;
  for (const auto& segment : segments) {
    if (!spool::is_read_back(segment->key())) continue;
    last = std::max(last, segment->key().sequence);
  }
  spooler_->start_after(last);
  using Step = Beginning::Step;
  thread_ = std::thread([this, spooler = spooler_, beginning = beginning_] {
    Step step = Step::kNone;
    while (true) {
      step = beginning->next(step);
      if (step == Step::kEnd) return;
      if (step == Step::kRun) break;
      if (step == Step::kLook) spooler->look();
      if (step == Step::kTakeUp) spooler->take_up();
    }
    spooler->run();
    write_leftovers();
    const std::lock_guard lock(ending_.mutex);
    ending_.is_over = true;
    ending_.over.notify_one();
  });
  bool answers = beginning_->ask(Step::kLook, kStartPatience);
  if (answers && spooler_->name_slots()) answers = beginning_->ask(Step::kTakeUp, kStartPatience);
  if (answers) return;
  log_error(
      "the spool {} does not answer: the engine starts without it, and takes it up when it does; "
      "look after that disk",
      settings_.directory);
}

void Spooling::connect(Deliverer& deliverer) {
  deliverer_ = &deliverer;
  deliverer.use_spool(*spooler_, settings_.after);
}

void Spooling::run() {
  static_cast<void>(beginning_->ask(Beginning::Step::kRun, Nanoseconds(0)));
}

Milliseconds Spooling::begin_to_end() noexcept {
  deliverer_->spool()->stop_reading_back();
  return reserve_;
}

bool Spooling::stop(std::vector<stage::Segment*> segments, const Plan& plan, Instant deadline) {
  std::unique_lock lock(ending_.mutex);
  ending_.segments = std::move(segments);
  ending_.plan = &plan;
  ending_.deadline = deadline;
  spooler_->stop();
  // It ends by itself at the deadline, unless the disk holds it.
  const bool is_over = ending_.over.wait_until(lock, std::max(deadline, monotonic_now()) + kGrace,
                                               [this] { return ending_.is_over; });
  if (!is_over) {
    ending_.is_given_up = true;
    thread_.detach();
    log_error(
        "the spool {} does not answer: the engine ends without it, and what is not written stays "
        "in the stage; look after that disk",
        settings_.directory);
    return false;
  }
  lock.unlock();
  thread_.join();
  return true;
}

// On the spooler's thread: whoever stops can end without it.
void Spooling::write_leftovers() {
  std::vector<stage::Segment*> segments;
  {
    const std::lock_guard lock(ending_.mutex);
    segments = std::move(ending_.segments);
  }
  spooler_->abandon();
  if (spooler_->is_open() && context_.stage.unsettled() > 0) {
    for (const stage::StageWriter* const writer : spooler_->writers()) {
      for (const auto& segment : writer->segments()) segments.push_back(segment.get());
    }
    const std::uint64_t records = spool::spool_leftovers(
        segments, *spooler_, *ending_.plan, context_.ledger,
        [this](const auto& put, const auto& parts) {
          const std::lock_guard lock(ending_.mutex);
          if (!ending_.is_given_up) deliverer_->spool()->commit(put, parts);
          return !ending_.is_given_up;
        },
        ending_.deadline);
    if (records > 0) {
      log_info("{} records wait in the spool {} for the next start", records, settings_.directory);
    }
  }
  if (context_.stage.unsettled() == 0) {
    spooler_->settle_restaged();
  } else {
    spooler_->collect();
  }
  spooler_->finish();
  spooler_->publish();
}

std::uint64_t spooled_records(const Ledger& ledger, const Plan* plan) noexcept {
  std::uint64_t records = 0;
  for (std::size_t i = 0; i < ledger.destination_count(); ++i) {
    const auto index = static_cast<DestinationIndex>(i);
    if (plan != nullptr && !plan->enabled_by_slot.contains(index)) continue;
    const ledger::DestinationSlot& slot = ledger.destination(index);
    // In this order: what moves meanwhile is rather missing than below zero.
    const std::uint64_t out = slot.spooled_out.load(std::memory_order_relaxed);
    records += slot.spooled_in.load(std::memory_order_relaxed) - out;
  }
  return records;
}

}  // namespace sidecast
