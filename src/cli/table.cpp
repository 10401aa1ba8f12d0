#include "cli/table.h"

#include <algorithm>

#include "base/printable.h"

namespace narrow::cli {
namespace {

/// Columns a terminal needs for UTF-8 text of single-width characters.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

}  // namespace

std::string table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& cells,
                  const std::vector<bool>& right) {
  std::vector<std::vector<std::string>> rows = cells;
  for (auto& row : rows)
    for (std::string& cell : row) cell = printable(cell);  // a line end in a name would break the row
  std::vector<size_t> widths;
  for (size_t c = 0; c < head.size(); ++c) {
    widths.push_back(width_of(head[c]));
    for (const auto& row : rows) widths[c] = std::max(widths[c], width_of(row[c]));
  }
  std::string text;
  const auto add = [&](const std::vector<std::string>& row) {
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - width_of(row[c]), ' ');
      const bool last = c + 1 == row.size();
      text += (right[c] ? padding + row[c] : row[c] + (last ? "" : padding)) + (last ? "\n" : "  ");
    }
  };
  add(head);
  for (const auto& row : rows) add(row);
  return text;
}

}  // namespace narrow::cli
