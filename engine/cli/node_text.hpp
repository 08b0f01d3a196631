/// Pipelines made of others: nodes replaced or left out, in the text.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/command.hpp"
#include "core/config/text.hpp"

namespace weir::cli {

/// A member of an object: its key, and its value as JSON.
using NodeMember = std::pair<std::string, std::string>;

/// Text as a JSON string.
std::string json_text(std::string_view text);

/// The same, with nothing in it taken for a variable.
std::string literal_text(std::string_view text);

/// The settings of an operator that a node may have written, whatever operator it was of.
std::vector<std::string> settings_of_node(const Operator& op);

/// The object of a node with another operator: of what stood there remain id, from and description, and what `kept`
/// names and `members` does not say.
std::string with_operator(const Document& document, const Value& node, Role role, std::string_view name,
                          const std::vector<std::string>& kept, const std::vector<NodeMember>& members);

/// The text of the pipeline with these nodes, without what `dropped` names at the root, and with these members there.
std::string with_nodes(const Document& document, const std::vector<std::string>& nodes,
                       const std::vector<std::string>& dropped, const std::vector<NodeMember>& members);

/// What stands in the text.
std::string_view source_of(const Document& document, const Value& value);

/// The first source of a pipeline's nodes; null if there is none.
const Value* source_in(const Value& nodes);

/// What a node is; nothing if the text does not say.
std::optional<Role> role_of(const Value& node);

}  // namespace weir::cli
