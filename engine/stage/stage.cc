#include "engine/stage/stage.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <system_error>

#include <fmt/format.h>

#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "engine/base/set_aside.h"

namespace sidecast::stage {

Stage::Stage(std::string directory, std::uint64_t epoch, StageLimits limits)
    : directory_(std::move(directory)), epoch_(epoch), limits_(limits) {}

bool Stage::take(std::uint64_t size) noexcept {
  std::uint64_t now = bytes_.load(std::memory_order_relaxed);
  do {
    if (now + size > limits_.bytes_max) return false;
    // relaxed: only the sum matters.
  } while (!bytes_.compare_exchange_weak(now, now + size, std::memory_order_relaxed));
  return true;
}

void Stage::give_back(std::unique_ptr<Segment> segment) noexcept {
  bytes_.fetch_sub(segment->file_bytes(), std::memory_order_relaxed);
  segment->remove();
}

void Stage::staged(Segment& segment) noexcept {
  // relaxed: the delivery thread learns of the entry through a queue, which orders this.
  segment.open_entries.fetch_add(1, std::memory_order_relaxed);
  unsettled_.fetch_add(1, std::memory_order_relaxed);
}

void Stage::settled(Segment& segment) noexcept {
  unhold(segment);
  unsettled_.fetch_sub(1, std::memory_order_release);
}

void Stage::unhold(Segment& segment) noexcept {
  const auto size = static_cast<std::int64_t>(segment.file_bytes());
  // release: pairs with the acquire in StageWriter::collect(): the worker that reuses the segment
  // does so after the settling thread's last look at the entry.
  if (segment.open_entries.fetch_sub(1, std::memory_order_release) == 1) {
    emptied_bytes_.fetch_add(size, std::memory_order_acq_rel);
  }
}

std::uint64_t Stage::missing_bytes() const noexcept {
  // relaxed: a figure; at worst the next look corrects it.
  const auto wanted = static_cast<std::int64_t>(wanted_bytes_.load(std::memory_order_relaxed));
  if (wanted == 0) return 0;
  // acquire: in the opposite order of take_back(), so that a segment on its way from one to the
  // other counts as free twice rather than not at all: better to drop too late than too much.
  const std::int64_t emptied = emptied_bytes_.load(std::memory_order_acquire);
  const std::int64_t spare = spare_bytes_.load(std::memory_order_acquire);
  const std::uint64_t limit = std::min(limits_.bytes_max, full_at_.load(std::memory_order_relaxed));
  const std::int64_t missing = static_cast<std::int64_t>(bytes()) - emptied - spare + wanted -
                               static_cast<std::int64_t>(limit);
  return missing > 0 ? static_cast<std::uint64_t>(missing) : 0;
}

std::unique_ptr<Segment> Stage::open_segment(SegmentKey key, std::uint64_t bytes) {
  // relaxed: who comes too early takes what the first in line would have taken a moment later.
  std::uint32_t first = first_in_line_.load(std::memory_order_relaxed);
  if (first != kNobody && first != key.worker) return nullptr;
  std::unique_ptr<Segment> segment = try_open(key, bytes);
  if (segment != nullptr) {
    leave_line(key.worker);
    return segment;
  }
  first = kNobody;
  // acquire: pairs with leave_line(); our wish comes after the withdrawal of the one before us.
  if (first_in_line_.compare_exchange_strong(first, key.worker, std::memory_order_acquire) ||
      first == key.worker) {
    wanted_bytes_.store(kEntriesAt + std::max(bytes, limits_.segment_bytes - kEntriesAt),
                        std::memory_order_relaxed);
  }
  return nullptr;
}

void Stage::leave_line(std::uint32_t worker) noexcept {
  if (first_in_line_.load(std::memory_order_relaxed) != worker) return;
  wanted_bytes_.store(0, std::memory_order_relaxed);
  // release: see open_segment().
  first_in_line_.store(kNobody, std::memory_order_release);
}

std::unique_ptr<Segment> Stage::try_open(SegmentKey key, std::uint64_t bytes) {
  const std::string path = path_of(key);
  const std::uint64_t usual = limits_.segment_bytes - kEntriesAt;
  if (bytes <= usual) {
    while (std::unique_ptr<Segment> spare = take_spare()) {
      const Status reused = spare->reuse(path, key);
      if (reused) return spare;
      log_error("{}; another segment is made instead", reused.error().message());
      give_back(std::move(spare));
    }
  }
  const std::uint64_t capacity = std::max(usual, bytes);
  while (true) {
    if (take(kEntriesAt + capacity)) {
      auto made = Segment::create(path, key, epoch_, capacity);
      if (made) {
        full_at_.store(std::numeric_limits<std::uint64_t>::max(), std::memory_order_relaxed);
        return std::move(*made);
      }
      // The file system is full: as good as the limit.
      bytes_.fetch_sub(kEntriesAt + capacity, std::memory_order_relaxed);
      full_at_.store(this->bytes(), std::memory_order_relaxed);
    }
    std::unique_ptr<Segment> spare = take_spare();
    if (spare == nullptr) return nullptr;
    give_back(std::move(spare));
  }
}

std::unique_ptr<Segment> Stage::take_spare() {
  const std::lock_guard lock(spares_mutex_);
  if (spares_.empty()) return nullptr;
  std::unique_ptr<Segment> spare = std::move(spares_.back());
  spares_.pop_back();
  spare_bytes_.fetch_sub(static_cast<std::int64_t>(spare->file_bytes()), std::memory_order_relaxed);
  return spare;
}

void Stage::take_back(std::unique_ptr<Segment> segment) {
  const auto size = static_cast<std::int64_t>(segment->file_bytes());
  {
    const std::lock_guard lock(spares_mutex_);
    if (segment->file_bytes() == limits_.segment_bytes && spares_.size() < limits_.spares_max) {
      spare_bytes_.fetch_add(size, std::memory_order_relaxed);
      spares_.push_back(std::move(segment));
    }
  }
  if (segment != nullptr) give_back(std::move(segment));
  // release: see missing_bytes().
  emptied_bytes_.fetch_sub(size, std::memory_order_release);
}

void Stage::trim_spares(std::size_t count) {
  std::vector<std::unique_ptr<Segment>> surplus;
  {
    const std::lock_guard lock(spares_mutex_);
    while (spares_.size() > count) {
      spare_bytes_.fetch_sub(static_cast<std::int64_t>(spares_.back()->file_bytes()),
                             std::memory_order_relaxed);
      surplus.push_back(std::move(spares_.back()));
      spares_.pop_back();
    }
  }
  for (auto& segment : surplus) give_back(std::move(segment));
}

std::string Stage::path_of(SegmentKey key) const {
  return fmt::format("{}/w{}-{:016x}.seg", directory_, key.worker, key.sequence);
}

Result<std::vector<std::unique_ptr<Segment>>> Stage::recover() {
  std::vector<std::unique_ptr<Segment>> segments;
  std::error_code error;
  std::filesystem::directory_iterator files(directory_, error);
  if (error) return fail(fmt::format("read {}: {}", directory_, error.message()));
  for (const auto& file : files) {
    const std::string path = file.path().string();
    if (file.path().extension() == ".new") {  // a segment that was never finished
      std::filesystem::remove(file.path(), error);
      continue;
    }
    if (file.path().extension() != ".seg") continue;
    auto segment = Segment::open(path);
    if (segment && (*segment)->epoch() != epoch_) {
      segment = fail(path + " belongs to another ledger");
    }
    if (!segment) {
      damaged_.push_back({path, segment.error().message()});
      continue;
    }
    bytes_.fetch_add((*segment)->file_bytes(), std::memory_order_relaxed);
    (*segment)->open_entries.store(1, std::memory_order_relaxed);  // until a writer adopts it
    segments.push_back(std::move(*segment));
  }
  std::sort(segments.begin(), segments.end(),
            [](const auto& a, const auto& b) { return a->key().sequence < b->key().sequence; });
  return segments;
}

void Stage::set_damaged_aside() {
  for (const Damaged& one : damaged_) {
    std::error_code error;
    std::filesystem::rename(one.path, one.path + ".damaged", error);
    if (error) std::filesystem::remove(one.path, error);
  }
  if (!damaged_.empty()) bound_set_aside(directory_, ".damaged");
  damaged_.clear();
}

StageWriter::StageWriter(Stage& stage, std::uint32_t worker) : stage_(stage), worker_(worker) {}

void StageWriter::adopt(std::vector<std::unique_ptr<Segment>> segments) {
  SIDECAST_ASSERT(active_ == nullptr);
  for (auto& segment : segments) {
    if (segment->key().worker == worker_) {
      next_sequence_ = std::max(next_sequence_, segment->key().sequence + 1);
    }
    stage_.unhold(*segment);
    segments_.push_back(std::move(segment));
  }
}

bool StageWriter::reserve(std::uint64_t bytes) {
  if (has_room(bytes)) return true;
  release_active();
  std::unique_ptr<Segment> segment =
      stage_.open_segment({.worker = worker_, .sequence = next_sequence_}, bytes);
  if (segment == nullptr) return false;
  ++next_sequence_;
  active_ = segment.get();
  // Held like an entry's: a segment that may still be written to is not emptied.
  // relaxed: nobody else knows it yet.
  active_->open_entries.store(1, std::memory_order_relaxed);
  tail_ = 0;
  segments_.push_back(std::move(segment));
  return true;
}

void StageWriter::release_active() noexcept {
  if (active_ == nullptr) return;
  stage_.unhold(*active_);
  active_ = nullptr;
}

EntryRef StageWriter::append(const EntryFields& fields, Bytes encoded) noexcept {
  const std::uint64_t size = Segment::entry_bytes(fields, encoded);
  SIDECAST_ASSERT(active_ != nullptr);
  Entry* const entry = active_->append(tail_, fields, encoded);
  tail_ += size;
  stage_.staged(*active_);
  if (heads_.empty() || heads_.back().first != active_) heads_.emplace_back(active_, 0);
  heads_.back().second = tail_;
  return {active_, entry};
}

void StageWriter::note_heads(RedoLog& redo) {
  for (const auto& [segment, head] : heads_) redo.set_head(*segment, head);
  heads_.clear();
}

void StageWriter::collect(bool all, const std::function<void(const Segment&)>& settled) {
  // acquire: pairs with the count-down's release; the entries' last bits were cleared before it.
  constexpr auto kAcquire = std::memory_order_acquire;
  if (active_ != nullptr && (all || stage_.is_short()) &&
      active_->open_entries.load(kAcquire) == 1) {
    release_active();
  }
  const auto free_from = std::stable_partition(
      segments_.begin(), segments_.end(),
      [](const auto& segment) { return segment->open_entries.load(kAcquire) != 0; });
  for (auto it = free_from; it != segments_.end(); ++it) {
    if (settled) settled(**it);
    stage_.take_back(std::move(*it));
  }
  segments_.erase(free_from, segments_.end());
}

std::uint64_t StageWriter::bytes() const noexcept {
  return std::accumulate(
      segments_.begin(), segments_.end(), std::uint64_t{0},
      [](std::uint64_t sum, const auto& segment) { return sum + segment->file_bytes(); });
}

void StageWriter::trim() {
  stage_.trim_spares(1);
}

}  // namespace sidecast::stage
