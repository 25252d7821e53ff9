#include "shm/writer.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <new>

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/settings.h"
#include "shm/test_point.h"

namespace sidecast::shm {
namespace {

// A writer without a ring tries to make one at most this often.
constexpr std::int64_t kRetryNs = 10'000'000'000;

// Failed requests are kept whole even in the reserve up to this size: they matter most, and are
// rare.
constexpr std::uint64_t kFailedBytesMax = 64u << 10;

bool is_failed(const sidecast_generation& g) noexcept {
  return g.http_status >= 400 || g.error_type.size != 0;
}
bool is_failed(const sidecast_span& s) noexcept {
  return s.error_type.size != 0;
}

std::uint32_t lanes_for_this_machine() noexcept {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  const int count = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 2;
  return std::clamp(static_cast<std::uint32_t>(2 * count), 4u, kLanesMax);
}

// A number that differs between threads and stays the same for one: no dynamic thread-local
// variable, whose first use in a loaded library allocates.
std::uint32_t thread_number() noexcept {
  const auto self = static_cast<std::uint64_t>(pthread_self());
  return static_cast<std::uint32_t>(self * 0x9e3779b97f4a7c15 >> 32);
}

std::int64_t coarse_now_ns() noexcept {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);  // no system call
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

struct alignas(kSideBytes) LaneSlot {
  TryLock lock;
  LaneWriter lane;
};

}  // namespace

// A ring and this process's private state of its lanes, in pages of its own: made inside a write,
// perhaps in a signal handler, where malloc may not be called.
struct Writer::Ring {
  OwnedRing file;
  Ring* older = nullptr;
  std::uint32_t lane_count = 0;
  std::uint64_t record_bytes_max = 0;  // of a record with bodies
  LaneSlot slots[kLanesMax];
  // What the last thread found that was dropped by a full ring: RingHeader::releases at that time,
  // and how much room the roomiest lane had. Until the engine releases something, a record that
  // needs more is dropped without a look at the lanes. In one word, so that it is never torn.
  std::atomic<std::uint64_t> full_hint{0};
  static constexpr int kHintBytesBits = 24;
  static constexpr std::uint64_t kHintBytesMask = (1u << kHintBytesBits) - 1;

  [[nodiscard]] std::uint64_t releases() const noexcept {
    // relaxed: a stale count is one that the hint matches for an instant longer.
    return file.header().releases.load(std::memory_order_relaxed);
  }
  // True if a record that needs `bytes` at least cannot fit.
  [[nodiscard]] bool is_known_full(std::uint64_t bytes) const noexcept {
    const std::uint64_t hint = full_hint.load(std::memory_order_relaxed);  // nothing hangs off it
    return bytes > (hint & kHintBytesMask) &&
           hint >> kHintBytesBits == (releases() + 1) << kHintBytesBits >> kHintBytesBits;
  }
  // `releases_before`: from before the lanes were looked at. 0 is no hint, hence one is added.
  void note_full(std::uint64_t releases_before, std::uint64_t free_bytes) noexcept {
    if (free_bytes > kHintBytesMask) return;
    full_hint.store((releases_before + 1) << kHintBytesBits | free_bytes,
                    std::memory_order_relaxed);
  }

