#include "codecs/json/tree.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <rapidjson/reader.h>
#include <weir/utf8.hpp>

namespace weir::json {
namespace {

constexpr std::size_t largest_kept = 1u << 14;

const Value* element(const Tree& tree, const Value& array, std::string_view step) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), number);
  if (error != std::errc{} || end != step.data() + step.size()) return nullptr;
  const Value* value = tree.child(array);
  while (value != nullptr && number-- > 0) value = tree.next(*value);
  return value;
}

/// Whether half of a surrogate pair stands by itself: RapidJSON lets "\udc00" through, and no UTF-8 has it.
bool has_lone_surrogate(std::string_view text) {
  for (auto at = text.find('\xED'); at != std::string_view::npos; at = text.find('\xED', at + 1)) {
    if (utf8_length(text.substr(at)) == 0) return true;
  }
  return false;
}

}  // namespace

/// Receives what RapidJSON reads.
struct Tree::Builder {
  struct Open {
    std::uint32_t parent = 0, last = 0;
  };

  std::vector<Value>& values;
  bool escaped;  ///< somewhere in the text
  std::vector<Open> open = std::vector<Open>(1);
  std::string_view name = {};
  bool lone_surrogate = false;

  bool too_deep() const { return open.size() > deepest; }
  bool add(Value::Kind kind, std::string_view text) {
    const auto place = static_cast<std::uint32_t>(values.size());
    Open& parent = open.back();
    (parent.last == 0 ? values[parent.parent].child : values[parent.last].next) = place;
    parent.last = place;
    values.push_back({kind, std::exchange(name, {}), text});
    return true;
  }
  bool start(Value::Kind kind) {
    add(kind, {});
    open.push_back({static_cast<std::uint32_t>(values.size() - 1), 0});
    return !too_deep();
  }
  bool end() {
    open.pop_back();
    return true;
  }

  bool Null() { return add(Value::Kind::null, {}); }
  bool Bool(bool value) { return add(Value::Kind::boolean, value ? "true" : "false"); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) { return add(Value::Kind::number, {text, size}); }
  bool whole(std::string_view text) {
    lone_surrogate = escaped && has_lone_surrogate(text);
    return !lone_surrogate;
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return whole({text, size}) && add(Value::Kind::text, {text, size});
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    name = {text, size};
    return whole(name);
  }
  bool StartObject() { return start(Value::Kind::object); }
  bool EndObject(rapidjson::SizeType) { return end(); }
  bool StartArray() { return start(Value::Kind::array); }
  bool EndArray(rapidjson::SizeType) { return end(); }
  // Never called: numbers come as RawNumber.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }
};

std::expected<void, Reason> Tree::read(std::string& text) {
  if (values_.capacity() > largest_kept) values_ = {};
  values_.assign(1, {});
  if (text.contains('\0')) return std::unexpected(Reason{"not_json", "a NUL byte"});
  const bool escaped = text.contains('\\');
  // The check of UTF-8 takes all the bytes that a lead byte announces, even past the end.
  text.append(3, '\0');
  rapidjson::InsituStringStream stream{text.data()};
  rapidjson::Reader reader;
  Builder builder{values_, escaped};
  constexpr unsigned flags = rapidjson::kParseInsituFlag | rapidjson::kParseIterativeFlag |
                             rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;
  const auto result = reader.Parse<flags>(stream, builder);
  if (!result.IsError()) return {};
  if (result.Code() == rapidjson::kParseErrorNumberTooBig) {
    return std::unexpected(Reason{"number_out_of_range", "at byte " + std::to_string(result.Offset())});
  }
  if (builder.too_deep())
    return std::unexpected(Reason{"not_json", "nested deeper than " + std::to_string(deepest) + " levels"});
  if (builder.lone_surrogate) {
    return std::unexpected(Reason{"not_json", "half a surrogate pair before byte " + std::to_string(result.Offset())});
  }
  return std::unexpected(Reason{"not_json", "mistake at byte " + std::to_string(result.Offset())});
}

const Value* Tree::member(const Value& object, std::string_view name) const {
  const Value* value = object.kind == Value::Kind::object ? child(object) : nullptr;
  while (value != nullptr && value->name != name) value = next(*value);
  return value;
}

const Value* Tree::step(const Value& from, std::string_view name) const {
  return from.kind == Value::Kind::array ? element(*this, from, name) : member(from, name);
}

Path::Path(std::string_view text) {
  while (!text.empty()) {
    const auto end = std::min(text.find('.'), text.size());
    steps_.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string Path::text() const {
  std::string out;
  for (const std::string& step : steps_) out += (out.empty() ? "" : ".") + step;
  return out;
}

const Value* Path::find(const Tree& tree, const Value& from) const {
  const Value* value = steps_.empty() ? nullptr : &from;
  for (const std::string& step : steps_) {
    if (value == nullptr) break;
    value = tree.step(*value, step);
  }
  return value;
}

}  // namespace weir::json
