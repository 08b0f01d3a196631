#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <utility>

#include <weir/format.hpp>

#include "core/testing/case_table.hpp"

namespace weir {
namespace {

bool same_number(std::string_view want, std::string_view got) {
  const auto a = number_in(want), b = number_in(got);
  if (!a || !b) return want == got;
  if (std::isnan(*a) || std::isnan(*b)) return std::isnan(*a) && std::isnan(*b);
  return *a == *b || std::abs(*a - *b) <= 1e-12 * std::max({1.0, std::abs(*a), std::abs(*b)});
}

/// One line of a diff: ' ' both, '-' only expected, '+' only got.
struct Line {
  char mark;
  const std::vector<TableCell>* cells;
};

/// Aligns two lists by their longest common subsequence; lists too long for that by their equal ends alone.
std::vector<Line> align(const std::vector<TableRow>& want, const std::vector<TableRow>& got,
                        const std::function<bool(std::size_t, std::size_t)>& same) {
  constexpr std::size_t most_pairs = 4'000'000;
  const std::size_t n = want.size(), m = got.size();
  std::size_t head = 0, tail = 0;
  while (head < std::min(n, m) && same(head, head)) ++head;
  while (tail < std::min(n, m) - head && same(n - 1 - tail, m - 1 - tail)) ++tail;

  const std::size_t rows = n - head - tail, columns = m - head - tail;
  const bool small = rows * columns <= most_pairs;
  std::vector<std::vector<std::uint32_t>> longest;  // from (i, j) on
  if (small) longest.assign(rows + 1, std::vector<std::uint32_t>(columns + 1));
  for (std::size_t i = rows; small && i-- > 0;) {
    for (std::size_t j = columns; j-- > 0;) {
      const bool equal = same(head + i, head + j);
      longest[i][j] = equal ? longest[i + 1][j + 1] + 1 : std::max(longest[i + 1][j], longest[i][j + 1]);
    }
  }

  std::vector<Line> out;
  for (std::size_t i = 0; i < head; ++i) out.push_back({' ', &want[i].cells});
  for (std::size_t i = 0, j = 0; i < rows || j < columns;) {
    if (small && i < rows && j < columns && same(head + i, head + j)) {
      out.push_back({' ', &want[head + i].cells});
      ++i, ++j;
    } else if (i < rows && (j == columns || !small || longest[i + 1][j] >= longest[i][j + 1])) {
      out.push_back({'-', &want[head + i++].cells});
    } else {
      out.push_back({'+', &got[head + j++].cells});
    }
  }
  for (std::size_t i = n - tail; i < n; ++i) out.push_back({' ', &want[i].cells});
  return out;
}

std::string written(const TableCell& cell) {
  if (cell.null) return "-";
  if (!cell.text.empty() && cell.text != "-" && cell.text.find_first_of(" \t'") == std::string::npos &&
      !cell.text.contains(".."))
    return cell.text;
  std::string out = "'";
  for (const char c : cell.text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

/// Lays lines out in columns, which are as wide as the widest cell.
class Columns {
 public:
  Columns(const std::vector<std::string>& header, const std::vector<Line>& lines) : header_{header} {
    for (std::size_t c = 0; c < header.size(); ++c) {
      std::size_t width = header[c].size();
      for (const Line& line : lines) width = std::max(width, written((*line.cells)[c]).size());
      widths_.push_back(width);
    }
  }

  std::string header() const {
    return row(' ', [&](std::size_t c) { return header_[c]; });
  }
  std::string line(const Line& line) const {
    return row(line.mark, [&](std::size_t c) { return written((*line.cells)[c]); });
  }

 private:
  template <typename TextOf>
  std::string row(char mark, const TextOf& text_of) const {
    std::string out(1, mark);
    for (std::size_t c = 0; c < widths_.size(); ++c) out += weir::format(" {:<{}} ", text_of(c), widths_[c]);
    out.erase(out.find_last_not_of(' ') + 1);
    return out + "\n";
  }

  const std::vector<std::string>& header_;
  std::vector<std::size_t> widths_;
};

std::string counted(std::size_t rows, std::string_view what) {
  return rows == 0 ? std::string{} : weir::format("  … {} {} row{}\n", rows, what, rows == 1 ? "" : "s");
}

/// Long runs of equal rows are only counted, and so is what differs beyond what anybody reads.
std::string lay_out(const std::vector<std::string>& header, const std::vector<Line>& lines) {
  constexpr std::size_t around = 2;  // equal rows shown on either side of a difference
  constexpr std::size_t most = 60;   // differences
  const auto equal = [](const Line& line) { return line.mark == ' '; };
  const Columns columns{header, lines};
  std::string out = columns.header();
  std::size_t hidden = 0, shown = 0;
  for (std::size_t at = 0; at < lines.size(); ++at) {
    if (shown == most) {
      const auto left = std::span{lines}.subspan(at);
      const auto same = static_cast<std::size_t>(std::ranges::count_if(left, equal));
      return out + counted(hidden, "equal") + counted(left.size() - same, "more different");
    }
    const std::size_t begin = at < around ? 0 : at - around, end = std::min(lines.size(), at + around + 1);
    if (std::all_of(lines.begin() + static_cast<std::ptrdiff_t>(begin),
                    lines.begin() + static_cast<std::ptrdiff_t>(end), equal)) {
      ++hidden;
      continue;
    }
    out += counted(std::exchange(hidden, 0), "equal") + columns.line(lines[at]);
    if (!equal(lines[at])) ++shown;
  }
  return out + counted(hidden, "equal");
}

/// Instants written as the other side writes them.
Table in_one_spelling(Table table, std::span<const Type> types) {
  for (TableRow& row : table.rows) {
    for (std::size_t c = 0; c < row.cells.size(); ++c) {
      if (types[c] != Type::timestamp || row.cells[c].null) continue;
      if (const auto instant = parse_instant(row.cells[c].text)) row.cells[c].text = format_instant(*instant);
    }
  }
  return table;
}

}  // namespace

bool cell_matches(const TableCell& want, const TableCell& got, Type type) {
  if (want.null || got.null) return want.null == got.null;
  if (type == Type::timestamp) return parse_instant(want.text) == parse_instant(got.text);
  if (type != Type::float64) return want.text == got.text;
  std::string_view a = want.text, b = got.text;
  while (true) {
    const std::size_t end_a = a.find('/'), end_b = b.find('/');
    if (!same_number(a.substr(0, end_a), b.substr(0, end_b)) || (end_a == a.npos) != (end_b == b.npos)) return false;
    if (end_a == a.npos) return true;
    a.remove_prefix(end_a + 1);
    b.remove_prefix(end_b + 1);
  }
}

bool row_matches(const TableRow& want, const TableRow& got, std::span<const Type> types) {
  for (std::size_t c = 0; c < types.size(); ++c) {
    if (!cell_matches(want.cells[c], got.cells[c], types[c])) return false;
  }
  return true;
}

std::string show_table(const Table& table, char mark) {
  std::vector<Line> lines;
  for (const TableRow& row : table.rows) lines.push_back({mark, &row.cells});
  const Columns columns{table.columns, lines};
  std::string out = columns.header();
  for (const Line& line : lines) out += columns.line(line);
  return out;
}

std::string diff_tables(const Table& written_want, const Table& got, std::span<const Type> types) {
  const Table want = in_one_spelling(written_want, types);
  const auto same = [&](std::size_t i, std::size_t j) { return row_matches(want.rows[i], got.rows[j], types); };
  const std::vector<Line> lines = align(want.rows, got.rows, same);
  if (std::ranges::all_of(lines, [](const Line& line) { return line.mark == ' '; })) return {};
  return lay_out(want.columns, lines);
}

}  // namespace weir