  // acquire: pairs with the engine's store. A retired ring is not written to any more.
  [[nodiscard]] std::uint32_t control() const noexcept {
    return file.header().control.load(std::memory_order_acquire);
  }
  // relaxed: statistics. On the line of the thread's preferred lane, so that threads that drop do
  // not pull one line back and forth.
  void count_full(std::uint32_t lane) noexcept {
    slots[lane].lane.control().dropped_full.fetch_add(1, std::memory_order_relaxed);
  }
  void count_busy(std::uint32_t lane) noexcept {
    slots[lane].lane.control().dropped_busy.fetch_add(1, std::memory_order_relaxed);
  }
  void count_too_large(std::uint32_t lane) noexcept {
    slots[lane].lane.control().dropped_too_large.fetch_add(1, std::memory_order_relaxed);
  }
};

// All zeros in a forked child, which is what each field then has to be.
struct Writer::ForkPage {
  std::atomic<Ring*> ring;
  // Held by the thread that makes or retires a ring. Others do not wait for it.
  TryLock recovering;
  std::atomic<std::uint32_t> rings_are_ours;  // else Writer::rings_ are the parent's
  std::atomic<std::int64_t> next_try_ns;      // CLOCK_MONOTONIC_COARSE
  std::atomic<std::uint64_t> disabled_calls;
};

// ---- Life
// ------------------------------------------------------------------------------------------

Writer* Writer::open(const WriterOptions& options) noexcept {
  void* const memory =
      mmap(nullptr, sizeof(ForkPage), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  Writer* writer = nullptr;
  if (madvise(memory, sizeof(ForkPage), MADV_WIPEONFORK) == 0) {
    writer = new (std::nothrow) Writer(options, new (memory) ForkPage());
  }
  if (writer == nullptr) munmap(memory, sizeof(ForkPage));
  return writer;
}

Writer::Writer(const WriterOptions& options, ForkPage* page) noexcept
    : options_(options), page_(page) {
  static_cast<void>(recover(true));
}

Writer::~Writer() {
  if (page_->rings_are_ours.load(std::memory_order_relaxed) == 0) {  // no other thread is here
    forget_inherited_rings();
  }
  while (rings_ != nullptr) {
    Ring* const ring = rings_;
    rings_ = ring->older;
    ring->file.close();
    munmap(ring, sizeof(Ring));
  }
  munmap(page_, sizeof(ForkPage));
}

void Writer::forget_inherited_rings() noexcept {
  while (rings_ != nullptr) {
    Ring* const ring = rings_;
    rings_ = ring->older;
    ring->file.forget_after_fork();
    munmap(ring, sizeof(Ring));
  }
}

sidecast_status Writer::refresh() noexcept {
  if (options_.switched_off) return SIDECAST_SWITCHED_OFF;
  return recover(true) ? SIDECAST_OK : SIDECAST_DISABLED;
}

// The way out of having no usable ring: after a failed open, after fork, after the engine retired
// the ring. Makes system calls but no allocation. True if there is a usable ring now.
bool Writer::recover(bool is_asked_for) noexcept {
  if (options_.switched_off || (!is_asked_for && !options_.may_retry)) return false;
  const std::int64_t now_ns = coarse_now_ns();
  // relaxed: only a hint; what counts is looked at again under the lock.
  if (!is_asked_for && now_ns < page_->next_try_ns.load(std::memory_order_relaxed)) return false;
  if (!page_->recovering.try_take()) return false;
  // relaxed, all three below: written only under the lock.
  if (page_->rings_are_ours.load(std::memory_order_relaxed) == 0) {
    forget_inherited_rings();
    // For grandchildren: some kernels forget the mark in a child.
    static_cast<void>(madvise(page_, sizeof(ForkPage), MADV_WIPEONFORK));
    page_->rings_are_ours.store(1, std::memory_order_relaxed);
  }
  bool is_usable = false;
  Ring* const ring = page_->ring.load(std::memory_order_relaxed);
  if (ring != nullptr && (ring->control() & kControlRetired) == 0) {
    is_usable = true;  // another thread was faster
  } else if (is_asked_for || now_ns >= page_->next_try_ns.load(std::memory_order_relaxed)) {
    if (ring == nullptr || retire(*ring)) {
      page_->next_try_ns.store(now_ns + kRetryNs, std::memory_order_relaxed);
      is_usable = make_ring();
    }
  }
  page_->recovering.give_back();
  return is_usable;
}

// Under ForkPage::recovering.
bool Writer::make_ring() noexcept {
  reason_.clear();
  const int directory = OwnedRing::open_directory(options_.directory, reason_);
  if (directory < 0) return false;
  SettingsPage settings;
  RingWish wish;
  bool is_made = false;
  if (read_settings(directory, settings) == SettingsRead::kVersion) {
    reason_.set("the engine does not read rings of layout version %u: upgrade the engine",
                kLayoutVersion);
  } else {
    const auto first_set = [](auto one, auto other, auto fallback) {
      return one != 0 ? one : other != 0 ? other : fallback;
    };
    wish.ring_bytes = first_set(options_.ring_bytes, settings.ring_bytes, kRingBytesDefault);
    wish.lanes = first_set(options_.lanes, settings.lanes, lanes_for_this_machine());
    wish.process = options_.process;
    wish.switched_off = settings.switched_off != 0;
    void* const memory = mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
      reason_.set("no memory for a ring");
    } else {
      Ring* const ring = new (memory) Ring();
      is_made = ring->file.create(directory, wish, reason_);
      if (!is_made) {
        munmap(memory, sizeof(Ring));
      } else {
        ring->lane_count = ring->file.lane_count();
        for (std::uint32_t i = 0; i < ring->lane_count; ++i) {
          const OwnedLane lane = ring->file.lane(i);
          new (&ring->slots[i].lane) LaneWriter(lane.control, lane.mirrored_data, lane.capacity);
        }
        const std::uint64_t widest = record_bytes_max(ring->slots[0].lane.capacity());
        const std::uint64_t wanted =
            first_set(options_.record_bytes_max, settings.record_bytes_max, widest);
        ring->record_bytes_max = std::min(wanted, widest);
        ring->older = rings_;
        rings_ = ring;
        // release: pairs with the acquire load in write_source().
        page_->ring.store(ring, std::memory_order_release);
      }
    }
  }
  ::close(directory);
  return is_made;
}

// Under ForkPage::recovering. Takes every lane for good, so that no thread is inside one, and gives
// the file back. False if a thread still is: the next write tries again.
bool Writer::retire(Ring& ring) noexcept {
  for (std::uint32_t i = 0; i < ring.lane_count; ++i) {
    if (ring.slots[i].lock.try_take()) continue;
    while (i > 0) ring.slots[--i].lock.give_back();
    return false;
  }
  // relaxed: under the lock; a late thread that still sees the ring finds its lanes taken.
  page_->ring.store(nullptr, std::memory_order_relaxed);
  ring.file.detach();
  return true;
}

// ---- Writing
// ---------------------------------------------------------------------------------------

sidecast_status Writer::write(const sidecast_generation& generation) noexcept {
  return write_source(generation);
}
sidecast_status Writer::write(const sidecast_span& span) noexcept {
  return write_source(span);
}

// The lane that this thread prefers: one of the ordinary ones, if there are any.
std::uint32_t Writer::home_lane(const Ring& ring) noexcept {
  const std::uint32_t ordinary = ring.lane_count - 1;
  const auto preferred =
      static_cast<std::uint32_t>(std::uint64_t{thread_number()} * ordinary >> 32);
  return ordinary == 0 ? 0 : 1 + preferred;
}

template <typename Source>
sidecast_status Writer::write_source(const Source& source) noexcept {
  Measure measured;
  // Twice: the ring may turn out to be retired before or while we write into it.
  for (int attempt = 0; attempt < 2; ++attempt) {
    // acquire: pairs with the release store in make_ring(). Null in a forked child.
    Ring* ring = page_->ring.load(std::memory_order_acquire);
    if (ring == nullptr || ring->control() != 0) [[unlikely]] {
      const bool is_off = ring != nullptr && (ring->control() & kControlRetired) == 0;
      if (is_off || !recover(false)) {
        page_->disabled_calls.fetch_add(1, std::memory_order_relaxed);  // statistics
        return is_off || options_.switched_off ? SIDECAST_SWITCHED_OFF : SIDECAST_DISABLED;
      }
      continue;
    }
    const bool all_or_nothing = (source.flags & SIDECAST_WRITE_ALL_OR_NOTHING) != 0;
    const std::uint64_t least = all_or_nothing ? 0 : least_bytes(source);
    if (least <= ring->record_bytes_max && ring->is_known_full(least)) [[unlikely]] {
      ring->count_full(home_lane(*ring));
      return SIDECAST_DROPPED_FULL;
    }
    measured = measure(source);
    if (!measured.is_valid) return SIDECAST_INVALID;
    const sidecast_status status = write_to(*ring, source, measured);
    // Looked at again, because the engine may have taken the ring for a dead one's between our
    // first look and our publish, and may not have seen the record: written once more it arrives
    // twice with one id at worst.
    if ((ring->control() & kControlRetired) == 0 &&
        page_->ring.load(std::memory_order_relaxed) == ring) {  // a hint; see retire()
      return status;
    }
  }
  page_->disabled_calls.fetch_add(1, std::memory_order_relaxed);  // statistics
  return SIDECAST_DISABLED;
}

template <typename Source>
sidecast_status Writer::write_to(Ring& ring, const Source& source,
                                 const Measure& measured) noexcept {
  const std::uint64_t releases_before = ring.releases();
  const std::uint64_t widest_record = record_bytes_max(ring.slots[0].lane.capacity());
  const std::uint32_t ordinary = ring.lane_count - 1;
  const std::uint32_t home = home_lane(ring);
  // A record is large if few like it would fill an ordinary lane.
  const std::uint64_t ordinary_bytes = ring.slots[ring.lane_count - 1].lane.capacity() / 8;

  const bool all_or_nothing = (source.flags & SIDECAST_WRITE_ALL_OR_NOTHING) != 0;
  const std::uint64_t whole = measured.whole_bytes;
  // Asked of the hint in two steps, because what a record takes shed costs time to find out.
  if (!all_or_nothing && ring.is_known_full(whole)) {
    const std::uint64_t least = std::min(whole, shed_bytes(source, measured));
    if (least <= widest_record && ring.is_known_full(least)) {
      ring.count_full(home);
      return SIDECAST_DROPPED_FULL;
    }
  }

  bool saw_full = false;
  bool saw_busy = false;
  std::uint64_t free_bytes = 0;
  // The thread's own lane, then the other ordinary ones, the wide lane last; for a large record
  // first.
  const auto try_lanes = [&](Detail detail, std::uint64_t bytes, bool may_use_reserve) {
    const bool is_large = bytes > ordinary_bytes;
    for (std::uint32_t i = 0; i <= ordinary; ++i) {
      std::uint32_t index = 0;
      if (is_large ? i != 0 : i != ordinary) {
        index = home + (is_large ? i - 1 : i);
        if (index > ordinary) index -= ordinary;
      }
      LaneSlot& slot = ring.slots[index];
      if (!slot.lock.try_take()) {
        saw_busy = true;
        continue;
      }
      const std::uint64_t kept_free = may_use_reserve ? 0 : reserve_bytes(slot.lane.capacity());
      const bool has_room =
          bytes <= record_bytes_max(slot.lane.capacity()) && slot.lane.has_room(bytes, kept_free);
      if (has_room) {
        SIDECAST_SHM_TEST_POINT("writer.before_copy");
        encode(source, measured, detail, slot.lane.sequence(), slot.lane.room(), bytes);
        SIDECAST_SHM_TEST_POINT("writer.after_copy");
        slot.lane.publish(bytes, detail == Detail::kShed);
        slot.lock.give_back();
        return true;
      }
      saw_full = true;
      free_bytes = std::max(free_bytes, slot.lane.free_bytes());
      slot.lock.give_back();
    }
    return false;
  };

  const bool whole_can_fit = whole <= ring.record_bytes_max;
  if (whole_can_fit) {
    const bool may_use_reserve =
        !measured.has_bodies() || (whole <= kFailedBytesMax && is_failed(source));
    // Once more if every lane was held: the moment in which all are is short, unless their holders
    // wait for a core, and a record is not to lose its bodies for that.
    for (int pass = 0; pass < 2 && !saw_full; ++pass) {
      if (try_lanes(Detail::kWhole, whole, may_use_reserve)) return SIDECAST_OK;
    }
  }
  // What the caller keeps and offers again is no loss, so it is not counted as one.
  if (all_or_nothing) {
    if (!whole_can_fit) return SIDECAST_DROPPED_TOO_LARGE;
    return saw_full ? SIDECAST_DROPPED_FULL : SIDECAST_DROPPED_BUSY;
  }
  const std::uint64_t shed = shed_bytes(source, measured);
  if (shed > widest_record) {
    ring.count_too_large(home);
    return SIDECAST_DROPPED_TOO_LARGE;
  }
  const bool is_worth_shedding = measured.has_bodies() || shed < whole;
  const bool has_reason_to_shed = saw_full || !whole_can_fit;
  if (is_worth_shedding && has_reason_to_shed && try_lanes(Detail::kShed, shed, true)) {
    return SIDECAST_SHED;
  }
  if (saw_full) {
    if (!saw_busy) ring.note_full(releases_before, free_bytes);
    ring.count_full(home);
    return SIDECAST_DROPPED_FULL;
  }
  ring.count_busy(home);
  return SIDECAST_DROPPED_BUSY;
}

// ---- Counters
// --------------------------------------------------------------------------------------

void Writer::read_counters(sidecast_counters& counters) noexcept {
  counters.disabled = page_->disabled_calls.load(std::memory_order_relaxed);  // statistics
  // Under the lock: nobody retires the ring while we look at it, nor writes the reason.
  if (!page_->recovering.try_take()) {
    std::snprintf(counters.reason, sizeof counters.reason, "a ring is being made");
    return;
  }
  // In a forked child the reason is the parent's.
  const bool is_ours = page_->rings_are_ours.load(std::memory_order_relaxed) != 0;
  Ring* const ring = page_->ring.load(std::memory_order_relaxed);  // under the lock
  if (ring != nullptr) {
    counters.has_ring = 1;
    counters.lanes = ring->lane_count;
    counters.ring_bytes = ring->file.ring_bytes();
    for (std::uint32_t i = 0; i < ring->lane_count; ++i) {
      const LaneWriter& lane = ring->slots[i].lane;
      const LaneControl& control = lane.control();
      counters.written += lane.sequence();
      counters.shed += lane.shed();
      counters.used_bytes += lane.used_bytes();
      counters.dropped_full += control.dropped_full.load(std::memory_order_relaxed);
      counters.dropped_busy += control.dropped_busy.load(std::memory_order_relaxed);
      counters.dropped_too_large += control.dropped_too_large.load(std::memory_order_relaxed);
    }
  }
  const char* reason = reason_.text();
  if (options_.switched_off) {
    reason = "switched off by SIDECAST_OFF";
  } else if (!is_ours) {
    reason = "the process was forked; its first write makes a ring";
  } else if (ring != nullptr && (ring->control() & kControlSwitchedOff) != 0) {
    reason = "switched off by the operator";
  }
  std::snprintf(counters.reason, sizeof counters.reason, "%s", reason);
  page_->recovering.give_back();
}

}  // namespace sidecast::shm
