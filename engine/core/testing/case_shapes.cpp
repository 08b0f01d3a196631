#include "core/testing/case_shapes.hpp"

#include <algorithm>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

namespace weir {

void CaseShapes::error(const Span& span, std::string rule, std::string message, std::string suggestion) {
  findings_.push_back(
      {Severity::error, document_.file, span, std::move(rule), std::move(message), std::move(suggestion)});
}

bool CaseShapes::expect(const Value& value, Value::Kind kind, std::string_view what) {
  if (value.is(kind)) return true;
  if (!value.is(Value::Kind::invalid))
    error(value.span, "wrong-type",
          weir::format("{} must be {}, not {}", what, to_string(kind), to_string(value.kind)));
  return false;
}

bool CaseShapes::expect_object(const Value& value, const std::vector<std::string>& allowed,
                               const std::vector<std::string>& required) {
  if (!expect(value, Value::Kind::object, "this")) return false;
  const std::size_t before = findings_.size();
  for (const Member& member : value.members) {
    if (!std::ranges::contains(allowed, member.key)) {
      error(member.key_span, "unknown-field", weir::format("unknown field {}", weir::quoted(member.key)),
            did_you_mean(member.key, allowed));
    }
  }
  for (const std::string& name : required) {
    if (value.find(name) == nullptr)
      error(value.span, "missing-field", weir::format("{} is missing", weir::quoted(name)));
  }
  return findings_.size() == before;
}

std::optional<std::uint64_t> CaseShapes::number(const Value& value, std::string_view what, std::uint64_t most) {
  if (!expect(value, Value::Kind::integer, what)) return {};
  const auto asked = static_cast<std::uint64_t>(value.integer);
  if (value.integer >= 0 && asked <= most) return asked;
  error(value.span, "out-of-bounds",
        value.integer < 0 ? weir::format("{} is never negative", what) : weir::format("{} is at most {}", what, most));
  return {};
}

std::optional<Table> CaseShapes::table(const Value& list, std::vector<Span>& places) {
  if (!expect(list, Value::Kind::array, "a table")) return {};
  std::vector<std::string> lines;
  for (const Value& line : list.items) {
    if (!expect(line, Value::Kind::string, "a line of a table")) return {};
    lines.push_back(line.text);
    places.push_back(line.span);
  }
  auto table = read_table(lines);
  if (table) return *std::move(table);
  const Value& line = list.items[table.error().line];
  const TextPosition place = place_inside(document_.text, line, table.error().offset);
  error({place, line.span.end}, "bad-table", table.error().message);
  return {};
}

std::string CaseShapes::written(const Value& value) const {
  const std::size_t begin = value.span.begin.offset;
  return document_.text.substr(begin, value.span.end.offset - begin);
}

std::string CaseShapes::beside(std::string_view path) const {
  const std::size_t slash = document_.file.rfind('/');
  return (slash == std::string::npos ? "" : document_.file.substr(0, slash + 1)) + std::string{path};
}

}  // namespace weir
