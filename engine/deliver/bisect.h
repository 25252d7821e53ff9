// Bisect: a batch was refused for what is in it; which of its records are to blame? Both halves of
// a refused piece are sent, one after the other:
//
//   one is refused        go on with that one: ends at the guilty record, its neighbours are kept
//   both, for the content the whole piece is rejected: then it is hardly one record
//   both, for the size    go on with both: the limit may be below a half
//   none                  only their sum is too large: the limit is learnt, and what is left is cut
//                         by it without further search
//
// At most 2 log2(n) + 8 requests search; after that, what is known to be refused is rejected. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace sidecast {

class Bisect {
 public:
  enum class Cause { kSize, kContent };
  // Records [first, first + count) of the batch.
  struct Piece {
    std::size_t first = 0;
    std::size_t count = 0;
    bool operator==(const Piece&) const = default;
  };

  // Of a batch of at least two records that was refused as a whole.
  Bisect(Cause cause, std::vector<std::uint64_t> record_bytes);

  // What to send next, until it is answered; nothing when all is decided.
  [[nodiscard]] std::optional<Piece> next() const;
  void accepted() { answer(Answer::kAccepted); }
  void refused() { answer(Answer::kRefused); }
  void gone() { answer(Answer::kGone); }  // dropped, or rejected for another reason

  // What is refused for good, since the last call.
  [[nodiscard]] std::vector<Piece> take_rejected();

  // The bytes that a request may have, when the answers prove that there is a limit.
  [[nodiscard]] std::optional<std::uint64_t> limit_bytes() const noexcept { return limit_bytes_; }
  // Nothing was accepted, and not every record was tried by itself: more searches of the kind would
  // hardly end better.
  [[nodiscard]] bool is_hopeless() const noexcept { return gave_up_ && !has_accepted_; }

 private:
  enum class Answer { kNone, kAccepted, kRefused, kGone };
  struct Trial {
    Piece piece;
    Answer answer = Answer::kNone;
  };
  [[nodiscard]] std::uint64_t bytes_of(const Piece& piece) const;
  void answer(Answer answer);
  void conclude();
  void open_next();
  void halve(const Piece& piece);
  void cut(const Piece& piece);
  void reject(const Piece& piece);

  Cause cause_;
  std::vector<std::uint64_t> record_bytes_;
  std::size_t halvings_left_;
  std::vector<Piece> refused_;  // several records each, next last
  std::vector<Trial> trials_;   // parts of one refused piece
  std::size_t answered_ = 0;    // of the trials
  bool are_halves_ = false;     // the trials
  std::vector<Piece> rejected_;
  std::optional<std::uint64_t> limit_bytes_;
  bool has_accepted_ = false;
  bool gave_up_ = false;
};

// `pieces` of consecutive records of at most `limit_bytes` each; a larger record is alone.
[[nodiscard]] std::vector<Bisect::Piece> cut_by_bytes(
    const std::vector<std::uint64_t>& record_bytes, Bisect::Piece whole, std::uint64_t limit_bytes);

}  // namespace sidecast
