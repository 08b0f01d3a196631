#include "sinks/duckdb/rows.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <weir/format.hpp>

#include "clients/table.hpp"

namespace weir::duck {
namespace {

/// What lists are made of: f(0), f(1), … with commas between.
template <typename Each>
std::string listed(std::size_t count, Each each, std::string_view between = ", ") {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += (i == 0 ? std::string{} : std::string{between}) + each(i);
  return out;
}

std::string numbered(char letter, std::size_t number) { return weir::format("{}{}", letter, number); }

std::uint64_t count_in(const std::optional<std::string>& text) {
  std::uint64_t out = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), out);
  return out;
}

/// A value as a text that is another one if the value is: of floats all digits, instants in UTC.
std::string as_text(const std::string& value, const std::string& type) {
  if (type != "TIMESTAMP") return weir::format("CAST(CAST({} AS {}) AS VARCHAR)", value, type);
  return weir::format("replace(CAST(CAST(CAST({} AS TIMESTAMPTZ) AS TIMESTAMP) AS VARCHAR), ' ', 'T') || 'Z'", value);
}

std::unexpected<Error> unknown_kind(const std::string& path) {
  return fail(Error::Kind::invalid, path + ": the end of its name does not say what kind of file it is");
}

}  // namespace

KeptTable::KeptTable(File file, std::string schema, std::string table, std::vector<std::string> identity)
    : file_{std::move(file)},
      schema_{std::move(schema)},
      table_{std::move(table)},
      name_{weir::format("{}.{}", sql::quoted(schema_), sql::quoted(table_))},
      identity_{std::move(identity)} {}

Result<std::uint64_t> KeptTable::save(const std::string& path) {
  const std::string how = path.ends_with(".parquet") ? "FORMAT parquet"
                          : path.ends_with(".csv")   ? "FORMAT csv, HEADER"
                          : path.ends_with(".jsonl") ? "FORMAT json"
                                                     : "";
  if (how.empty()) return unknown_kind(path);
  const auto lock = file_.alone();
  if (auto done = prepare(); !done) return std::unexpected(done.error());
  const auto columns = columns_of(name_);
  if (!columns) return std::unexpected(columns.error());
  std::vector<std::string> order = identity_of(*columns);
  for (const Column& column : *columns) {
    if (!std::ranges::contains(order, column.name)) order.push_back(column.name);
  }
  // Texts hold instants as printed rows do: without a zone each reader would take its own.
  const bool texts = !path.ends_with(".parquet");
  const auto written = [&](std::size_t i) {
    const auto& [name, type] = (*columns)[i];
    const std::string quoted = sql::quoted(name);
    return texts && type == "TIMESTAMP" ? as_text(quoted, type) + " AS " + quoted : quoted;
  };
  return file_
      .run(weir::format("COPY (SELECT {} FROM {} AS kept ORDER BY {}) TO {} ({})", listed(columns->size(), written),
                        name_, listed(order.size(), [&](std::size_t i) { return "kept." + sql::quoted(order[i]); }),
                        sql::literal(path), how))
      .and_then([&](const Rows&) { return file_.run("SELECT count(*)::VARCHAR FROM " + name_); })
      .transform([](const Rows& rows) { return count_in(rows.at(0).at(0)); });
}

