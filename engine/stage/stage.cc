#include "engine/stage/stage.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "engine/base/assert.h"
#include "engine/base/log.h"

namespace sidecast::stage {
namespace {

// Small enough that a dead destination's last entry does not pin much, large enough that making one
// is rare: 4 MiB holds some hundred records of 16 KiB.
constexpr std::uint64_t kSegmentBytes = (4U << 20U) - kEntriesAt;
// About what is under way between staging and settling when one worker is busy.
constexpr std::size_t kSparesMax = 6;

}  // namespace

Stage::Stage(std::string directory, std::uint64_t epoch, std::uint64_t bytes_max)
    : directory_(std::move(directory)), epoch_(epoch), bytes_max_(bytes_max) {}

bool Stage::take(std::uint64_t size) noexcept {
  std::uint64_t now = bytes_.load(std::memory_order_relaxed);
  do {
    if (now + size > bytes_max_) return false;
    // relaxed: only the sum matters.
  } while (!bytes_.compare_exchange_weak(now, now + size, std::memory_order_relaxed));
  return true;
}

void Stage::give_back(std::uint64_t size) noexcept {
  bytes_.fetch_sub(size, std::memory_order_relaxed);
}

void Stage::staged(Segment& segment) noexcept {
  // relaxed: the delivery thread learns of the entry through a queue, which orders this.
  segment.open_entries.fetch_add(1, std::memory_order_relaxed);
  unsettled_.fetch_add(1, std::memory_order_relaxed);
}

void Stage::settled(Segment& segment) noexcept {
  // release: pairs with the acquire in StageWriter::collect(): the worker that reuses the segment
  // does so after the settling thread's last look at the entry.
  segment.open_entries.fetch_sub(1, std::memory_order_release);
  unsettled_.fetch_sub(1, std::memory_order_release);
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
  damaged_.clear();
}

StageWriter::StageWriter(Stage& stage, std::uint32_t worker) : stage_(stage), worker_(worker) {}

void StageWriter::adopt(std::vector<std::unique_ptr<Segment>> segments) {
  SIDECAST_ASSERT(active_ == nullptr);
  for (auto& segment : segments) {
    if (segment->key().worker == worker_) {
      next_sequence_ = std::max(next_sequence_, segment->key().sequence + 1);
    }
    segments_.push_back(std::move(segment));
  }
}

bool StageWriter::open_segment(std::uint64_t bytes) {
  const SegmentKey key{.worker = worker_, .sequence = next_sequence_};
  const std::string path = stage_.path_of(key);
  if (!spares_.empty() && bytes <= kSegmentBytes) {
    std::unique_ptr<Segment> spare = std::move(spares_.back());
    spares_.pop_back();
    if (Status reused = spare->reuse(path, key.sequence); !reused) {
      log_error("{}; a new segment is made instead", reused.error().message());
      give_back(std::move(spare));
      return open_segment(bytes);
    }
    segments_.push_back(std::move(spare));
  } else {
    const std::uint64_t capacity = std::max(kSegmentBytes, bytes);
    if (!stage_.take(kEntriesAt + capacity)) return false;
    auto made = Segment::create(path, key, stage_.epoch_, capacity);
    if (!made) {
      stage_.give_back(kEntriesAt + capacity);
      return false;  // the file system is full: as good as the limit
    }
    segments_.push_back(std::move(*made));
  }
  ++next_sequence_;
  active_ = segments_.back().get();
  tail_ = 0;
  return true;
}

bool StageWriter::reserve(std::uint64_t bytes) {
  if (active_ != nullptr && active_->capacity() - tail_ >= bytes) return true;
  return open_segment(bytes);
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

void StageWriter::collect() {
  const auto is_free = [this](const std::unique_ptr<Segment>& segment) {
    // acquire: pairs with the count-down's release; the entries' last bits were cleared before it.
    return segment.get() != active_ && segment->open_entries.load(std::memory_order_acquire) == 0;
  };
  const auto free_from = std::stable_partition(
      segments_.begin(), segments_.end(), [&](const auto& segment) { return !is_free(segment); });
  for (auto it = free_from; it != segments_.end(); ++it) {
    const bool is_usual = (*it)->capacity() == kSegmentBytes && (*it)->key().worker == worker_;
    if (is_usual && spares_.size() < kSparesMax) {
      spares_.push_back(std::move(*it));
    } else {
      give_back(std::move(*it));
    }
  }
  segments_.erase(free_from, segments_.end());
}

void StageWriter::trim() {
  while (spares_.size() > 1) {
    give_back(std::move(spares_.back()));
    spares_.pop_back();
  }
}

void StageWriter::give_back(std::unique_ptr<Segment> segment) {
  stage_.give_back(segment->file_bytes());
  segment->remove();
}

}  // namespace sidecast::stage
