// Which transfers may be open, when more are wanted than the loop has connections for. A server
// that never answers holds its connection for a whole timeout, and there may be more of those than
// connections; so what has not shown that it answers may use half of them at most, and the rest is
// left to what has:
//
//   |<------------------ open_max ------------------>|
//   |  trials: 1/2 at most   |                       |   no answer yet, or none the last time
//   |       proven: 7/8 at most              |       |   answered the last time
//   |  tenants' proven: 1/2 at most   |              |
//
// A server may answer and be slow, so the proven are not one line: each party (a destination of the
// operator's, or a tenant with all it has) has its turn after the others, an eighth at most, and
// never more open than there are places left. So many that are slow settle at equal shares and one
// share stays free: whoever comes next finds it.
//
// Among trials, those that failed less often go first, and of those whoever's party has fewer open:
// whoever is new waits for no line of dead ones, neither of others' nor of its own party's. Of one
// party a quarter of the trials' places may be open. Pure. Threads: belongs to the loop's thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "exporters/http/loop.h"

namespace sidecast {

// Who wants to send.
struct Claimant {
  Standing standing;
  std::string_view destination;
  bool is_tenants = false;  // its party is what stands before the slash of its name
};

// Whose share it is of what all have together.
[[nodiscard]] inline std::string party_name(std::string_view destination, bool is_tenants) {
  const std::string_view name =
      is_tenants ? destination.substr(0, destination.find('/')) : destination;
  return (is_tenants ? "tenant " : "operator ") + std::string(name);
}

template <typename Waiting>
class Gate {
 public:
  explicit Gate(std::size_t open_max)
      : open_max_(share(open_max, 1)),
        proven_max_(open_max_ - (open_max_ == 1 ? 0 : share(open_max_, 8))),
        trial_max_(share(open_max_, 2)) {}

  struct Party;
  struct Started {
    Waiting waiting;
    Party* party;
    bool is_proven;
  };

  // Its turn comes with next().
  void add(const Claimant& claimant, Waiting waiting) {
    Party& party = party_of(claimant);
    ++waiting_;
    if (!claimant.standing.is_proven) {
      party.trials.emplace(std::pair(claimant.standing.failures, trials_added_++),
                           std::move(waiting));
      ++waiting_trials_;
      line_up(party);
      return;
    }
    if (party.lines.empty()) side_of(party).turns.push_back(&party);
    party.add(claimant.destination, std::move(waiting));
  }
  // Whose turn it is, and counted as open from now on; nothing when nobody waits or may start.
  [[nodiscard]] std::optional<Started> next() {
    if (open_proven_ + open_trials_ >= open_max_) return std::nullopt;
    // Where there is no room for both at once, they take turns.
    const bool is_trials_turn = proven_in_a_row_ >= kProvenInARow;
    if (is_trials_turn) {
      if (auto trial = next_trial()) return trial;
    }
    if (auto proven = next_proven()) return proven;
    return is_trials_turn ? std::nullopt : next_trial();
  }
  // A trial waits that an open one of `party` with so many failures should make room for, once that
  // has had its chance: who is new before who failed, and at a start, when all are new, each after
  // the other. Among those that failed nobody is displaced: a slow server has its whole timeout
  // then. What waits for its own party's places can use no other's.
  [[nodiscard]] bool may_displace(const Party& party, std::uint32_t open_failures) const noexcept {
    const auto makes_room_for = [open_failures](std::uint32_t waiting) {
      return waiting < open_failures || (waiting == 0 && open_failures == 0);
    };
    return (!turns_.empty() && makes_room_for(turns_.begin()->first.failures)) ||
           (!party.trials.empty() && makes_room_for(party.trials.begin()->first.first));
  }
  [[nodiscard]] std::size_t waiting_trials() const noexcept { return waiting_trials_; }
  // What next() gave.
  void ended(Party* party, bool is_proven) {
    if (is_proven) {
      --open_proven_;
      --side_of(*party).open;
      --party->open;
    } else {
      --open_trials_;
      --party->open_trials;
      line_up(*party);
    }
    forget_if_idle(*party);
  }
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
  // All that waits and all that is open.
  void clear() noexcept {
    parties_.clear();
    turns_.clear();
    sides_ = {};
    open_proven_ = open_trials_ = waiting_ = waiting_trials_ = 0;
  }

  // The order of parties: by their first trial.
  struct Turn {
    std::uint32_t failures;
    std::size_t open;     // trials of the party
    std::uint64_t added;  // before or after others
    bool operator<(const Turn& other) const noexcept {
      return std::tie(failures, open, added) < std::tie(other.failures, other.open, other.added);
    }
  };