Result<Comparison> KeptTable::compare(const std::string& expected, std::size_t most) {
  const auto lock = file_.alone();
  if (auto done = prepare(); !done) return std::unexpected(done.error());
  const auto theirs = relation(expected);
  if (!theirs) return std::unexpected(theirs.error());
  const auto ours = columns_of(name_);
  if (!ours) return std::unexpected(ours.error());
  auto there = columns_of(*theirs);
  if (!there) return std::unexpected(there.error());
  const auto identity = identity_of(*ours);
  if (identity.size() < 2)
    return fail(Error::Kind::invalid, weir::format("the rows of {} have no key and time to compare them by", name_));
  Comparison out;
  std::vector<Pair> pairs;
  const auto pair = [&](const Column& column) {
    // Rows printed as JSON call the vehicle "key" and its time "tick", whatever the columns of tables are called.
    std::vector<std::string> names{column.name};
    if (column.name == identity.front()) names.emplace_back("tick");
    if (column.name == identity[1]) names.emplace_back("key");
    for (const std::string& name : names) {
      const auto found = std::ranges::find(*there, name, &Column::name);
      if (found == there->end()) continue;
      pairs.push_back({column, name});
      there->erase(found);
      return true;
    }
    return false;
  };
  for (const std::string& name : identity) {
    if (pair(*std::ranges::find(*ours, name, &Column::name))) continue;
    return fail(Error::Kind::invalid,
                weir::format("{} has no column {}, which says whose rows are whose; its columns "
                             "are: {}",
                             expected, name, listed(there->size(), [&](std::size_t i) { return (*there)[i].name; })));
  }
  for (const Column& column : *ours) {
    if (std::ranges::contains(identity, column.name)) continue;
    if (!pair(column)) out.columns_unexpected.push_back(column.name);
  }
  for (const Column& column : *there) out.columns_missing.push_back(column.name);
  const auto of_file = [&](const Error& error) -> Result<void> {
    return std::unexpected(
        Error{error.kind, error.message.contains(expected) ? error.message : expected + ": " + error.message});
  };
  return pair_up(pairs, identity.size(), *theirs)
      .or_else(of_file)
      .and_then([&] { return count(out); })
      .and_then([&] { return show(pairs, identity.size(), most, out); })
      .transform([&] { return std::move(out); });
}

/// Nothing is fetched from anywhere, and instants are read and shown in UTC.
Result<void> KeptTable::prepare() {
  return file_
      .run("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false; SET TimeZone = 'UTC'")
      .transform([](const Rows&) {});
}

/// What stands behind FROM for the rows of a file.
Result<std::string> KeptTable::relation(const std::string& path) {
  const std::string file = sql::literal(path);
  if (path.ends_with(".parquet")) return weir::format("read_parquet({})", file);
  if (path.ends_with(".csv"))
    return weir::format("read_csv({}, header = true, all_varchar = true, allow_quoted_nulls = false)", file);
  if (path.ends_with(".jsonl")) {
    const auto columns =
        columns_of(weir::format("read_json({}, format = 'newline_delimited', sample_size = -1)", file));
    if (!columns) return std::unexpected(columns.error());
    // As written: no digit is lost.
    return weir::format(
        "read_json({}, format = 'newline_delimited', columns = {{{}}})", file,
        listed(columns->size(), [&](std::size_t i) { return sql::literal((*columns)[i].name) + ": 'VARCHAR'"; }));
  }
  if (!path.ends_with(".duckdb")) return unknown_kind(path);
  return file_.run(weir::format("ATTACH {} AS weir_expected (READ_ONLY)", file)).transform([&](const Rows&) {
    return "weir_expected." + name_;
  });
}

Result<std::vector<KeptTable::Column>> KeptTable::columns_of(const std::string& relation) {
  return file_.run(weir::format("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {})", relation))
      .transform([](const Rows& rows) {
        std::vector<Column> out;
        for (const Row& row : rows) out.push_back({row[0].value_or(""), row[1].value_or("")});
        return out;
      });
}

std::vector<std::string> KeptTable::identity_of(const std::vector<Column>& columns) const {
  std::vector<std::string> out = identity_;
  std::erase_if(out, [&](const std::string& name) { return !std::ranges::contains(columns, name, &Column::name); });
  return out;
}

