#include "engine/config/problems.h"

#include <algorithm>

#include <fmt/format.h>

namespace sidecast {
namespace {

std::vector<ConfigProblem> in_file_order(std::vector<ConfigProblem> problems) {
  std::stable_sort(problems.begin(), problems.end(),
                   [](const ConfigProblem& left, const ConfigProblem& right) {
                     return left.position < right.position;
                   });
  return problems;
}

}  // namespace

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
