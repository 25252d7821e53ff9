#include "engine/tail/tap.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/json_writer.h"
#include "engine/base/utf8.h"

namespace sidecast::tail {
namespace {

constexpr std::size_t kSessionsMax = 8;
constexpr std::chrono::seconds kPatience{5};  // with a guest that says nothing
constexpr int kSendBufferBytes = 512 << 10;

}  // namespace

Session::~Session() {
  close(fd_);
}

bool Session::may_show(Instant now) noexcept {
  const std::int64_t second =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  if (second_.exchange(second, std::memory_order_relaxed) != second) {
    shown_.store(0, std::memory_order_relaxed);
    content_bytes_.store(0, std::memory_order_relaxed);
  }
  if (shown_.fetch_add(1, std::memory_order_relaxed) < wish_.rate) return true;
  miss();
  return false;
}

bool Session::may_show_content(std::uint64_t bytes) noexcept {
  constexpr std::uint64_t kRecordBytesMax = 256U << 10U;
  constexpr std::uint64_t kSecondBytesMax = 4U << 20U;
  return bytes <= kRecordBytesMax &&
         content_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= kSecondBytesMax;
}

void Session::send(Bytes packet) noexcept {
  if (::send(fd_, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) miss();
}

bool Session::is_over() const noexcept {
  char nothing = 0;
  const ssize_t got = recv(fd_, &nothing, sizeof nothing, MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

Tap::~Tap() {
  for (const Guest& guest : guests_) close(guest.fd);
  if (listening_ >= 0) close(listening_);
}

std::shared_ptr<const Sessions> Tap::sessions() const {
  const std::lock_guard lock(mutex_);
  return sessions_;
}

void Tap::publish(Sessions next) {
  auto published = std::make_shared<const Sessions>(std::move(next));
  const std::lock_guard lock(mutex_);
  sessions_ = std::move(published);
  version_.fetch_add(1, std::memory_order_release);  // pairs with version()
}

void Tap::let_in(Instant now) {
  while (guests_.size() + sessions_->size() < kSessionsMax) {
    const int fd = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    // The directory is closed to others; this is said twice.
    ucred peer{};
    socklen_t size = sizeof peer;
    const bool is_known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
                          (peer.uid == geteuid() || peer.uid == 0);
    if (!is_known) {
      close(fd);
      continue;
    }
    static_cast<void>(
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes));
    guests_.push_back({fd, now});
  }
}

// Has it been settled what becomes of this guest?
bool Tap::hear(const Guest& guest, Instant now, Sessions& next) {
  Wish wish;
  const ssize_t got = recv(guest.fd, &wish, sizeof wish, MSG_DONTWAIT);
  if (got == sizeof wish && wish.magic == kMagic) {
    wish.rate = std::clamp(wish.rate, 1U, kRateMax);
    next.push_back(std::make_shared<Session>(guest.fd, wish));
    return true;
  }
  const bool is_waiting = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
  if (is_waiting && now - guest.since < kPatience) return false;
  close(guest.fd);
  return true;
}

void Tap::look(Instant now) {
  if (listening_ < 0) return;
  let_in(now);
  if (guests_.empty() && sessions_->empty()) return;
  Sessions next = *sessions_;
  const std::size_t left =
      std::erase_if(next, [](const auto& session) { return session->is_over(); });
  const std::size_t stayed = next.size();
  std::erase_if(guests_, [&](const Guest& guest) { return hear(guest, now, next); });
  if (left > 0 || next.size() != stayed) publish(std::move(next));
}

void Pen::follow(std::uint64_t version) {
  views_.clear();
  plan_ = nullptr;
  for (const auto& session : *tap_->sessions()) views_.push_back({session, {}});
  version_ = version;
  if (!views_.empty()) return;
  packet_ = ByteBuffer();
  record_ = ByteBuffer();
  smaller_ = ByteBuffer();
}

void Pen::find_groups(const Plan& plan) {
  plan_ = &plan;
  for (View& view : views_) {
    view.group.reset();
    const Text wanted = text_of(view.session->wish().destination);
    if (wanted.empty()) continue;
    for (const auto& [slot, index] : plan.enabled_by_slot) {
      const PlannedDestination& destination = plan.destinations[index];
      if (destination.config->name != wanted) continue;
      const auto found = std::find(plan.groups.begin(), plan.groups.end(), destination.group);
      if (found == plan.groups.end()) continue;
      view.group = static_cast<std::uint32_t>(found - plan.groups.begin());
    }
  }
}

bool Pen::wants(const View& view, std::span<const Routed> routed, const Trace& trace) {
  const Wish& wish = view.session->wish();
  const auto is = [](Text wanted, Text found) { return wanted.empty() || wanted == found; };
  if ((wish.flags & kFailedOnly) != 0 && !trace.outcome.failed) return false;
  if (!is(text_of(wish.account), trace.identity.account)) return false;
  if (!is(text_of(wish.session), trace.identity.session_id)) return false;
  const Text model = text_of(wish.model);
  if (!trace.model_requested.starts_with(model) && !trace.model_served.starts_with(model)) {
    return false;
  }
  if (wish.destination[0] == '\0') return true;
  return std::any_of(routed.begin(), routed.end(), [&](const Routed& each) {
    return each.decision == Decision::kRouted && each.group_index == view.group;
  });
}

void Pen::show(const Plan& plan, std::span<const Routed> routed, const Trace& trace,
               const Origin& origin, Arena& arena) {
  if (plan_ != &plan) find_groups(plan);
  const Instant now = monotonic_now();
  for (const View& view : views_) {
    if (wants(view, routed, trace) && view.session->may_show(now)) {
      write(view, plan, routed, trace, origin, arena);
    }
  }
}

}  // namespace sidecast::tail
