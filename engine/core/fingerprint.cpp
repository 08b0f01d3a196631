#include "core/fingerprint.hpp"

#include <algorithm>
#include <vector>

#include <weir/format.hpp>

namespace weir {

std::string fingerprint(std::string_view text) { return weir::format("{:016x}", checksum(text)); }

void write_canonical(const Value& value, std::string& out) {
  switch (value.kind) {
    case Value::Kind::object: {
      std::vector<const Member*> members;
      for (const Member& member : value.members) members.push_back(&member);
      std::ranges::sort(members, {}, &Member::key);
      out += '{';
      for (const Member* member : members) {
        out += quoted(member->key) + ':';
        write_canonical(member->value, out);
        out += ',';
      }
      out += '}';
      return;
    }
    case Value::Kind::array:
      out += '[';
      for (const Value& item : value.items) {
        write_canonical(item, out);
        out += ',';
      }
      out += ']';
      return;
    case Value::Kind::string:
      out += '"' + value.text + '"';
      return;
    case Value::Kind::integer:
      out += std::to_string(value.integer);
      return;
    case Value::Kind::number:
      out += std::to_string(value.number);
      return;
    case Value::Kind::boolean:
      out += value.boolean ? "true" : "false";
      return;
    default:
      out += "null";
  }
}

}  // namespace weir
