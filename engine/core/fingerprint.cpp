#include "core/fingerprint.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

namespace weir {

std::string fingerprint(std::string_view text) { return weir::format("{:016x}", checksum(text)); }

std::string fingerprint(std::span<const Part> parts) {
  std::string all;
  std::string each;
  for (const Part& part : parts) {
    all += part.meaning;
    each += weir::format(" {}:{:08x}", part.name, static_cast<std::uint32_t>(checksum(part.meaning)));
  }
  return fingerprint(all) + each;
}

std::string changed_parts(std::string_view kept, std::string_view now) {
  const auto parts_of = [](std::string_view text) {
    std::map<std::string, std::string_view, std::less<>> out;
    for (std::size_t at = text.find(' '); at != text.npos;) {
      const std::size_t end = text.find(' ', at + 1);
      const std::string_view part = text.substr(at + 1, end - at - 1);
      if (const auto colon = part.find(':'); colon != part.npos)
        out.emplace(part.substr(0, colon), part.substr(colon + 1));
      at = end;
    }
    return out;
  };
  const auto before = parts_of(kept);
  const auto after = parts_of(now);
  if (before.empty() || after.empty()) return {};
  std::string out;
  const auto say = [&](const std::string& name, std::string_view what) {
    out += (out.empty() ? "" : ", ") + quoted(name) + std::string{what};
  };
  for (const auto& [name, meaning] : before) {
    const auto same = after.find(name);
    if (same == after.end())
      say(name, " is gone");
    else if (same->second != meaning)
      say(name, " has changed");
  }
  for (const auto& [name, meaning] : after) {
    if (!before.contains(name)) say(name, " is new");
  }
  return out;
}

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
