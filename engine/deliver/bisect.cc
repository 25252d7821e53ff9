#include "engine/deliver/bisect.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "engine/base/assert.h"

namespace sidecast {

// Each halving costs two requests.
Bisect::Bisect(Cause cause, std::vector<std::uint64_t> record_bytes)
    : cause_(cause),
      record_bytes_(std::move(record_bytes)),
      halvings_left_(static_cast<std::size_t>(std::bit_width(record_bytes_.size() - 1)) + 3) {
  SIDECAST_ASSERT(record_bytes_.size() >= 2);
  refused_.push_back({0, record_bytes_.size()});
  open_next();
}

std::optional<Bisect::Piece> Bisect::next() const {
  return answered_ < trials_.size() ? std::optional(trials_[answered_].piece) : std::nullopt;
}

std::vector<Bisect::Piece> Bisect::take_rejected() {
  return std::exchange(rejected_, {});
}

std::uint64_t Bisect::bytes_of(const Piece& piece) const {
  const auto begin = record_bytes_.begin() + static_cast<std::ptrdiff_t>(piece.first);
  return std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(piece.count), std::uint64_t{0});
}

void Bisect::answer(Answer answer) {
  SIDECAST_ASSERT(answered_ < trials_.size());
  trials_[answered_].answer = answer;
  ++answered_;
  if (answer == Answer::kAccepted) has_accepted_ = true;
  if (answered_ == trials_.size()) conclude();
}

void Bisect::conclude() {
  const auto all = [this](Answer answer) {
    return std::all_of(trials_.begin(), trials_.end(),
                       [answer](const Trial& trial) { return trial.answer == answer; });
  };
  if (are_halves_ && all(Answer::kAccepted)) {
    limit_bytes_ = std::max(bytes_of(trials_[0].piece), bytes_of(trials_[1].piece));
  }
  const bool is_alike = are_halves_ && cause_ == Cause::kContent && all(Answer::kRefused);
  for (auto trial = trials_.rbegin(); trial != trials_.rend(); ++trial) {
    if (trial->answer != Answer::kRefused) continue;
    if (is_alike || trial->piece.count == 1) {
      reject(trial->piece);
    } else {
      refused_.push_back(trial->piece);
    }
  }
  open_next();
}

void Bisect::open_next() {
  trials_.clear();
  answered_ = 0;
  while (trials_.empty() && !refused_.empty()) {
    const Piece piece = refused_.back();
    refused_.pop_back();
    if (limit_bytes_ && bytes_of(piece) > *limit_bytes_) {
      cut(piece);
    } else if (halvings_left_ > 0) {
      halve(piece);
    } else {
      reject(piece);
    }
  }
}

void Bisect::halve(const Piece& piece) {
  --halvings_left_;
  are_halves_ = true;
  const std::size_t half = (piece.count + 1) / 2;
  trials_ = {{.piece = {piece.first, half}}, {.piece = {piece.first + half, piece.count - half}}};
}

void Bisect::cut(const Piece& piece) {
  are_halves_ = false;
  for (const Piece& part : cut_by_bytes(record_bytes_, piece, *limit_bytes_)) {
    trials_.push_back({.piece = part});
  }
}

void Bisect::reject(const Piece& piece) {
  gave_up_ = gave_up_ || piece.count > 1;
  rejected_.push_back(piece);
}

std::vector<Bisect::Piece> cut_by_bytes(const std::vector<std::uint64_t>& record_bytes,
                                        Bisect::Piece whole, std::uint64_t limit_bytes) {
  std::vector<Bisect::Piece> pieces;
  std::uint64_t bytes = 0;
  for (std::size_t i = whole.first; i < whole.first + whole.count; ++i) {
    if (pieces.empty() || bytes + record_bytes[i] > limit_bytes) {
      pieces.push_back({i, 0});
      bytes = 0;
    }
    ++pieces.back().count;
    bytes += record_bytes[i];
  }
  return pieces;
}

}  // namespace sidecast
