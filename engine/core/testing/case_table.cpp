#include "core/testing/case_table.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>
#include <weir/units.hpp>

namespace weir {
namespace {

constexpr std::size_t most_rows = 1'000'000;

// --- Ranges
// --------------------------------------------------------------------------------------------------------------

/// `from..to` or `from..to/step`.
struct Range {
  std::string_view from, to, step;
};

std::optional<Range> range_in(std::string_view cell) {
  const std::size_t dots = cell.find("..");
  if (dots == std::string_view::npos || dots == 0) return {};
  Range out{cell.substr(0, dots), cell.substr(dots + 2), {}};
  if (const std::size_t slash = out.to.find('/'); slash != std::string_view::npos) {
    out.step = out.to.substr(slash + 1);
    out.to = out.to.substr(0, slash);
  }
  const bool times = parse_instant(out.from) && parse_instant(out.to);
  const bool numbers = number_in(out.from) && number_in(out.to);
  if (!times && !numbers) return {};
  return out;
}

constexpr const char* too_many = "a range of more than a million rows";

std::expected<std::size_t, std::string> steps_of(const Range& range) {
  const auto from = parse_instant(range.from), to = parse_instant(range.to), step = parse_instant(range.step);
  double steps = 0;
  if (from && to && step) {
    // Three centuries and more between them are too many nanoseconds for an integer.
    const double most = static_cast<double>(*step) * static_cast<double>(most_rows);
    if (*step > 0 && static_cast<double>(*to) - static_cast<double>(*from) >= most) return std::unexpected(too_many);
    if (*step <= 0 || *to < *from || (*to - *from) % *step != 0) {
      return std::unexpected(
          weir::format("{}..{} is not a whole number of steps of {}", range.from, range.to, range.step));
    }
    const std::int64_t count = (*to - *from) / *step;
    steps = static_cast<double>(count);
  } else {
    const auto first = number_in(range.from), last = number_in(range.to), by = number_in(range.step);
    if (!first || !last || !by || *by == 0)
      return std::unexpected("a range is written from..to/step, all instants or all numbers");
    steps = (*last - *first) / *by;
    if (steps < 0 || std::abs(steps - std::round(steps)) > 1e-9 * std::max(1.0, steps)) {
      return std::unexpected(
          weir::format("{}..{} is not a whole number of steps of {}", range.from, range.to, range.step));
    }
    steps = std::round(steps);
  }
  if (!(steps < static_cast<double>(most_rows))) return std::unexpected(too_many);
  return static_cast<std::size_t>(steps) + 1;
}

std::string cell_in_range(const Range& range, std::size_t i, std::size_t count) {
  const std::size_t last = std::max<std::size_t>(count - 1, 1);
  const auto from = parse_instant(range.from), to = parse_instant(range.to);
  if (from && to) {
    const auto way = static_cast<__int128_t>(*to - *from) * static_cast<__int128_t>(i) / static_cast<__int128_t>(last);
    return format_instant(*from + static_cast<Timestamp>(way));
  }
  const double first = *number_in(range.from), end = *number_in(range.to);
  return weir::format("{}", first + (end - first) * static_cast<double>(i) / static_cast<double>(last));
}

// --- Rows
// ----------------------------------------------------------------------------------------------------------------

struct Word {
  std::string text;
  std::size_t offset = 0;
  bool quoted = false;
};

std::expected<std::vector<Word>, TableError> words_of(std::string_view line) {
  std::vector<Word> out;
  std::size_t at = 0;
  while ((at = std::min(line.find_first_not_of(" \t", at), line.size())) < line.size()) {
    Word word{{}, at, line[at] == '\''};
    if (!word.quoted) {
      const std::size_t end = std::min(line.find_first_of(" \t", at), line.size());
      word.text = line.substr(at, end - at);
      at = end;
    } else {
      for (++at;; ++at) {
        if (at >= line.size()) return std::unexpected(TableError{0, word.offset, "a quote that is not closed"});
        if (line[at] == '\'' && line.substr(at + 1, 1) != "'") break;
        if (line[at] == '\'') ++at;
        word.text += line[at];
      }
      ++at;
    }
    out.push_back(std::move(word));
  }
  return out;
}

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t comma = text.find(',');
    out.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return out;
    text.remove_prefix(comma + 1);
  }
}

