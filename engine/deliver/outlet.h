// An outlet: everything the engine does for one destination. Its queue of sealed batches, how many
// requests may be open, when it may be tried again, and what becomes of each answer. A dead or slow
// destination fills its own outlet and nobody else's.
//
//   submit -> waiting -> (expand: exporter.encode) -> ready -> open -> judge -> settle
//                                                        ^----- retry ---'
//
// It is a destination's identity that it belongs to: a reload that changes anything else goes on
// with the same outlet (follow). One that is no longer configured sends nothing more: what waits is
// held (held.h), what is under way is still judged, and then it is gone.
//
// A batch that is refused for what is in it is bisected (bisect.h), one at a time: until the search
// has ended, only its pieces are sent. What it teaches about size is kept, and later batches are
// cut by it before they are sent. A single record that is refused for its size is sent again with
// its content shortened, a few times at most (size_limit.h). Where an answer names records, only
// those that it wants again are frozen and sent again.
//
// Threads: belongs to the delivery thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/batch/plan.h"
#include "engine/batch/settle.h"
#include "engine/deliver/bisect.h"
#include "engine/deliver/breaker.h"
#include "engine/deliver/held.h"
#include "engine/deliver/loss_log.h"
#include "engine/deliver/size_limit.h"
#include "exporters/exchange.h"
#include "exporters/http/loop.h"

namespace sidecast {

class Outlet {
 public:
  // Asks a worker to freeze these records again, for one destination: a part of a batch that was
  // sealed then, or a single one of it with less content.
  using Refreeze = std::function<void(PlannedGroupPtr, std::vector<stage::EntryRef>,
                                      std::uint64_t destinations, Instant sealed_at, Shrinking)>;
  struct Context {
    HttpLoop& loop;
    Settler& settler;
    Ledger& ledger;
    const Refreeze& refreeze;
    HeldRecords& held;
    const std::chrono::seconds& give_up_after;
    fates::FateLog fates;
    // Asks for the oldest batch that is spooled for a destination; empty: there is no spool.
    // With whether it is to find out whether that destination takes something again.
    const std::function<void(const PlannedDestination&, bool is_probe)>& read_back;
  };

  Outlet(PlannedDestination destination, Context context);
  ~Outlet();
  Outlet(const Outlet&) = delete;
  Outlet& operator=(const Outlet&) = delete;

  // The same identity in the next plan. New credentials apply to what is queued, and a destination
  // that was paused for the old ones is tried at once.
  void follow(PlannedDestination destination);
  // It is in no plan any more.
  void leave();
  [[nodiscard]] bool has_left() const noexcept { return has_left_; }
  // After leave(): nothing of it is under way.
  [[nodiscard]] bool is_gone() const noexcept {
    return has_left_ && !search_ && breaker_.under_way() == 0;
  }

  void submit(SealedBatchPtr sealed);
  // Drops what is older than the give-up age. Called a few times a second.
  void expire(Instant now);
  // Memory is short: a wait of our own choice may cost what the destination would take by now.
  void hurry();
  // Drops the oldest waiting batch for want of memory. False: nothing waits.
  bool drop_oldest(Shortage shortage);

  // ---- the spool (outlet_spool.cc)
  // The oldest records that can go there, all of one batch; of one that delivers, what came last
  // waits longest for its turn.
  [[nodiscard]] std::optional<RecordRange> take_for_spool(bool delivers);
  // That batch, if it waits whole.
  [[nodiscard]] std::optional<RecordRange> take_for_spool(const SealedBatch* sealed);
  // Records that the spooler has staged and that are not under way.
  [[nodiscard]] std::optional<RecordRange> take_read_back();
  // Waiting for its turn, but not yet tried, since before that instant, and such; null = none.
  [[nodiscard]] const SealedBatch* waiting_since(
      Instant before, const std::function<bool(const SealedBatch&)>& is_such) const;
  // The spool did not take them.
  void put_back(const RecordRange& range);
  // The spool's answer: a batch, and that this was all.
  void submit_restored(SealedBatchPtr sealed);
  void read_back_answered(bool found);
  // Something that it may ask back.
  [[nodiscard]] bool has_spooled() const noexcept;

  // The loop has ended, nothing more will be dropped: says what losses came to.
  void finish_log() { losses_.finish(); }

  // What drop_oldest() would drop, or null.
  [[nodiscard]] const SealedBatch* oldest() const noexcept {
    if (!ready_.empty()) return ready_.front().sealed.get();
    if (!restored_.empty()) return restored_.front().get();
    return waiting_.empty() ? nullptr : waiting_.front().get();
  }
  // It took something not long ago, or has only just begun to fail.
  [[nodiscard]] bool delivers(Instant now) const noexcept;
  // It took something not long ago. One that refuses all it gets is quick, and no measure.
  [[nodiscard]] bool accepts(Instant now) const noexcept;
  // How long its oldest batch has been waiting for its turn; zero when none is.
  [[nodiscard]] Instant::duration lag(Instant now) const noexcept;
  // Uncompressed, of batches that came lately: what came some seconds ago counts half, and so on.
  [[nodiscard]] double recent_bytes(Instant now) const noexcept;
  // The part of the last seconds in which it had something to do.
  [[nodiscard]] double busy_share(Instant now) const noexcept;
  [[nodiscard]] std::uint64_t queued_bytes() const noexcept { return queued_bytes_; }
  [[nodiscard]] bool idle() const noexcept {
    return waiting_.empty() && restored_.empty() && ready_.empty() && !search_ &&
           breaker_.under_way() == 0;
  }
  // Nothing to do for it until the next submit(), and nothing that others are measured by.
  [[nodiscard]] bool is_quiet(Instant now) const noexcept {
    return idle() && !has_left_ && !delivers(now) && !accepts(now) && losses_.is_quiet() &&
           !has_spooled();
  }
  // Where entries may be staged for it: group, and its bit there.
  struct Place {
    GroupIndex group;
    std::uint8_t bit;
    bool operator==(const Place&) const = default;
  };
  [[nodiscard]] const std::vector<Place>& places() const noexcept { return places_; }