  struct Party {
    struct Line {
      std::string destination;
      std::deque<Waiting> waiting;
    };
    void add(std::string_view destination, Waiting waiting) {
      const auto found = std::find_if(lines.begin(), lines.end(), [&](const Line& line) {
        return line.destination == destination;
      });
      Line& line =
          found != lines.end() ? *found : lines.emplace_back(Line{std::string(destination), {}});
      line.waiting.push_back(std::move(waiting));
    }
    // Of its destinations' each has its turn as well.
    Waiting take() {
      Line line = std::move(lines.front());
      lines.pop_front();
      Waiting taken = std::move(line.waiting.front());
      line.waiting.pop_front();
      if (!line.waiting.empty()) lines.push_back(std::move(line));
      return taken;
    }

    std::string key;
    bool is_tenants = false;
    std::deque<Line> lines;  // proven; none is empty
    // That wait, by failures, then in their order.
    std::map<std::pair<std::uint32_t, std::uint64_t>, Waiting> trials;
    std::optional<Turn> turn;  // in turns_; none when no trial waits or as many are open as may be
    std::size_t open = 0;      // proven
    std::size_t open_trials = 0;
  };

 private:
  static constexpr std::size_t kProvenInARow = 64;

  struct Side {
    std::deque<Party*> turns;  // those with lines
    std::size_t open = 0;      // proven
  };

  static constexpr std::size_t share(std::size_t of, std::size_t parts) {
    return std::max<std::size_t>(1, of / parts);
  }

  Side& side_of(const Party& party) { return sides_[party.is_tenants ? 1 : 0]; }

  Party& party_of(const Claimant& claimant) {
    std::string key = party_name(claimant.destination, claimant.is_tenants);
    Party& party = parties_[key];
    party.key = std::move(key);
    party.is_tenants = claimant.is_tenants;
    return party;
  }
  void forget_if_idle(Party& party) {
    const bool is_idle =
        party.open == 0 && party.open_trials == 0 && party.lines.empty() && party.trials.empty();
    if (is_idle) parties_.erase(std::string(party.key));
  }

  // The party's turn follows from what waits and what is open of it.
  void line_up(Party& party) {
    if (party.turn) turns_.erase(*party.turn);
    party.turn.reset();
    if (party.trials.empty() || party.open_trials >= share(trial_max_, 4)) return;
    const auto& [failures, added] = party.trials.begin()->first;
    party.turn = Turn{.failures = failures, .open = party.open_trials, .added = added};
    turns_.emplace(*party.turn, &party);
  }
  std::optional<Started> next_trial() {
    if (turns_.empty() || open_trials_ >= trial_max_) return std::nullopt;
    Party& party = *turns_.begin()->second;
    auto first = party.trials.extract(party.trials.begin());
    ++party.open_trials;
    line_up(party);
    ++open_trials_;
    --waiting_;
    --waiting_trials_;
    proven_in_a_row_ = 0;
    return Started{std::move(first.mapped()), &party, false};
  }

  // The two sides in turns, then the parties of one.
  std::optional<Started> next_proven() {
    for (std::size_t tried = 0; tried < sides_.size(); ++tried) {
      Side& side = sides_[next_side_];
      const bool is_tenants = next_side_ == 1;
      next_side_ = 1 - next_side_;
      if (Party* const party = next_party(side, is_tenants)) return start(side, *party);
    }
    return std::nullopt;
  }
  // Whoever is passed over has some open: the walk is no longer than there are places.
  Party* next_party(Side& side, bool is_tenants) {
    std::size_t left = proven_max_ - std::min(proven_max_, open_proven_);
    if (is_tenants) {
      const std::size_t tenants_max = share(open_max_, 2);
      left = std::min(left, tenants_max - std::min(tenants_max, side.open));
    }
    const std::size_t open_max = std::min(share(open_max_, 8), left);
    if (open_max == 0) return nullptr;
    const auto found =
        std::find_if(side.turns.begin(), side.turns.end(),
                     [open_max](const Party* party) { return party->open < open_max; });
    if (found == side.turns.end()) return nullptr;
    Party* const party = *found;
    side.turns.erase(found);
    return party;
  }
  Started start(Side& side, Party& party) {
    Started started{party.take(), &party, true};
    if (!party.lines.empty()) side.turns.push_back(&party);
    ++party.open;
    ++side.open;
    ++open_proven_;
    ++proven_in_a_row_;
    --waiting_;
    return started;
  }

  const std::size_t open_max_;
  const std::size_t proven_max_;
  const std::size_t trial_max_;
  std::size_t open_proven_ = 0;
  std::size_t open_trials_ = 0;
  std::size_t waiting_ = 0;
  std::size_t next_side_ = 0;
  std::size_t proven_in_a_row_ = 0;  // since a trial had its turn
  std::size_t waiting_trials_ = 0;
  std::uint64_t trials_added_ = 0;
  std::map<std::string, Party> parties_;  // those that wait or have something open
  std::array<Side, 2> sides_;             // the operator's, the tenants'
  std::map<Turn, Party*> turns_;          // of parties with trials that may start
};

}  // namespace sidecast