TableCell plain_cell(const Word& word) { return {word.text, !word.quoted && word.text == "-", word.quoted}; }

/// The rows that one text stands for.
std::expected<void, TableError> expand(const std::vector<Word>& words, std::size_t line, Table& out) {
  std::size_t count = 1;
  bool stepped = false;
  for (const Word& word : words) {
    const auto range = word.quoted ? std::nullopt : range_in(word.text);
    if (!range || range->step.empty()) continue;
    const auto steps = steps_of(*range);
    if (!steps) return std::unexpected(TableError{line, word.offset, steps.error()});
    if (stepped && *steps != count) {
      return std::unexpected(
          TableError{line, word.offset, weir::format("{} rows here, {} in a range before", *steps, count)});
    }
    count = *steps;
    stepped = true;
  }
  const std::size_t first = out.rows.size();
  for (std::size_t i = 0; i < count; ++i) out.rows.push_back({{}, line});
  for (const Word& word : words) {
    const auto range = stepped && !word.quoted ? range_in(word.text) : std::nullopt;
    const auto list = split_list(word.text);
    const bool listed = stepped && !word.quoted && list.size() > 1;
    if (listed && list.size() != count) {
      return std::unexpected(TableError{line, word.offset, weir::format("{} values for {} rows", list.size(), count)});
    }
    for (std::size_t i = 0; i < count; ++i) {
      TableCell cell = plain_cell(word);
      if (range) cell.text = cell_in_range(*range, i, count);
      if (listed) cell = {std::string{list[i]}, list[i] == "-", false};
      out.rows[first + i].cells.push_back(std::move(cell));
    }
  }
  return {};
}

}  // namespace

std::optional<Timestamp> parse_instant(std::string_view text) {
  if (text == "0") return 0;
  const bool negative = text.starts_with('-');
  if (const auto length = parse_duration(text.substr(negative ? 1 : 0))) return negative ? -*length : *length;
  return parse_rfc3339(text);
}

std::string format_instant(Timestamp time) {
  constexpr Timestamp year_2000 = 946'684'800 * second;
  if (time == no_time) return "never";
  if (time >= year_2000) return format_rfc3339(time);
  return time < 0 ? "-" + format_duration(-time) : format_duration(time);
}

std::expected<Table, TableError> read_table(std::span<const std::string> lines) {
  Table out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    auto words = words_of(lines[i]);
    if (!words) return std::unexpected(TableError{i, words.error().offset, words.error().message});
    if (i == 0) {
      for (const Word& word : *words) {
        if (std::ranges::contains(out.columns, word.text)) {
          return std::unexpected(TableError{0, word.offset, weir::format("column {} twice", quoted(word.text))});
        }
        out.columns.push_back(word.text);
      }
      if (out.columns.empty()) return std::unexpected(TableError{0, 0, "the first line names no column"});
      continue;
    }
    if (words->size() != out.columns.size()) {
      return std::unexpected(
          TableError{i, 0, weir::format("{} cells for {} columns", words->size(), out.columns.size())});
    }
    if (auto expanded = expand(*words, i, out); !expanded) return std::unexpected(expanded.error());
    if (out.rows.size() > most_rows) return std::unexpected(TableError{i, 0, "a table of more than a million rows"});
  }
  return out;
}

std::optional<double> number_in(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

TableCell cell_of(const Column& column, std::size_t row) {
  TableCell out;
  if (!column.valid(row)) return {"-", true, false};
  switch (column.type()) {
    case Type::int64:
      out.text = weir::format("{}", column.int64s()[row]);
      break;
    case Type::float64:
      out.text = weir::format("{}", column.float64s()[row]);
      break;
    case Type::boolean:
      out.text = column.booleans()[row] != 0 ? "true" : "false";
      break;
    case Type::timestamp:
      out.text = format_instant(column.int64s()[row]);
      break;
    default:
      out.text = column.text(row);
  }
  return out;
}

}  // namespace weir
