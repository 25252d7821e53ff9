#include "tools/sidecast/table.h"

#include <algorithm>
#include <utility>

#include "engine/base/assert.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

// Code points: near enough for names and numbers.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
  }));
}

std::string paint(const Style& style, Tone tone, std::string_view text) {
  switch (tone) {
    case Tone::kGood:
      return style.good(text);
    case Tone::kWarn:
      return style.warn(text);
    case Tone::kBad:
      return style.bad(text);
    case Tone::kPlain:
      break;
  }
  return std::string(text);
}

}  // namespace

void Table::add_row(std::vector<Cell> cells) {
  SIDECAST_ASSERT(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::render(const Style& style) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = width_of(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, width_of(row[i].text));
    widths.push_back(width);
  }
  std::string out;
  const auto add_line = [&](const auto& text_of, const auto& painted) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string padding(widths[i] - width_of(text_of(i)), ' ');
      if (i > 0) line += "  ";
      if (columns_[i].align == Align::kRight) line += padding;
      line += painted(i);
      if (columns_[i].align == Align::kLeft && i + 1 < columns_.size()) line += padding;
    }
    out += line + "\n";
  };
  add_line([&](std::size_t i) { return columns_[i].title; },
           [&](std::size_t i) { return style.dim(columns_[i].title); });
  for (const auto& row : rows_) {
    add_line([&](std::size_t i) { return std::string_view(row[i].text); },
             [&](std::size_t i) { return paint(style, row[i].tone, row[i].text); });
  }
  return out;
}

}  // namespace sidecast
