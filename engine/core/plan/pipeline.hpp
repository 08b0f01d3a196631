/// A pipeline that has been read and checked: nodes in the order in which they run, settings typed, schemas bound.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/operator.hpp>

#include "core/config/findings.hpp"
#include "core/config/text.hpp"
#include "core/plan/registry.hpp"

namespace weir {

/// One end of an edge: an output port of a node, by its number in Pipeline::nodes.
struct PortRef {
  std::size_t node = 0;
  Port port = 0;
  bool operator==(const PortRef&) const = default;
};

/// Where a sink begins that is new in a pipeline that has progress: where the furthest of the others stands, or at the
/// stream's first message.
enum class SinkBegins : std::uint8_t { now, stream };

struct Node {
  std::string id;
  std::string renamed_from;  ///< the id that it had, or empty
  Role role = Role::transform;
  std::string name;              ///< of the operator
  const Operator* op = nullptr;  ///< owned by the registry
  Settings settings;
  std::vector<PortRef> inputs;
  Schemas outputs;                         ///< bound schema per port; a source has the samples schema, a sink none
  SchemaPtr input;                         ///< of a sink: what it gets (the completed rows if it has `columns`)
  std::vector<RowColumn> columns;          ///< of a node with a `columns` setting; empty otherwise
  bool keeps_state = false;                ///< of a transform: what it does depends on more than the batch at hand
  std::optional<SinkBegins> begins;        ///< of a sink: its "start", if it says one
  bool write_empty = false;                ///< of such a node: rows of NULLs only are written too
  std::vector<ProjectedField> projection;  ///< what the columns of nodes downstream name, in first-named order
  std::string codec;                       ///< of a node with an encoding
  Settings codec_settings;
  Span place;  ///< of the node's object in the text
  /// By setting of that object, "columns.speed" too: a checksum of its value, variables replaced. Tells what was edited
  /// but for comments, descriptions, and names that "renamed_from" makes no change.
  std::map<std::string, std::string> written;

  /// The id under which its progress, state and row ids are kept.
  const std::string& kept_id() const { return renamed_from.empty() ? id : renamed_from; }
};

/// "main", or as the operator's Spec calls it.
std::string_view port_name(const Node& node, Port port);

struct Pipeline {
  std::string name;
  std::string renamed_from;  ///< the name that it had, or empty
  std::string file;
  std::vector<Node> nodes;  ///< a node stands behind all its inputs; otherwise in the order of the text

  std::string store;  ///< "state": {"store": …}; empty: memory
  Settings store_settings;
  Duration snapshot_every = minute;

  std::uint32_t key_limit = 0;  ///< "limits": {"keys": …}; 0: none declared
  Duration forget = 24 * 60 * minute;
  Duration commit_every = 100 * millisecond;  ///< "commit": {"every": …, "rows": …}
  std::size_t commit_rows = 200'000;
  std::size_t in_flight = 256u << 20;  ///< "limits": {"in_flight": …}: bytes pulled and not committed, over all lanes
  Duration shutdown_timeout = 20 * second;
  std::string shown;  ///< the text as JSON on one line, before variables were replaced, without secrets
  DeadLetterBounds letter_bounds;
  std::string dead_letters;  ///< "dead_letters": path of the JSON-lines file used where no sink keeps them; default
                             ///< "<name>.dead.jsonl"

  /// Of everything that decides what state means: operators, their state versions and settings, from the source to
  /// the last node that keeps state, what columns ask of them, and the limits. Says what differs, see fingerprint.hpp.
  std::string fingerprint;

  std::size_t source() const;  ///< the number of its one source
  /// The name under which its progress, state and row ids are kept.
  const std::string& kept_name() const { return renamed_from.empty() ? name : renamed_from; }
};

/// A port as a pipeline's text names it: "rows.late", or "rows" for the main one.
std::string place_of(const Pipeline& pipeline, PortRef port);

/// The values that an operator gets when the user writes none of its optional settings; required ones are missing.
Settings default_settings(const Spec& spec, std::string_view id);

/// Environment of a check.
struct CheckOptions {
  std::function<std::optional<std::string>(std::string_view)> variable;     ///< null: nothing is set
  std::function<std::optional<std::string>(const std::string&)> read_file;  ///< for file: secrets; null: not readable
  bool to_run = false;  ///< unset ${X:?} and unreadable secrets are errors, not warnings
  std::vector<std::pair<std::string, std::string>> overrides;  ///< -s path=value: "rows.every=2s", "limits.keys=10"
};

/// What came of reading a pipeline text. The pipeline is there if no finding is an error.
struct Checked {
  std::optional<Pipeline> pipeline;
  std::vector<Finding> findings;  ///< by place
};

/// Reads and checks. Pure: connects to nothing, opens nothing but through the options.
Checked check_pipeline(std::string_view text, std::string_view file, const Registry& registry,
                       const CheckOptions& options);

}  // namespace weir
