#include "clients/table.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include <weir/ascii.hpp>
#include <weir/format.hpp>

namespace weir::sql {
namespace {

constexpr std::size_t longest_name = 63;
constexpr std::size_t most_columns = 1600;

Result<void> check_name(std::string_view name, std::string_view what) {
  if (name.empty()) return fail(Error::Kind::invalid, weir::format("{} has an empty name", what));
  if (name.size() > longest_name) {
    return fail(Error::Kind::invalid,
                weir::format("{} \"{}\" has {} bytes; a name may have {}", what, name, name.size(), longest_name));
  }
  if (name.contains('\0')) return fail(Error::Kind::invalid, weir::format("{} has a NUL byte in its name", what));
  return {};
}

/// Not every database tells letters' cases apart.
bool is_ours(std::string_view table) {
  return std::ranges::any_of(std::array{progress_table, workers_table, dead_letters_table},
                             [&](std::string_view ours) { return std::ranges::equal(table, ours, {}, lower); });
}

}  // namespace

Result<TableName> parse_table(std::string_view text) {
  TableName table;
  if (const std::size_t dot = text.find('.'); dot != std::string_view::npos) {
    table.schema = text.substr(0, dot);
    text.remove_prefix(dot + 1);
    if (auto good = check_name(table.schema, "the schema"); !good) return std::unexpected(good.error());
  }
  table.name = text;
  if (text.contains('.')) return fail(Error::Kind::invalid, "a table is named \"table\" or \"schema.table\"");
  if (is_ours(text)) {
    return fail(Error::Kind::invalid,
                weir::format("\"{}\" is a table that weir itself keeps beside the rows; name another", text));
  }
  return check_name(text, "the table").transform([&] { return table; });
}

std::vector<Error> naming_problems(const Settings& settings) {
  std::vector<Error> out;
  for (const char* name : {"key_column", "time_column"}) {
    if (settings.text(name).empty()) {
      out.push_back({Error::Kind::invalid, "a column needs a name", name});
    }
  }
  return out;
}

std::vector<TableColumn> table_columns(const Schema& schema, const Naming& naming,
                                       std::string_view (*type_name)(Type)) {
  std::vector<TableColumn> columns;
  for (const ColumnType& column : schema.columns) {
    TableColumn made{.name = column.name, .type = std::string{type_name(column.type)}, .unit = column.unit};
    const std::size_t number = columns.size();
    if (schema.shape == Shape::rows && number <= rows::tick) {
      made.name = number == rows::key ? naming.key : naming.time;
      made.required = true;
    } else if (column.name == "key" || column.name == "time") {
      made.name = column.name == "key" ? naming.key : naming.time;
    }
    columns.push_back(std::move(made));
  }
  return columns;
}

Result<void> check_columns(const std::vector<TableColumn>& columns, std::span<const std::string_view> system) {
  if (columns.empty() || columns.size() > most_columns) {
    return fail(Error::Kind::invalid,
                weir::format("a table can't have {} columns (1 to {})", columns.size(), most_columns));
  }
  std::set<std::string_view> seen;
  for (const TableColumn& column : columns) {
    if (auto good = check_name(column.name, "a column"); !good) return good;
    if (std::ranges::contains(system, column.name)) {
      return fail(
          Error::Kind::invalid,
          weir::format("a column can't be called \"{}\": every table of this database has one of its own by that "
                       "name; publish the field by another name, or leave the column out",
                       column.name));
    }
    if (!seen.insert(column.name).second) {
      return fail(Error::Kind::invalid,
                  weir::format("two columns are called \"{}\"; rename one (key_column, time_column or the field)",
                               column.name));
    }
  }
  return {};
}

std::vector<std::string> first_column(const std::vector<std::vector<std::optional<std::string>>>& rows) {
  std::vector<std::string> out;
  for (const auto& row : rows) out.push_back(row[0].value_or(""));
  return out;
}

std::int64_t number(const std::optional<std::string>& text, std::int64_t otherwise) {
  if (text) std::from_chars(text->data(), text->data() + text->size(), otherwise);
  return otherwise;
}

std::string column_definitions(const std::vector<TableColumn>& columns) {
  std::string out;
  for (const TableColumn& column : columns) {
    out += weir::format("{}{} {}{}", out.empty() ? "" : ", ", quoted(column.name), column.type,
                        column.required ? " NOT NULL" : "");
  }
  return out;
}

std::string column_names(const std::vector<TableColumn>& columns) {
  std::string out;
  for (const TableColumn& column : columns) out += (out.empty() ? "" : ", ") + quoted(column.name);
  return out;
}

Difference compare(const std::string& table, const std::vector<TableColumn>& wanted,
                   const std::vector<TableColumn>& found) {
  Difference out;
  const auto add = [&](std::string words, std::string action) {
    out.words += (out.words.empty() ? "" : "; ") + words;
    out.alter += weir::format("{}ALTER TABLE {} {};", out.alter.empty() ? "" : " ", table, action);
  };
  for (const TableColumn& want : wanted) {
    const auto there = std::ranges::find(found, want.name, &TableColumn::name);
    const std::string name = quoted(want.name);
    if (there == found.end()) {
      add(weir::format("column {} is missing", name), weir::format("ADD COLUMN {} {}", name, want.type));
      if (!want.required) out.missing.push_back(want);
    } else if (there->type != want.type) {
      add(weir::format("column {} is {}, not {}", name, there->type, want.type),
          weir::format("ALTER COLUMN {0} TYPE {1} USING {0}::{1}", name, want.type));
    } else if (there->required && !want.required) {
      add(weir::format("column {} is NOT NULL, but a row may have NULL there", name),
          weir::format("ALTER COLUMN {} DROP NOT NULL", name));
    }
  }
  for (const TableColumn& there : found) {
    const bool known = std::ranges::contains(wanted, there.name, &TableColumn::name);
    if (known || !there.required || there.defaulted) continue;
    const std::string name = quoted(there.name);
    add(weir::format("column {} is NOT NULL without a default, and this pipeline does not write it", name),
        weir::format("ALTER COLUMN {} DROP NOT NULL", name));
  }
  return out;
}

Error Difference::error(std::string_view table) const {
  const auto missing_words = std::ranges::count(words, ';') + 1;
  const bool addable = std::cmp_equal(missing_words, missing.size());
  return {Error::Kind::changed,
          weir::format("table {} differs from what this pipeline writes: {}; change the pipeline,{} or run: {}", table,
                       words, addable ? R"( set "schema": "add-columns",)" : "", alter),
          "table"};
}

std::string add_columns(const std::string& table, const std::vector<TableColumn>& columns) {
  std::string out;
  for (const TableColumn& column : columns)
    out += weir::format("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {};", table, quoted(column.name), column.type);
  return out + comments(table, columns);
}

std::string comments(const std::string& table, const std::vector<TableColumn>& columns) {
  std::string out;
  for (const TableColumn& column : columns) {
    if (column.unit.empty()) continue;
    out += weir::format("COMMENT ON COLUMN {}.{} IS {};", table, quoted(column.name), literal(column.unit));
  }
  return out;
}

Kind schema_kind() { return kind::choice({"check", "add-columns"}); }

bool adds_columns(const Settings& settings) {
  return settings.has("schema") && settings.text("schema") == "add-columns";
}

std::string quoted(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out.append(c == '"' ? 2u : 1u, c);
  return out + '"';
}

std::string literal(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out.append(c == '\'' ? 2u : 1u, c);
  return out + '\'';
}

}  // namespace weir::sql
