#include "cli/node_text.hpp"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <array>

#include "core/plan/draft.hpp"

namespace weir::cli {
namespace {

std::string object_of(const std::vector<NodeMember>& members) {
  std::string out;
  for (const auto& [key, value] : members) out += (out.empty() ? "{ " : ", ") + json_text(key) + ": " + value;
  return out.empty() ? "{}" : out + " }";
}

/// Comments may stand inside, and one of them may end with its line.
NodeMember as_written(const Document& document, const Member& member) {
  return {member.key, std::string{source_of(document, member.value)} + "\n"};
}

}  // namespace

std::string json_text(std::string_view text) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> json{buffer};
  json.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  return buffer.GetString();
}

std::string literal_text(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text.substr(at).starts_with("${")) out += '$';
    out += text[at];
  }
  return json_text(out);
}

std::string_view source_of(const Document& document, const Value& value) {
  return std::string_view{document.text}.substr(value.span.begin.offset,
                                                value.span.end.offset - value.span.begin.offset);
}

std::optional<Role> role_of(const Value& node) {
  for (const Role role : {Role::source, Role::transform, Role::sink}) {
    if (node.find(to_string(role)) != nullptr) return role;
  }
  return {};
}

const Value* source_in(const Value& nodes) {
  const auto found = std::ranges::find_if(nodes.items, [](const Value& node) { return role_of(node) == Role::source; });
  return found == nodes.items.end() ? nullptr : &*found;
}

std::vector<std::string> settings_of_node(const Operator& op) {
  std::vector<std::string> out;
  for (const Field& field : node_fields(op.spec)) out.push_back(field.name);
  if (takes_encoding(op.spec)) out.emplace_back("encoding");
  return out;
}

std::string with_operator(const Document& document, const Value& node, Role role, std::string_view name,
                          const std::vector<std::string>& kept, const std::vector<NodeMember>& members) {
  constexpr std::array<std::string_view, 3> of_every_node{"id", "from", "description"};
  std::vector<NodeMember> out;
  for (const Member& member : node.members) {
    if (member.key == to_string(role)) out.emplace_back(member.key, json_text(name));
    const bool stays = std::ranges::contains(of_every_node, member.key) || std::ranges::contains(kept, member.key);
    if (stays && !std::ranges::contains(members, member.key, &NodeMember::first))
      out.push_back(as_written(document, member));
  }
  out.append_range(members);
  return object_of(out);
}

std::string with_nodes(const Document& document, const std::vector<std::string>& nodes,
                       const std::vector<std::string>& dropped, const std::vector<NodeMember>& members) {
  std::vector<NodeMember> out;
  for (const Member& member : document.root.members) {
    const bool replaced = member.key == "nodes" || std::ranges::contains(members, member.key, &NodeMember::first);
    if (!replaced && !std::ranges::contains(dropped, member.key)) out.push_back(as_written(document, member));
  }
  out.append_range(members);
  std::string all;
  for (const std::string& node : nodes) all += (all.empty() ? "" : ", ") + node;
  out.emplace_back("nodes", "[" + all + "]");
  return object_of(out);
}

}  // namespace weir::cli
