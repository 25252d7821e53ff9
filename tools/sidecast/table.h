// A table for people: columns as wide as their widest cell, numbers to the right, colour where a
// cell asks for it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sidecast {

class Style;

enum class Align { kLeft, kRight };
enum class Tone { kPlain, kGood, kWarn, kBad };

struct Column {
  std::string_view title;
  Align align = Align::kRight;
};

struct Cell {
  std::string text;
  Tone tone = Tone::kPlain;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as there are columns.
  void add_row(std::vector<Cell> cells);
  [[nodiscard]] bool is_empty() const noexcept { return rows_.empty(); }
  // Title line and rows, each ended by a newline.
  [[nodiscard]] std::string render(const Style& style) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace sidecast
