#include "core/plan/schema_binding.hpp"

#include <algorithm>
#include <map>
#include <unordered_set>

#include <weir/completion.hpp>
#include <weir/format.hpp>
#include <weir/shapes.hpp>

#include "core/observe/attempt.hpp"
#include "core/plan/node_context.hpp"

namespace weir {
namespace {

class SchemaBinding {
 public:
  SchemaBinding(std::vector<Draft>& drafts, bool whole, const Pipeline& pipeline, const Registry& registry,
                std::string_view text, Reporter& report)
      : drafts_{drafts},
        whole_{whole},
        pipeline_{pipeline},
        registry_{registry},
        text_{text},
        report_{report},
        nodes_{drafts} {
    connected_ = std::ranges::all_of(drafts, [&](const Draft& draft) { return nodes_.connected(draft); });
  }

  void bind_all() {
    gather_projection();
    std::map<std::string, std::size_t> numbers;
    for (Draft& draft : drafts_) {
      for (const DraftInput& named : draft.inputs) {
        const auto input = numbers.find(named.id);
        draft.good = draft.good && input != numbers.end() && gives(drafts_[input->second]);
        if (!draft.good) break;
        draft.node.inputs.push_back({input->second, *port_of(drafts_[input->second], named.port)});
      }
      if (draft.good) draft.good = bind(draft);
      if (draft.node.role == Role::source) draft.node.outputs = {samples::schema()};
      numbers.try_emplace(draft.node.id, static_cast<std::size_t>(&draft - drafts_.data()));
    }
  }

 private:
  /// What the columns of a node name flows up to everything that it reads, directly or not.
  void gather_projection() {
    for (const Draft& asking : drafts_) {
      if (asking.node.columns.empty()) continue;
      for (Draft* input : all_behind(asking)) {
        for (const RowColumn& column : asking.node.columns)
          want(input->node, {column.field, column.kind}, *asking.text);
      }
      check_number_of_fields(asking);
    }
  }

  /// What a node reads, directly or not, the nearest first.
  std::vector<Draft*> all_behind(const Draft& reader) {
    std::vector<Draft*> out;
    std::unordered_set<const Draft*> met{&reader};
    const auto add_inputs = [&](const Draft& of) {
      for (const DraftInput& named : of.inputs) {
        const Draft* input = nodes_.find(named.id);
        if (input != nullptr && met.insert(input).second)
          out.push_back(&drafts_[static_cast<std::size_t>(input - drafts_.data())]);
      }
    };
    add_inputs(reader);
    for (std::size_t i = 0; i < out.size(); ++i) add_inputs(*out[i]);
    return out;
  }

  /// A lane has a place for so many.
  void check_number_of_fields(const Draft& asking) {
    const auto source = std::ranges::find(drafts_, Role::source, [](const Draft& draft) { return draft.node.role; });
    if (told_fields_ || source == drafts_.end() || source->node.projection.size() <= samples::most_fields) return;
    told_fields_ = true;
    report_.error(asking.text->span, "too-many-columns",
                  weir::format("with the columns of {} the nodes name {} fields; a lane holds {}",
                               quoted(asking.node.id), source->node.projection.size(), samples::most_fields),
                  "leave some out, or write a pipeline for some of them");
  }

  /// Whether it is known what comes out of it; of a source it always is.
  static bool gives(const Draft& draft) {
    return draft.good || (draft.node.role == Role::source && draft.node.op != nullptr);
  }

  /// Whether all that reads a node, directly or not, could be read: else what they want is not known.
  /// `behind`: nodes on the way here; more than there are is a cycle, which is reported elsewhere.
  bool projection_known(const Draft& draft, std::size_t behind = 0) const {
    if (draft.node.id.empty()) return true;  // nothing can read it
    // What misses its way, or can't be read, may want anything of anybody.
    if (!connected_ || behind > drafts_.size()) return false;
    return std::ranges::all_of(nodes_.readers(draft.node.id), [&](const Draft* reader) {
      if (reader->node.op == nullptr || !reader->columns_known) return false;
      return reader->node.role == Role::sink || projection_known(*reader, behind + 1);
    });
  }

  void want(Node& node, const ProjectedField& wanted, const Value& asking) {
    const auto known = std::ranges::find(node.projection, wanted.name, &ProjectedField::name);
    if (known == node.projection.end()) {
      node.projection.push_back(wanted);
    } else if (known->kind != wanted.kind) {
      report_.error(place_of(asking, "columns." + wanted.name, 0, {}), "two-kinds",
                    quoted(wanted.name) + " is wanted as two kinds of value by the nodes behind " + quoted(node.id));
    }
  }

  void blame(const Draft& draft, const Error& error) {
    report_.error(place_of(*draft.text, error.setting, error.offset, text_), "does-not-fit",
                  quoted(draft.node.id) + ": " + error.message, way_round_brackets(draft));
  }

  /// What to do about a transform that finds brackets where somebody meant rows.
  std::string way_round_brackets(const Draft& draft) const {
    if (draft.node.role != Role::transform || draft.node.inputs.empty()) return {};
    const Node& input = drafts_[draft.node.inputs.front().node].node;
    const Port port = draft.node.inputs.front().port;
    if (port >= input.outputs.size() || input.outputs[port]->shape != Shape::brackets) return {};
    return quoted(input.id) + " gives brackets (key, tick, <field>.before, <field>.after, …); put a fill in between, " +
           "which makes rows of them, or " + quoted(draft.node.id) + " before " + quoted(input.id) +
           ", where the samples are (key, field, time, x, …)";
  }

