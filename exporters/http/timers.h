// Timers of one loop: what to run when. Ordered, so that the next one is the first, and a cancelled
// one is gone at once (a heap would keep it, and what its task owns, until it is due: hours, for a
// destination that is paused). Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "engine/base/clock.h"

namespace sidecast {

class Timers {
 public:
  using Task = std::function<void()>;
  using Id = std::uint64_t;  // never 0, never used twice

  Id add(Instant due, Task task) {
    const Id id = ++last_id_;
    tasks_.emplace(std::pair(due, id), std::move(task));
    due_.emplace(id, due);
    return id;
  }

  // No effect on a timer that has run, was cancelled or never was.
  void cancel(Id id) {
    const auto found = due_.find(id);
    if (found == due_.end()) return;
    tasks_.erase({found->second, id});
    due_.erase(found);
  }

  [[nodiscard]] std::optional<Instant> next_due() const noexcept {
    if (tasks_.empty()) return std::nullopt;
    return tasks_.begin()->first.first;
  }

  // Runs what is due at `now`, in order of time, then of creation; returns how many. A timer that a
  // task adds is left for the next call, so that a chain of immediate timers cannot hold the loop.
  std::size_t run_due(Instant now) {
    const Id newest = last_id_;
    std::size_t count = 0;
    for (auto next = tasks_.begin(); next != tasks_.end() && next->first.first <= now;) {
      if (next->first.second > newest) {
        ++next;
        continue;
      }
      const Task task = std::move(next->second);
      due_.erase(next->first.second);
      tasks_.erase(next);
      task();
      ++count;
      next = tasks_.begin();  // the task may have cancelled any other
    }
    return count;
  }

 private:
  std::map<std::pair<Instant, Id>, Task> tasks_;
  std::unordered_map<Id, Instant> due_;
  Id last_id_ = 0;
};

}  // namespace sidecast
