#include "codecs/json/replacing.hpp"

#include <algorithm>

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

namespace weir::json {
namespace {

struct Range {
  std::size_t begin = 0, end = 0;
};

/// Where a value stands in the payload: a text was read into the place where it begins, a number is left there.
Range range_of(std::string_view payload, const std::string& read, const Value& value) {
  const auto at = static_cast<std::size_t>(value.text.data() - read.data());
  if (value.kind == Value::Kind::number) return {at, at + value.text.size()};
  std::size_t end = at;
  while (end < payload.size() && payload[end] != '"') end += payload[end] == '\\' ? 2 : 1;
  return {at - 1, end + 1};
}

}  // namespace

bool is_repeated(const Tree& tree, const Value& from, const Path& path) {
  const Value* value = &from;
  for (const std::string& step : path.steps()) {
    int members = 0;
    if (value->kind == Value::Kind::object) {
      for (const Value* at = tree.child(*value); at != nullptr; at = tree.next(*at))
        members += at->name == step ? 1 : 0;
    }
    if (members > 1) return true;
    value = tree.step(*value, step);
    if (value == nullptr) return false;
  }
  return false;
}

std::string replaced(std::string_view payload, const std::string& read, std::vector<const Value*> values,
                     const Renaming& renaming) {
  std::ranges::sort(values, {}, [](const Value* value) { return value->text.data(); });
  const auto same = std::ranges::unique(values);
  values.erase(same.begin(), same.end());
  std::string out;
  std::size_t done = 0;
  for (const Value* value : values) {
    const Range range = range_of(payload, read, *value);
    rapidjson::StringBuffer text;
    rapidjson::Writer<rapidjson::StringBuffer> writer{text};
    const std::string other = renaming(value->text);
    writer.String(other.data(), static_cast<rapidjson::SizeType>(other.size()));
    out.append(payload.substr(done, range.begin - done)).append(text.GetString(), text.GetSize());
    done = range.end;
  }
  return out.append(payload.substr(done));
}

}  // namespace weir::json