  bool bind(Draft& draft) {
    Node& node = draft.node;
    if (node.role == Role::source) return true;
    const PortRef ref = node.inputs.front();
    const SchemaPtr input = drafts_[ref.node].node.outputs[ref.port];
    if (!same_schemas(draft, *input)) return false;
    const auto& accepted = node.op->spec.inputs;
    if (!accepted.empty() && !std::ranges::contains(accepted, input->shape)) {
      std::string shapes;
      for (const Shape shape : accepted) shapes += (shapes.empty() ? "" : " or ") + std::string{to_string(shape)};
      report_.error(draft.from->span, "wrong-shape",
                    quoted(node.id) + " takes " + shapes + ", but " + quoted(draft.from->text) + " gives " +
                        std::string{to_string(input->shape)},
                    std::ranges::contains(accepted, Shape::brackets) && input->shape == Shape::samples
                        ? "put a window-join in between"
                        : way_round_brackets(draft));
      return false;
    }
    const auto bound = attempt(
        "it threw", [&] { return node.role == Role::sink ? bind_sink(draft, input) : bind_transform(draft, input); });
    if (!bound) blame(draft, bound.error());
    return bound.value_or(false);
  }

  /// Rows of several nodes become one stream of rows.
  bool same_schemas(const Draft& draft, const Schema& first) {
    for (std::size_t i = 1; i < draft.node.inputs.size(); ++i) {
      const PortRef ref = draft.node.inputs[i];
      const Schema& other = *drafts_[ref.node].node.outputs[ref.port];
      if (other == first) continue;
      report_.error(draft.inputs[i].text->span, "different-rows",
                    quoted(draft.inputs[i].text->text) + " gives other rows than " +
                        quoted(draft.inputs[0].text->text) + ": " + difference(first, other),
                    "read nodes that give the same columns, or write a node for each");
      return false;
    }
    return true;
  }

  static std::string difference(const Schema& one, const Schema& other) {
    if (one.shape != other.shape) return weir::format("{}, not {}", to_string(other.shape), to_string(one.shape));
    for (std::size_t i = 0; i < std::min(one.columns.size(), other.columns.size()); ++i) {
      const ColumnType& a = one.columns[i];
      const ColumnType& b = other.columns[i];
      if (a == b) continue;
      return weir::format("column {} is {} ({}), not {} ({})", i + 1, quoted(b.name), to_string(b.type), quoted(a.name),
                          to_string(a.type));
    }
    return weir::format("it has {} columns, not {}", other.columns.size(), one.columns.size());
  }

  /// Knows whether anybody asked what the nodes behind want.
  class Surroundings final : public NodeContext {
   public:
    using NodeContext::NodeContext;
    const std::vector<ProjectedField>& projection() const override {
      projection_read_ = true;
      return NodeContext::projection();
    }
    bool projection_read() const { return projection_read_; }

   private:
    mutable bool projection_read_ = false;
  };

  NodeContext::Shared shared() { return {pipeline_, registry_, counters_, system_clock()}; }

  /// False: nothing can be said of it, as it goes by what the nodes behind it want, and that is not known.
  Result<bool> bind_transform(Draft& draft, const SchemaPtr& input) {
    Node& node = draft.node;
    Surroundings context{shared(), node};
    const auto transform = node.op->make_transform(node.settings, context);
    auto outputs = transform->bind_schema({input});
    if (context.projection_read() && !(whole_ && projection_known(draft))) return false;
    if (!outputs) return std::unexpected(outputs.error());
    const Spec& spec = node.op->spec;
    if (outputs->size() != spec.ports.size() + 1 || std::ranges::contains(*outputs, nullptr))
      return fail(Error::Kind::internal, weir::format("it binds {} schemas, but has {} ports, each of which needs one",
                                                      outputs->size(), spec.ports.size() + 1));
    node.outputs = std::move(*outputs);
    StateWriter none;
    transform->save(none);
    const bool said = spec.state_of && !spec.state_of(node.settings).empty();
    node.keeps_state = said || spec.is_bounded_by_keys(node.settings) || !none.bytes().empty();
    return true;
  }

  Result<bool> bind_sink(Draft& draft, const SchemaPtr& input) {
    Node& node = draft.node;
    node.input = input;
    if (!node.columns.empty()) {
      auto rows = Completion{node.columns, node.write_empty}.bind_schema(*input);
      if (!rows) return std::unexpected(rows.error());
      node.input = *rows;
    } else if (input->shape == Shape::brackets && has_columns(node.op->spec)) {
      return fail(Error::Kind::invalid,
                  "brackets become rows by \"columns\", and it has none; or put a fill in between");
    }
    NodeContext context{shared(), node};
    return node.op->make_sink(node.settings, context)->bind_schema(node.input).transform([] { return true; });
  }

  std::vector<Draft>& drafts_;
  bool whole_;
  const Pipeline& pipeline_;
  const Registry& registry_;
  std::string_view text_;
  Reporter& report_;
  DraftIndex nodes_;
  bool told_fields_ = false;
  bool connected_ = false;  // every node finds the one that it reads
  Counters counters_;
};

}  // namespace

void bind_schemas(std::vector<Draft>& drafts, bool whole, const Pipeline& pipeline, const Registry& registry,
                  std::string_view text, Reporter& report) {
  SchemaBinding{drafts, whole, pipeline, registry, text, report}.bind_all();
}

}  // namespace weir
