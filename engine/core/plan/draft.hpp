/// The first half of checking: a pipeline's text read against the operators' specs, node by node. What the nodes mean
/// together is check.cpp's, and what flows between them schema_binding.cpp's.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/config/text.hpp"
#include "core/plan/pipeline.hpp"
#include "core/plan/settings_check.hpp"

namespace weir {

/// One entry of "from": a node by its id, and its port, "" being the first one.
struct DraftInput {
  std::string id, port;
  const Value* text = nullptr;  ///< in the document
};

/// One node while it is being checked.
struct Draft {
  Node node;                    ///< id, role, operator and settings so far
  const Value* text = nullptr;  ///< the node's object; in the document
  const Value* from = nullptr;  ///< its "from", if it has one
  std::vector<DraftInput> inputs = {};
  bool has_role = false;      ///< the text says whether it is a source, a transform or a sink
  bool columns_known = true;  ///< what it wants of what it reads, if anything
  bool good = true;           ///< nothing wrong with it so far: it may be made, and its schema bound
};

/// What the text alone says.
struct Drafts {
  Pipeline pipeline;         ///< all but the nodes
  std::vector<Draft> nodes;  ///< in the order of the text
  bool whole = true;         ///< these are all; false: some could not be read
};

/// Reads the root of a document, which must be an object and outlive the drafts.
Drafts read_drafts(const Document& document, const Registry& registry, const SettingsContext& context,
                   Reporter& report);

/// Its id in quotes, for messages; "this node" if it has none.
std::string called(const Draft& draft);

/// Finds nodes by their ids, and those that read them. Of the drafts as they are: it must be made again when they move,
/// or their ids or inputs change.
class DraftIndex {
 public:
  explicit DraftIndex(const std::vector<Draft>& drafts);

  /// The first node of this id; null if there is none.
  const Draft* find(std::string_view id) const;
  /// Those whose "from" names it, in the order of the drafts.
  std::span<const Draft* const> readers(std::string_view id) const;
  /// Whether all that it is to read is there. A source reads nothing.
  bool connected(const Draft& draft) const;

 private:
  std::unordered_map<std::string_view, const Draft*> by_id_;
  std::unordered_map<std::string_view, std::vector<const Draft*>> readers_;
};

/// The port that a node calls so, "" being the first one; nothing if it has none such.
std::optional<Port> port_of(const Draft& draft, std::string_view name);

bool has_columns(const Spec& spec);

/// Whether a node of the operator takes an "encoding".
bool takes_encoding(const Spec& spec);

/// What a node of the operator may set beside that: the operator's own, and what the engine adds.
std::vector<Field> node_fields(const Spec& spec);

}  // namespace weir
