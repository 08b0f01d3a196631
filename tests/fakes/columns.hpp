/// Batches of a few columns, written down.
#pragma once

#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <weir/batch.hpp>

namespace weir::fakes {

inline Texts texts(std::initializer_list<std::string_view> values) {
  Texts out;
  for (const auto value : values) out.push(value);
  return out;
}

inline Batch batch(std::vector<ColumnType> types, std::size_t rows, std::vector<Column> columns) {
  Batch out;
  out.schema = std::make_shared<const Schema>(Schema{Shape::other, std::move(types)});
  out.rows = rows;
  out.columns = std::move(columns);
  return out;
}

}  // namespace weir::fakes
