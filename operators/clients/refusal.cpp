#include "clients/refusal.hpp"

#include <weir/utf8.hpp>

namespace weir::refusal {

Reason objection(const Batch& batch, std::size_t row) {
  for (std::size_t c = 0; c < batch.columns.size(); ++c) {
    const Column& column = batch.columns[c];
    if (!column.valid(row) || (column.type() != Type::string && column.type() != Type::dictionary)) continue;
    std::string_view text = column.text(row);
    const std::string& name = batch.schema->columns[c].name;
    if (text.contains('\0')) return {"text_has_nul", "in " + name};
    while (!text.empty()) {
      const std::size_t size = utf8_length(text);
      if (size == 0) return {"text_not_utf8", "in " + name};
      text.remove_prefix(size);
    }
  }
  return {};
}

}  // namespace weir::refusal
