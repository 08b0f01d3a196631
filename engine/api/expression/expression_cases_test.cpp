// Runs cases.txt, which says how it is written.
#include <weir/expression.hpp>
#include <weir/format.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>

#include <weir/rfc3339.hpp>
#include <weir/shapes.hpp>

namespace weir {
namespace {

constexpr std::array shapes{Shape::samples, Shape::brackets, Shape::rows, Shape::events, Shape::other};
constexpr std::array types{Type::int64, Type::float64, Type::boolean, Type::timestamp, Type::string, Type::dictionary};

template <typename T>
T named(std::span<const T> all, std::string_view name) {
  const auto found = std::ranges::find_if(all, [&](T one) { return to_string(one) == name; });
  EXPECT_NE(found, all.end()) << name;
  return found == all.end() ? all.front() : *found;
}

/// The words of a line; what stands in '…' is one.
std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out;
  for (std::size_t at = 0; (at = line.find_first_not_of(' ', at)) != std::string_view::npos;) {
    const std::size_t end = line[at] == '\'' ? line.find('\'', at + 1) + 1 : std::min(line.find(' ', at), line.size());
    out.emplace_back(line.substr(at, end - at));
    at = end;
  }
  return out;
}

/// A column whose NULLs have something beneath that must not matter.
Column column_of(Type type, std::span<const std::string> values) {
  std::vector<std::int64_t> wholes;
  std::vector<double> reals;
  std::vector<std::uint8_t> truths;
  Texts texts;
  Ids ids;
  const auto table = std::make_shared<Dictionary>();
  Validity valid;
  for (const std::string& value : values) {
    const bool null = value == "NULL";
    const std::string_view text = null ? "?" : std::string_view{value}.substr(1, value.size() - 2);
    valid.push(!null, reals.size());
    wholes.push_back(-1);
    if (type == Type::int64 && !null) wholes.back() = std::stoll(value);
    if (type == Type::timestamp) wholes.back() = null ? 5 : parse_rfc3339(value).value();
    reals.push_back(null || type != Type::float64 ? std::numeric_limits<double>::quiet_NaN() : std::stod(value));
    truths.push_back(null || value == "true" ? 1 : 0);
    texts.push(text);
    ids.ids.push_back(null ? 99 : *table->intern(text));
  }
  ids.dictionary = table;
  if (type == Type::int64) return Column::int64(wholes, valid);
  if (type == Type::float64) return Column::float64(reals, valid);
  if (type == Type::boolean) return Column::boolean(truths, valid);
  if (type == Type::timestamp) return Column::timestamp(wholes, valid);
  return type == Type::string ? Column::string(texts, valid) : Column::dictionary(ids, valid);
}

std::string shown(const Column& column, std::size_t row) {
  if (!column.valid(row)) return "NULL";
  if (column.type() == Type::float64 && std::isnan(column.float64s()[row])) return "nan";  // of either sign
  if (column.type() == Type::float64) return weir::format("{}", column.float64s()[row]);
  if (column.type() == Type::boolean) return column.booleans()[row] != 0 ? "true" : "false";
  if (column.type() == Type::int64 || column.type() == Type::timestamp) return std::to_string(column.int64s()[row]);
  return weir::format("'{}'", column.text(row));
}

struct Table {
  std::shared_ptr<Schema> schema = std::make_shared<Schema>();
  std::vector<Column> columns;
  std::size_t rows = 0;

  void add(std::string_view line) {
    const auto parts = words(line);
    ASSERT_GE(parts.size(), 3U) << line;
    const Type type = named<Type>(types, parts[1]);
    schema->columns.push_back({parts[0], type});
    const bool absent = parts[2] == "absent";
    columns.push_back(absent ? Column{} : column_of(type, std::span{parts}.subspan(2)));
    if (!absent) rows = parts.size() - 2;
  }

  BatchPtr batch(std::size_t begin, std::size_t end) const {
    auto out = std::make_shared<Batch>();
    out->schema = schema;
    out->rows = end - begin;
    for (const Column& column : columns) out->columns.push_back(column.absent() ? column : column.slice(begin, end));
    for (std::size_t row = begin; row < end; ++row) out->arrival.push_back(static_cast<Timestamp>(row + 1) * second);
    return out;
  }

  /// In batches of so many rows.
  std::string values(const Expression& expression, std::size_t batch_rows) const {
    History history{1000 * second};
    const auto bound = expression.bind(*schema, &history);
    if (!bound) return weir::format("{}: {}", bound.error().offset, bound.error().message);
    Expression::Evaluation evaluation{&history};
    std::string out;
    for (std::size_t begin = 0; begin < rows; begin += batch_rows) {
      const BatchPtr in = batch(begin, std::min(rows, begin + batch_rows));
      history.begin(*in);
      const Column column = bound->evaluate(*in, evaluation);
      for (std::size_t row = 0; row < in->rows; ++row) out += (out.empty() ? "" : " ") + shown(column, row);
    }
    return evaluation.undefined == 0 ? out : out + weir::format(" ({} undefined)", evaluation.undefined);
  }

  std::string result(std::string_view text, std::size_t batch_rows) const {
    const auto compiled = Expression::compile(text);
    if (!compiled) return weir::format("{}: {}", compiled.error().offset, compiled.error().message);
    return values(*compiled, batch_rows);
  }

  std::string type(std::string_view text) const {
    History history{1};
    const auto bound = Expression::compile(text).and_then([&](const auto& e) { return e.bind(*schema, &history); });
    return bound ? std::string{to_string(bound->type())} : bound.error().message;
  }
};

/// Where a case's line is cut in two.
std::optional<std::pair<std::string_view, std::string_view>> cut(std::string_view line, std::string_view at) {
  const auto found = line.find(at);
  if (found == std::string_view::npos) return {};
  return std::pair{line.substr(0, found), line.substr(found + at.size())};
}

TEST(ExpressionCases, GiveWhatTheySay) {
  std::ifstream file{WEIR_SOURCE_DIR "/engine/api/expression/cases.txt"};
  ASSERT_TRUE(file);
  std::string line;
  while (std::getline(file, line) && !line.starts_with("columns")) {
  }
  Table table;
  std::size_t cases = 0;
  do {
    if (line.starts_with("columns ")) {
      table = {};
      table.schema->shape = named<Shape>(shapes, line.substr(8));
    } else if (line.starts_with("| ")) {
      table.add(line.substr(2));
    } else if (const auto typed = cut(line, " :: ")) {
      EXPECT_EQ(table.type(typed->first), typed->second) << line;
    } else if (const auto each = cut(line, " => ")) {
      ++cases;
      EXPECT_EQ(table.result(each->first, table.rows), each->second) << line;
      EXPECT_EQ(table.result(each->first, 1), each->second) << line << ", row by row";
    } else {
      EXPECT_TRUE(line.empty() || line.starts_with("#")) << line;
    }
  } while (std::getline(file, line));
  EXPECT_GT(cases, 250U);
}

TEST(ExpressionCases, TheReadmeListsEveryFunction) {
  std::ifstream file{WEIR_SOURCE_DIR "/operators/README.md"};
  const std::string page{std::istreambuf_iterator<char>{file}, {}};
  std::istringstream functions{Expression::functions()};
  std::string name, doc;
  while (std::getline(functions, name) && std::getline(functions, doc)) {
    const std::string line = weir::format("| `{}` | {} |", name.substr(4), doc.substr(8));
    EXPECT_TRUE(page.contains(line)) << line;
  }
}

}  // namespace
}  // namespace weir