 private:
  struct Send {
    Request request;
    SealedBatchPtr sealed;
    bool is_piece = false;  // of the search
    std::uint32_t attempts = 0;
  };
  // The search for the records that make a batch refused.
  struct Search {
    SealedBatchPtr held;  // the batch's records, without its bytes
    Bisect bisect;
    RejectReason reason;     // of what is found
    Bisect::Piece frozen{};  // the last one that a worker was asked to freeze again
  };
  [[nodiscard]] static RecordRange range_of(const Send& send) {
    return {send.sealed, send.request.record_first, send.request.record_count};
  }
  [[nodiscard]] fates::PartNote part_of(const Send& send) const;
  void tell_answer(const Send& send, const Verdict& verdict, Milliseconds took);
  void pump();
  // What is older has its turn first, but what is new is not kept for ever; null = nothing waits.
  [[nodiscard]] SealedBatchPtr take_turn();
  void ask_for_spooled();
  void expand(const SealedBatchPtr& sealed, bool is_piece);
  void start(Send send);
  void finish(Send send, Breaker::Round round, const Verdict& verdict, const TransferTimes& times);
  // The answer spoke of each record. settle_named() says which are wanted again.
  [[nodiscard]] std::vector<RecordRange> settle_named(const RecordRange& range,
                                                      const Verdict& verdict);
  void settle_items(const Send& send, Breaker::Round round, const Verdict& verdict);
  // How many were rejected.
  [[nodiscard]] std::size_t shrink_or_reject(const RecordRange& range);
  [[nodiscard]] static std::uint64_t accepted_bytes(const Send& send, const Verdict& verdict);
  // It answered: this request was refused for good, whole or by some record of it.
  void refused(Send send, const Verdict& verdict);
  void search(const Send& send, const Verdict& verdict);
  [[nodiscard]] bool is_piece_of_search(const SealedBatch& sealed) const;
  void continue_search();
  void end_search();
  void refreeze(const SealedBatchPtr& from, Bisect::Piece piece);
  // A record was refused for good, by itself: it is tried again with less content, if its size may
  // be the reason.
  [[nodiscard]] bool shorten_refused(const RecordRange& range, RejectReason reason);
  [[nodiscard]] bool try_shrink(const RecordRange& range);
  [[nodiscard]] bool is_known_to_be_refused(const Send& send) const;
  void keep_limit();
  [[nodiscard]] bool is_too_large(const Send& send) const;
  void cut(const SealedBatchPtr& sealed);
  void failed(Breaker::Round round, const Verdict& verdict);
  void accepted(Breaker::Round round, const Verdict& verdict);
  void answered(Breaker::Round round, const Verdict& verdict);
  void pump_when_allowed();
  void note_busy(Instant now);
  void note_error(const std::string& explanation);
  void set_state(ledger::DestinationState state, const std::string& explanation);
  void retire(const SealedBatchPtr& sealed, std::size_t records);
  [[nodiscard]] std::optional<Send> take_oldest();
  // What keeps it from delivering, in one line; empty while nothing does.
  [[nodiscard]] std::string trouble();
  void drop(const Send& send, ledger::DropReason reason, const std::string& cause,
            Shortage shortage = Shortage::kMemoryLimit);
  void note_place(const PlannedGroup& group);
  void authorise_anew();
  void try_at_once();
  void judge_last(const Send& send, const Verdict& verdict);
  void hold(const SealedBatch& sealed, std::size_t first, std::size_t count);
  void hold_search();
  // Ours in the entries of that batch, which may be of an earlier configuration's group.
  [[nodiscard]] std::uint8_t bit_in(const SealedBatchPtr& sealed) const noexcept {
    return sealed->group->bit_of(destination_.slot);
  }
  [[nodiscard]] ledger::DestinationSlot& slot() noexcept {
    return context_.ledger.destination(destination_.slot);
  }

  PlannedDestination
      destination_;  // its group is what is staged for now; older batches name theirs
  Context context_;
  std::vector<Place> places_;
  bool has_left_ = false;
  std::deque<SealedBatchPtr> waiting_;
  std::deque<SealedBatchPtr> restored_;  // out of the spool, oldest first
  std::size_t asked_ = 0;                // batches of the spool that are on their way
  Instant ask_again_{};
  std::size_t turns_ = 0;
  std::deque<Send> ready_;          // requests of the oldest batches, next first
  std::uint64_t queued_bytes_ = 0;  // uncompressed, of records not yet settled
  Breaker breaker_;
  std::optional<Search> search_;
  SizeLimit limit_;
  bool has_accepted_ = false;  // something, since the last search that found everything refused
  bool is_search_hopeless_ = false;
  Instant delivered_at_{};  // or had nothing to deliver
  Instant accepted_at_{};
  double recent_bytes_ = 0;  // as of recent_at_
  Instant recent_at_{};
  double busy_share_ = 0;  // as of busy_at_
  Instant busy_at_{};
  HttpLoop::TimerId timer_ = 0;  // 0 = none
  ledger::DestinationState state_ = ledger::DestinationState::kOk;
  LossLog losses_;
  std::minstd_rand random_;
};

}  // namespace sidecast
