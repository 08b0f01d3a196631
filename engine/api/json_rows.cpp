#include <weir/json_rows.hpp>

#include <charconv>
#include <cmath>
#include <set>
#include <string_view>

#include <rapidjson/writer.h>
#include <weir/format.hpp>
#include <weir/rfc3339.hpp>
#include <weir/spelling.hpp>
#include <weir/utf8.hpp>

namespace weir::json {
namespace {

/// Lets RapidJSON write to the end of a string.
struct Appender {
  using Ch = char;
  std::string& text;
  void Put(char c) { text.push_back(c); }
  void Flush() {}
};

}  // namespace

bool is_text(Type type) { return type == Type::timestamp || type == Type::string || type == Type::dictionary; }

Result<void> distinct_names(const Schema& schema) {
  std::set<std::string_view> met;
  for (const ColumnType& column : schema.columns) {
    if (met.insert(column.name).second) continue;
    return fail(Error::Kind::invalid, weir::format("two columns are called {}; rename a field", quoted(column.name)),
                "columns");
  }
  return {};
}

std::string plain(const Column& column, std::size_t row) {
  char text[32];
  char* end = text;
  switch (column.type()) {
    case Type::int64:
      end = std::to_chars(text, text + sizeof text, column.int64s()[row]).ptr;
      break;
    case Type::float64:
      if (const double value = column.float64s()[row]; std::isfinite(value)) {
        end = std::to_chars(text, text + sizeof text, value).ptr;
      }
      break;
    case Type::boolean:
      return column.booleans()[row] != 0 ? "true" : "false";
    case Type::timestamp:
      return format_rfc3339(column.int64s()[row]);
    case Type::string:
    case Type::dictionary:
      return std::string{column.text(row)};
  }
  return {text, end};
}

void append_row(const Batch& batch, std::size_t row, std::string& out, Style style) {
  const bool evidence = style == Style::evidence;
  Appender stream{out};
  rapidjson::Writer<Appender> json{stream};
  const auto write = [&](const std::string& text) {
    json.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  };
  json.StartObject();
  for (std::size_t i = 0; i < batch.columns.size(); ++i) {
    const std::string& name = batch.schema->columns[i].name;
    const Column& column = batch.columns[i];
    json.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
    const bool valid = column.valid(row);
    const std::string text = valid ? plain(column, row) : std::string{};
    if (valid && is_text(column.type())) {
      write(evidence ? storable_utf8(text) : text);
    } else if (valid && text.empty() && evidence) {
      write(weir::format("{}", column.float64s()[row]));
    } else if (text.empty()) {
      json.Null();
    } else {
      json.RawValue(text.data(), text.size(), rapidjson::kNumberType);
    }
  }
  json.EndObject();
}

}  // namespace weir::json
