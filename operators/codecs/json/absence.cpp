#include "codecs/json/absence.hpp"

#include <weir/format.hpp>
#include <weir/spelling.hpp>

namespace weir::json {
namespace {

constexpr std::size_t most_names = 8;

std::string_view kind_of(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::null:
      return "null";
    case Value::Kind::boolean:
      return "true or false";
    case Value::Kind::number:
      return "a number";
    case Value::Kind::text:
      return "a text";
    case Value::Kind::array:
      return "an array";
    case Value::Kind::object:
      return "an object";
  }
  return {};
}

std::string names_of(const Tree& tree, const Value& object) {
  std::string out;
  std::size_t named = 0;
  for (const Value* member = tree.child(object); member != nullptr; member = tree.next(*member)) {
    if (named == most_names) return out + ", …";
    out += (named++ == 0 ? "" : ", ") + quoted(member->name);
  }
  return out;
}

}  // namespace

std::string absence(const Tree& tree, const Value& from, const Path& path, std::string_view what) {
  const Value* at = &from;
  std::string where;
  for (const std::string& step : path.steps()) {
    const Value* next = tree.step(*at, step);
    if (next == nullptr) break;
    at = next;
    where += (where.empty() ? "" : ".") + step;
  }
  where = weir::format("nothing at {}: {}", quoted(path.text()), where.empty() ? what : quoted(where));
  if (at->kind == Value::Kind::object && tree.child(*at) != nullptr) return where + " has " + names_of(tree, *at);
  return weir::format("{} is {}", where, at->kind == Value::Kind::object ? "an empty object" : kind_of(at->kind));
}

std::string nameless(std::string_view kind, const Tree& tree, const Value& from, const Path& path,
                     std::string_view what) {
  const std::string where = path.empty() ? weir::format("{} is \"\"", quoted(kind)) : absence(tree, from, path, what);
  return weir::format("{}; and the subject has no {{{}}}", where, kind);
}

std::string ways_into(const Tree& tree, const Value& member, bool outermost) {
  const bool point = tree.member(member, "lat") != nullptr && tree.member(member, "lon") != nullptr;
  if (point || (member.kind != Value::Kind::array && member.kind != Value::Kind::object)) return {};
  return weir::format("; name what you want in \"fields\"{}",
                      outermost ? weir::format(", or \"each\": {} if these are samples", quoted(member.name)) : "");
}

}  // namespace weir::json
