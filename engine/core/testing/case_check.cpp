#include "core/testing/case_check.hpp"

#include <algorithm>
#include <ranges>
#include <tuple>

#include <weir/dead_letter.hpp>
#include <weir/format.hpp>

namespace weir {
namespace {

/// Some columns of rows, in the order that a table names them.
std::pair<Table, std::vector<Type>> select(const CaseRows& from, const std::vector<std::string>& columns) {
  Table out{columns, std::vector<TableRow>(from.rows.size())};
  std::vector<Type> types;
  for (const std::string& name : columns) {
    const auto at = static_cast<std::size_t>(std::ranges::find(from.columns, name) - from.columns.begin());
    types.push_back(from.types[at]);
    for (std::size_t row = 0; row < from.rows.size(); ++row) out.rows[row].cells.push_back(from.rows[row][at]);
  }
  return {std::move(out), std::move(types)};
}

/// What to do if the script ends before a timer that a minute more would reach; later ones only forget what is old.
std::string cut_off(const CaseOutcome& outcome) {
  if (!outcome.due || *outcome.due > outcome.end + minute) return {};
  return weir::format(
      "the script ends at {}, and what is due at {} is not done: nothing closes a tick after the end; add "
      "{{ \"advance\": \"60s\" }}\n",
      format_instant(outcome.end), format_instant(*outcome.due));
}

/// What an expectation of rows or dead letters names, beside what there is of it in the same columns.
struct Sides {
  Table want, got;
  std::vector<Type> types;
};

Sides sides_of(const CaseExpectation& expectation, const CaseOutcome& outcome) {
  const bool letters = expectation.what == CaseExpectation::What::dead_letters;
  const CaseRows& rows = letters ? outcome.dead_letters : outcome.rows.at({expectation.node, expectation.port});
  Sides out;
  out.want = expectation.rows.table;
  if (out.want.columns.empty()) out.want.columns = letters ? std::vector<std::string>{"node", "reason"} : rows.columns;
  std::tie(out.got, out.types) = select(rows, out.want.columns);
  return out;
}

std::string check_rows(const CaseExpectation& expectation, const CaseOutcome& outcome) {
  const bool letters = expectation.what == CaseExpectation::What::dead_letters;
  const auto [want, got, types] = sides_of(expectation, outcome);
  const std::string diff = diff_tables(want, got, types);
  if (diff.empty()) return {};
  const bool short_of = !letters && got.rows.size() < want.rows.size();
  return weir::format("{} differ (- expected, + got)\n{}{}", letters ? "dead letters" : "rows of " + expectation.name,
                      diff, short_of ? cut_off(outcome) : "");
}

std::string check_contains(const CaseExpectation& expectation, const CaseOutcome& outcome) {
  const auto [want, got, types] = sides_of(expectation, outcome);
  Table missing{want.columns, {}};
  auto from = got.rows.begin();
  for (const TableRow& row : want.rows) {
    const auto found =
        std::find_if(from, got.rows.end(), [&](const TableRow& there) { return row_matches(row, there, types); });
    if (found == got.rows.end()) {
      missing.rows.push_back(row);
    } else {
      from = found + 1;
    }
  }
  if (missing.rows.empty()) return {};
  return weir::format("{} of {} rows are not among the {} of {}, in this order\n{}{}", missing.rows.size(),
                      want.rows.size(), got.rows.size(), expectation.name, show_table(missing, '-'), cut_off(outcome));
}

std::string check_state(const CaseExpectation& expectation, const CaseOutcome& outcome) {
  const auto found =
      std::ranges::find(outcome.sizes, expectation.node, &std::pair<std::size_t, Transform::Size>::first);
  const std::size_t keys = found == outcome.sizes.end() ? 0 : found->second.keys;
  if (keys == expectation.count) return {};
  return weir::format("{} holds {} keys, expected {}\n", expectation.name, keys, expectation.count);
}

std::string check_acknowledged(const CaseExpectation& expectation, const CaseOutcome& outcome) {
  if (outcome.acknowledged == expectation.count) return {};
  return weir::format("{} samples and messages are acknowledged, expected {}\n", outcome.acknowledged,
                      expectation.count);
}

std::string check_counter(const CaseExpectation& expectation, const Pipeline& pipeline, const CaseOutcome& outcome) {
  std::uint64_t sum = 0;
  std::vector<Counters::Line> all = outcome.counters;
  all.append_range(outcome.counters_of_commits);
  for (const Counters::Line& line : all) {
    if (line.node != pipeline.nodes[expectation.node].id || line.name != expectation.counter) continue;
    if (expectation.reason.empty() || expectation.reason == line.reason) sum += line.value;
  }
  if (sum == expectation.count) return {};
  const std::string of_reason = expectation.reason.empty() ? "" : " (" + expectation.reason + ")";
  return weir::format("{}{} is {}, expected {}\n", expectation.name, of_reason, sum, expectation.count);
}

std::uint64_t value_of(const std::vector<Counters::Line>& lines, const Counters::Line& of) {
  const auto same = std::ranges::find_if(lines, [&](const Counters::Line& line) { return line.same_counter(of); });
  return same == lines.end() ? 0 : same->value;
}

std::string differ_in_counters(const std::vector<Counters::Line>& one, const std::vector<Counters::Line>& other) {
  std::vector<Counters::Line> all = one;
  all.append_range(other);
  for (const Counters::Line& line : all) {
    const std::uint64_t a = value_of(one, line), b = value_of(other, line);
    if (a != b) return weir::format("{}.{} is {}, not {}\n", line.node, line.name, b, a);
  }
  return {};
}

std::string differ_in_state(const CaseOutcome& one, const CaseOutcome& other, const Pipeline& pipeline) {
  for (std::size_t i = 0; i < one.sizes.size(); ++i) {
    const auto& [node, size] = one.sizes[i];
    if (size.keys == other.sizes[i].second.keys) continue;
    return weir::format("{} holds {} keys, not {}\n", pipeline.nodes[node].id, other.sizes[i].second.keys, size.keys);
  }
  if (one.acknowledged == other.acknowledged) return {};
  return weir::format("{} samples and messages are acknowledged, not {}\n", other.acknowledged, one.acknowledged);
}

}  // namespace

std::string check(const CaseExpectation& expectation, const Pipeline& pipeline, const CaseOutcome& outcome) {
  using enum CaseExpectation::What;
  switch (expectation.what) {
    case rows:
    case dead_letters:
      return check_rows(expectation, outcome);
    case contains:
      return check_contains(expectation, outcome);
    case counter:
      return check_counter(expectation, pipeline, outcome);
    case state:
      return check_state(expectation, outcome);
    case acknowledged:
      return check_acknowledged(expectation, outcome);
  }
  return {};
}

std::string check_no_letters(const Pipeline& pipeline, const CaseOutcome& outcome) {
  CaseExpectation none;
  none.what = CaseExpectation::What::dead_letters;
  return check(none, pipeline, outcome);
}

std::string rows_text(const CaseExpectation& expectation, const CaseOutcome& outcome) {
  const std::string shown = show_table(sides_of(expectation, outcome).got, ' ');
  std::string out;
  for (const auto line : shown | std::views::split('\n')) {
    const std::string_view text{line};
    if (!text.empty()) out += std::string{text.substr(2)} + "\n";
  }
  return out;
}

std::string compare(const CaseOutcome& one, const CaseOutcome& other, const Pipeline& pipeline, bool commits) {
  if (one.error != other.error) return other.error.empty() ? "no error\n" : other.error + "\n";
  const auto differ = [](const CaseRows& a, const CaseRows& b, const std::string& name) {
    const auto same = [](const TableCell& x, const TableCell& y) { return x.null == y.null && x.text == y.text; };
    const auto same_rows = [&](const CaseRows::Cells& x, const CaseRows::Cells& y) {
      return std::ranges::equal(x, y, same);
    };
    if (std::ranges::equal(a.rows, b.rows, same_rows)) return std::string{};
    const auto [left, types] = select(a, a.columns);
    const auto [right, types_too] = select(b, a.columns);
    const std::string diff = diff_tables(left, right, types);
    return weir::format("{}\n{}", name, diff.empty() ? "the last digits of numbers differ\n" : diff);
  };
  for (const auto& [port, rows] : one.rows) {
    const std::string name = place_of(pipeline, {port.first, port.second});
    if (auto diff = differ(rows, other.rows.at(port), name); !diff.empty()) return diff;
  }
  if (auto diff = differ(one.dead_letters, other.dead_letters, "dead letters"); !diff.empty()) return diff;
  if (auto diff = differ_in_counters(one.counters, other.counters); !diff.empty()) return diff;
  if (commits) {
    const auto of_nodes = [](std::vector<Counters::Line> lines) {
      std::erase_if(lines, [](const Counters::Line& line) { return line.node.empty(); });
      return lines;
    };
    auto diff = differ_in_counters(of_nodes(one.counters_of_commits), of_nodes(other.counters_of_commits));
    if (!diff.empty()) return diff;
  }
  return differ_in_state(one, other, pipeline);
}

}  // namespace weir
