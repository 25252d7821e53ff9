// The engine's side of `sidecast tail`: who watches, and what they are shown.
//
// Nobody waits for who watches: a record is offered to a socket, and what it does not take at once
// is missed and counted. While nobody watches, a record costs one look at a counter. Content leaves
// by exporters/write.h like everything that leaves: privacy first.
//
// Threads: look() from housekeeping; a Pen belongs to one worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/arena.h"
#include "engine/base/clock.h"
#include "engine/batch/plan.h"
#include "engine/model/trace.h"
#include "engine/route/route.h"
#include "engine/tail/wish.h"

namespace sidecast::tail {

class Session {
 public:
  Session(int fd, const Wish& wish) noexcept : fd_(fd), wish_(wish) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] const Wish& wish() const noexcept { return wish_; }
  // One more this second? If not, it is missed. Any thread.
  [[nodiscard]] bool may_show(Instant now) noexcept;
  // So many bytes of content more this second?
  [[nodiscard]] bool may_show_content(std::uint64_t bytes) noexcept;
  void miss() noexcept { missed_.fetch_add(1, std::memory_order_relaxed); }  // a figure
  [[nodiscard]] std::uint64_t missed() const noexcept {
    return missed_.load(std::memory_order_relaxed);
  }
  void send(Bytes packet) noexcept;
  // The tool has gone.
  [[nodiscard]] bool is_over() const noexcept;

 private:
  const int fd_;
  const Wish wish_;
  // relaxed, all of them: at worst workers that meet show one record more or less.
  std::atomic<std::int64_t> second_{0};
  std::atomic<std::uint32_t> shown_{0};          // in that second
  std::atomic<std::uint64_t> content_bytes_{0};  // in that second
  std::atomic<std::uint64_t> missed_{0};
};
using Sessions = std::vector<std::shared_ptr<Session>>;

class Tap {
 public:
  // Without a socket nobody can watch, and nothing else changes.
  explicit Tap(int listening) noexcept : listening_(listening) {}
  ~Tap();
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;

  // Lets in who asks and lets go who left. Housekeeping only.
  void look(Instant now);

  // Changes with every change of sessions(); 0 = there never was one. Any thread.
  [[nodiscard]] std::uint64_t version() const noexcept {
    return version_.load(std::memory_order_acquire);  // pairs with publish()
  }
  [[nodiscard]] std::shared_ptr<const Sessions> sessions() const;

 private:
  struct Guest {  // has not said yet what it wants
    int fd;
    Instant since;
  };
  void let_in(Instant now);
  [[nodiscard]] bool hear(const Guest& guest, Instant now, Sessions& next);
  void publish(Sessions next);

  const int listening_;
  std::vector<Guest> guests_;
  mutable std::mutex mutex_;  // for sessions_: held for a copy of the pointer
  std::shared_ptr<const Sessions> sessions_ = std::make_shared<Sessions>();
  std::atomic<std::uint64_t> version_{0};
};

// Where a record came from.
struct Origin {
  Text process;
  std::int64_t pid = 0;
  std::uint32_t lane = 0;
  std::uint64_t sequence = 0;
};

// Shows records to all who watch. A worker's own.
class Pen {
 public:
  explicit Pen(const Tap* tap) noexcept : tap_(tap) {}

  [[nodiscard]] bool is_watched() {
    if (tap_ == nullptr) return false;
    if (const std::uint64_t now = tap_->version(); now != version_) follow(now);
    return !views_.empty();
  }
  // Another plan is there: what was known of the last one, by its address, is no more.
  void forget_plan() noexcept { plan_ = nullptr; }
  void show(const Plan& plan, std::span<const Routed> routed, const Trace& trace,
            const Origin& origin, Arena& arena);

 private:
  struct View {
    std::shared_ptr<Session> session;
    // Of the destination it asks for, in `plan_`; none: no such destination.
    std::optional<std::uint32_t> group;
  };
  void follow(std::uint64_t version);
  void find_groups(const Plan& plan);
  [[nodiscard]] static bool wants(const View& view, std::span<const Routed> routed,
                                  const Trace& trace);
  void write(const View& view, const Plan& plan, std::span<const Routed> routed, const Trace& trace,
             const Origin& origin, Arena& arena);

  const Tap* tap_;
  std::uint64_t version_ = 0;
  const Plan* plan_ = nullptr;  // that views_' groups are of; compared, never followed
  std::vector<View> views_;
  ByteBuffer packet_;
  ByteBuffer record_;
  ByteBuffer smaller_;
};

}  // namespace sidecast::tail
