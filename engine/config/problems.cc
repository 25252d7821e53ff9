#include "engine/config/problems.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "engine/base/utf8.h"

namespace sidecast {
namespace {

std::vector<ConfigProblem> in_file_order(std::vector<ConfigProblem> problems) {
  std::stable_sort(problems.begin(), problems.end(),
                   [](const ConfigProblem& left, const ConfigProblem& right) {
                     return std::tie(left.position.line, left.position.column) <
                            std::tie(right.position.line, right.position.column);
                   });
  return problems;
}

// Messages quote keys and references, which in a hostile file hold anything.
std::string shown(std::string_view message) {
  constexpr std::size_t kMessageBytesMax = 600;
  std::string line(utf8_prefix(message, kMessageBytesMax));
  if (line.size() < message.size()) line += "...";
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return line;
}

}  // namespace

void Problems::error(Position position, std::string_view message) {
  if (!is_full()) errors_.push_back({position, shown(message)});
}

void Problems::warning(Position position, std::string_view message) {
  if (warnings_.size() < kProblemsMax) warnings_.push_back({position, shown(message)});
}

std::string problem_line(const std::string& file, const ConfigProblem& problem) {
  if (problem.position.line == 0) return fmt::format("{}: {}", file, problem.message);
  return fmt::format("{}:{}:{}: {}", file, problem.position.line, problem.position.column,
                     problem.message);
}

std::vector<ConfigProblem> Problems::take_errors() {
  return in_file_order(std::move(errors_));
}

std::vector<ConfigProblem> Problems::take_warnings() {
  return in_file_order(std::move(warnings_));
}

}  // namespace sidecast
