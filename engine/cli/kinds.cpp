#include "cli/kinds.hpp"

namespace weir::cli {

std::string kind_name(const Kind& kind) {
  using Tag = Kind::Tag;
  switch (kind.tag) {
    case Tag::text:
      return "text";
    case Tag::integer:
      return "whole number";
    case Tag::number:
      return "number";
    case Tag::boolean:
      return "true or false";
    case Tag::duration:
      return "duration";
    case Tag::size:
      return "size";
    case Tag::rate:
      return "rate";
    case Tag::texts:
      return "text or list of texts";
    case Tag::object:
      return "object";
    case Tag::objects:
      return "list of objects";
    case Tag::map:
      return "object of names and values";
    case Tag::columns:
      return "columns";
    case Tag::expression:
      return "expression";
    case Tag::secret:
      return "secret";
    case Tag::node:
      return "node";
    case Tag::choice:
      break;
  }
  std::string out = "one of ";
  for (const std::string& choice : kind.choices) out += (out.ends_with(' ') && out.size() == 7 ? "" : ", ") + choice;
  return out;
}

}  // namespace weir::cli
