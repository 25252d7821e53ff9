#include "engine/batch/batcher.h"

#include <utility>

namespace sidecast {
namespace {

// With nobody to send to, a batch may as well grow; but it must become a batch some time, since
// only batches expire.
constexpr std::chrono::seconds kAgeMaxUnavailable{30};

}  // namespace

Batcher::Batcher(PlanPtr plan, std::uint64_t batch_bytes_max,
                 std::atomic<std::uint64_t>& body_bytes_total, Submit submit, fates::FateLog fates)
    : plan_(std::move(plan)),
      freezer_(batch_bytes_max, body_bytes_total, std::move(submit), fates),
      open_(plan_->groups.size()) {}

void Batcher::follow(PlanPtr plan, Instant now) {
  std::vector<OpenBatch> open(plan->groups.size());
  std::vector<std::size_t> begun;
  for (const std::size_t i : begun_) {
    const PlannedGroupPtr& group = plan_->groups[i];
    const auto found = plan->group_by_slot.find(group->slot);
    if (found != plan->group_by_slot.end() && plan->groups[found->second] == group) {
      open[found->second] = std::move(open_[i]);
      begun.push_back(found->second);
    } else {
      seal(group, open_[i], now);
    }
  }
  open_ = std::move(open);
  begun_ = std::move(begun);
  plan_ = std::move(plan);
}

void Batcher::add(std::size_t group, stage::EntryRef ref, Instant now) {
  const PlannedGroupPtr& planned = plan_->groups[group];
  OpenBatch& open = open_[group];
  if (open.entries.empty()) begun_.push_back(group);
  if (!freezer_.fits(open, *ref.entry, *planned)) seal(planned, open, now);
  if (open.entries.empty()) open.oldest = now;
  open.add(ref);
  ++open_entries_;
}

void Batcher::seal_due(Instant now, bool all) {
  std::erase_if(begun_, [&](std::size_t i) {
    OpenBatch& open = open_[i];
    const PlannedGroupPtr& planned = plan_->groups[i];
    // relaxed: a hint; a batch sealed a little early or late is as good.
    const bool available = planned->members_available.load(std::memory_order_relaxed) > 0;
    const Milliseconds age_max =
        available ? plan_->config->batch_age_max : Milliseconds(kAgeMaxUnavailable);
    const bool is_due = all || now - open.oldest >= age_max;
    if (is_due) seal(planned, open, now);
    return is_due;
  });
}

void Batcher::seal(const PlannedGroupPtr& group, OpenBatch& open, Instant now) {
  open_entries_ -= open.entries.size();
  freezer_.seal(group, open, group->mask, now);
}

void Batcher::freeze(const PlannedGroupPtr& group, std::span<const stage::EntryRef> entries,
                     std::uint64_t destinations, Instant sealed_at) {
  freezer_.freeze(group, entries, destinations, sealed_at);
}

void Batcher::freeze_shrunk(const PlannedGroupPtr& group, stage::EntryRef ref,
                            std::uint64_t destinations, Shrinking shrinking, Instant sealed_at) {
  freezer_.freeze_shrunk(group, ref, destinations, shrinking, sealed_at);
}

}  // namespace sidecast
