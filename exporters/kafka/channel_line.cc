// Who may be sent to, when there are more who want it than producers or bytes.
#include <algorithm>
#include <utility>

#include "exporters/kafka/producer.h"

namespace sidecast {
namespace {

// Each costs a thread of its own and one for each broker.
constexpr std::size_t kProducersMax = 128;
constexpr std::size_t kTenantsMax = kProducersMax / 2;
constexpr std::size_t kTenantMax = kProducersMax / 8;
constexpr std::size_t kUnprovenMax = kProducersMax / 2;
// What one that is not proven has for its answer while others wait for theirs.
constexpr std::chrono::seconds kPatience{10};
constexpr std::chrono::seconds kLineLook{1};
// What is smaller passes one that finds too few bytes left for so long.
constexpr std::chrono::seconds kLinePatience{3};

}  // namespace

void KafkaChannel::admit() {
  keep_room_for_the_oldest();
  for (auto each = line_.begin(); each != line_.end();) {
    const auto next = std::next(each);
    if (is_passed_in_vain(*each->second)) {
      each = next;
      continue;
    }
    if (const ProducerPtr producer = place_for(*each->second)) {
      start(producer, std::move(line_.extract(each).mapped()));
    }
    each = next;
  }
  overdue_.clear();
  kept_room_for_ = nullptr;
  if (line_.empty() || line_timer_ != 0) return;
  line_timer_ = loop_.after(kLineLook, [this] {
    line_timer_ = 0;
    admit();
  });
}

void KafkaChannel::start(const ProducerPtr& producer, PendingPtr pending) {
  Pending& started = *pending;
  if (const auto found = overdue_.find(started.key);
      found != overdue_.end() && found->second == &started) {
    overdue_.erase(found);
    if (kept_room_for_ == &started) kept_room_for_ = nullptr;
  }
  if (producer->open.empty()) producer->busy_since = monotonic_now();
  producer->used = started.begin = monotonic_now();
  producer->standing = started.standing;
  producer->bytes += started.bytes;
  copied_bytes_ += started.bytes;
  if (!started.standing.is_proven) unproven_bytes_ += started.bytes;
  producer->open.emplace(&started, std::move(pending));
  if (producer->many != nullptr) {
    produce(producer, started);
  } else {
    producer->to_produce.push_back(&started);
  }
}

// One alone has room kept for it: the oldest of those that nothing of their own is in the way of.
// What has not shown that it answers, and what is a tenant's, may keep half from the others at
// most.
void KafkaChannel::keep_room_for_the_oldest() {
  const Instant before = monotonic_now() - kLinePatience;
  for (const auto& [turn, pending] : line_) {
    if (pending->begin > before) continue;
    const Pending*& oldest = overdue_[pending->key];
    if (oldest == nullptr || pending->begin < oldest->begin) oldest = pending.get();
  }
  for (const auto& [key, pending] : overdue_) {
    const auto producer = producers_.find(pending->key);
    if (producer != producers_.end() && producer->second->bytes > 0) continue;
    const bool is_trusted = pending->standing.is_proven && !pending->is_tenants;
    if (!is_trusted && pending->bytes > loop_.settings().copied_bytes_max / 2) continue;
    if (kept_room_for_ == nullptr || pending->begin < kept_room_for_->begin) {
      kept_room_for_ = pending;
    }
  }
}

// One of its own has waited for longer, and would wait for ever behind what is smaller.
bool KafkaChannel::is_passed_in_vain(const Pending& pending) const {
  const auto oldest = overdue_.find(pending.key);
  return oldest != overdue_.end() && oldest->second != &pending;
}

// Null: it waits.
KafkaChannel::ProducerPtr KafkaChannel::place_for(const Pending& pending) {
  const auto found = producers_.find(pending.key);
  const bool is_there = found != producers_.end();
  if (!has_bytes_for(pending, is_there ? found->second.get() : nullptr)) return nullptr;
  if (is_there) return found->second;
  if (!has_room_for(pending)) return nullptr;
  auto producer = std::make_shared<Producer>();
  producer->connection = pending.connection;
  producer->key = pending.key;
  producer->is_tenants = pending.is_tenants;
  producer->party = pending.party;
  producers_.emplace(producer->key, producer);
  open_client(producer, kafka::Client::Batches::kMany);
  if (idle_timer_ == 0) look_for_idle();
  return producer;
}

// As with connections (gate.h), nobody has more under way than is left; but one request fits
// however large it is.
bool KafkaChannel::has_bytes_for(const Pending& pending, const Producer* producer) const {
  std::uint64_t most = loop_.settings().copied_bytes_max;
  std::uint64_t unproven_most = most / 2;
  if (kept_room_for_ != nullptr && kept_room_for_ != &pending) {
    most -= std::min(most, kept_room_for_->bytes);
    if (!kept_room_for_->standing.is_proven) {
      unproven_most -= std::min(unproven_most, kept_room_for_->bytes);
    }
  } else if (copied_bytes_ == 0) {
    return true;
  }
  if (copied_bytes_ + pending.bytes > most) return false;
  if (!pending.standing.is_proven && unproven_bytes_ + pending.bytes > unproven_most) {
    return false;
  }
  return producer == nullptr || producer->bytes == 0 ||
         producer->bytes + pending.bytes <= most - copied_bytes_;
}

bool KafkaChannel::has_room_for(const Pending& newcomer) {
  struct Bound {
    bool is_newcomers;
    std::size_t most;
    std::function<bool(const Producer&)> is_of_them;
  };
  const Bound bounds[] = {
      {newcomer.is_tenants, kTenantMax,
       [&](const Producer& each) { return each.is_tenants && each.party == newcomer.party; }},
      {newcomer.is_tenants, kTenantsMax, [](const Producer& each) { return each.is_tenants; }},
      {!newcomer.standing.is_proven, kUnprovenMax,
       [](const Producer& each) { return !each.standing.is_proven; }},
      {true, kProducersMax, [](const Producer&) { return true; }}};
  for (const Bound& bound : bounds) {
    if (!bound.is_newcomers) continue;
    const auto is_full = [&] {
      return static_cast<std::size_t>(std::count_if(
                 producers_.begin(), producers_.end(),
                 [&](const auto& each) { return bound.is_of_them(*each.second); })) >= bound.most;
    };
    while (is_full()) {
      if (!free_one(newcomer, bound.is_of_them)) return false;
    }
  }
  return true;
}

bool KafkaChannel::free_one(const Pending& newcomer,
                            const std::function<bool(const Producer&)>& is_of_them) {
  ProducerPtr idlest;
  ProducerPtr silent;
  const Instant before = monotonic_now() - kPatience;
  for (const auto& [key, each] : producers_) {
    if (!is_of_them(*each)) continue;
    if (each->open.empty()) {
      if (idlest == nullptr || each->used < idlest->used) idlest = each;
      continue;
    }
    if (each->standing.is_proven || each->busy_since > before) continue;
    const std::uint32_t failures = newcomer.standing.failures;
    const bool goes_first = newcomer.standing.is_proven || failures < each->standing.failures ||
                            (failures == 0 && each->standing.failures == 0);
    if (goes_first && (silent == nullptr || each->busy_since < silent->busy_since)) silent = each;
  }
  if (idlest != nullptr) {
    close(*idlest);
    forget(*idlest);
    return true;
  }
  if (silent == nullptr) return false;
  give_up(silent, {.failure = Response::Failure::kTimeout, .code = "_TIMED_OUT"});
  return true;
}

}  // namespace sidecast
