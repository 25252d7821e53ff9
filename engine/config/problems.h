// What is wrong with a config file, and where. Collected, not thrown: an operator wants every
// mistake of a file at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sidecast {

// Counted from 1; columns are characters. 0:0 is the file as a whole.
struct Position {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

struct ConfigProblem {
  Position position;
  std::string message;  // one line: what is wrong; what to do. Never a secret.
};

// "FILE:LINE:COLUMN: message"
[[nodiscard]] std::string problem_line(const std::string& file, const ConfigProblem& problem);

class Problems {
 public:
  // Messages are made one printable line.
  void error(Position position, std::string_view message);
  void warning(Position position, std::string_view message);

  [[nodiscard]] std::size_t error_count() const noexcept { return errors_.size(); }
  // Looking further would report nothing more.
  [[nodiscard]] bool is_full() const noexcept { return errors_.size() == kProblemsMax; }
  // In the order of the file.
  [[nodiscard]] std::vector<ConfigProblem> take_errors();
  [[nodiscard]] std::vector<ConfigProblem> take_warnings();

 private:
  // A file of 16 MiB can hold millions of mistakes; nobody reads more than the first of each kind.
  static constexpr std::size_t kProblemsMax = 100;

  std::vector<ConfigProblem> errors_;
  std::vector<ConfigProblem> warnings_;
};

}  // namespace sidecast