Result<void> KeptTable::pair_up(const std::vector<Pair>& pairs, std::size_t identifying, const std::string& theirs) {
  const std::size_t count = pairs.size();
  const auto texts = [&](bool ours) {
    return listed(count, [&](std::size_t i) {
      const std::string& name = ours ? pairs[i].ours.name : pairs[i].theirs;
      return as_text(sql::quoted(name), pairs[i].ours.type) + " AS " + numbered('c', i);
    });
  };
  const std::string all = listed(count, [](std::size_t i) { return numbered('c', i); });
  const std::string identity = listed(identifying, [](std::size_t i) { return numbered('c', i); });
  const auto left_over = [&](std::string_view from, std::string_view but) {
    return weir::format(
        "SELECT *, row_number() OVER (PARTITION BY {} ORDER BY {}) AS n FROM (SELECT * FROM {} EXCEPT ALL SELECT * "
        "FROM {})",
        identity, all, from, but);
  };
  // What is in both is out of the way before rows of one key and time are paired.
  const std::string both =
      listed(identifying, [](std::size_t i) { return weir::format("e.c{0} IS NOT DISTINCT FROM g.c{0}", i); }, " AND ");
  return file_
      .run(weir::format("CREATE OR REPLACE TEMP TABLE weir_got AS SELECT {} FROM {};"
                        "CREATE OR REPLACE TEMP TABLE weir_expects AS SELECT {} FROM {};"
                        "CREATE OR REPLACE TEMP TABLE weir_differ AS SELECT e.n AS e, g.n AS g, {}, {} "
                        "FROM ({}) e FULL JOIN ({}) g ON {} AND e.n = g.n",
                        texts(true), name_, texts(false), theirs,
                        listed(count, [](std::size_t i) { return weir::format("e.c{0} AS e{0}", i); }),
                        listed(count, [](std::size_t i) { return weir::format("g.c{0} AS g{0}", i); }),
                        left_over("weir_expects", "weir_got"), left_over("weir_got", "weir_expects"), both))
      .transform([](const Rows&) {});
}

Result<void> KeptTable::count(Comparison& out) {
  return file_
      .run(
          "SELECT (SELECT count(*) FROM weir_got)::VARCHAR, (SELECT count(*) FROM weir_expects)::VARCHAR, "
          "count(*) FILTER (g IS NULL)::VARCHAR, count(*) FILTER (e IS NULL)::VARCHAR, "
          "count(*) FILTER (e IS NOT NULL AND g IS NOT NULL)::VARCHAR FROM weir_differ")
      .transform([&](const Rows& rows) {
        const Row& row = rows.at(0);
        out.rows = count_in(row[0]);
        out.expected = count_in(row[1]);
        out.missing = count_in(row[2]);
        out.unexpected = count_in(row[3]);
        out.changed = count_in(row[4]);
      });
}

Result<void> KeptTable::show(const std::vector<Pair>& pairs, std::size_t identifying, std::size_t most,
                             Comparison& out) {
  const std::size_t count = pairs.size();
  const auto values = [&](char side) { return listed(count, [side](std::size_t i) { return numbered(side, i); }); };
  return file_
      .run(weir::format(
          "SELECT e::VARCHAR, g::VARCHAR, {}, {} FROM weir_differ ORDER BY {}, e, g LIMIT {}", values('e'), values('g'),
          listed(identifying, [](std::size_t i) { return weir::format("coalesce(e{0}, g{0})", i); }), most))
      .transform([&](const Rows& rows) {
        for (const Row& row : rows) {
          Comparison::Row& shown = out.first.emplace_back();
          shown.what = !row[0]   ? Comparison::Row::What::unexpected
                       : !row[1] ? Comparison::Row::What::missing
                                 : Comparison::Row::What::changed;
          for (std::size_t i = 0; i < count; ++i) {
            const auto &expected = row[2 + i], &got = row[2 + count + i];
            if (i < identifying)
              shown.at += (i == 0 ? "" : "  ") + (row[0] ? expected : got).value_or("NULL");
            else if (expected != got)
              shown.cells.push_back({pairs[i].ours.name, expected, got});
          }
        }
      });
}

}  // namespace weir::duck
