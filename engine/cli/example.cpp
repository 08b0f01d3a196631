#include "cli/example.hpp"

#include <algorithm>

#include <weir/format.hpp>

namespace weir::cli {
namespace {

bool accepts(const Spec& spec, Shape shape) { return spec.inputs.empty() || std::ranges::contains(spec.inputs, shape); }

/// What can be written around an example.
class Surroundings {
 public:
  Surroundings(const Spec& spec, const std::string& example)
      : spec_{spec}, example_{example}, document_{read_text(example, "example")} {}

  /// `columns`: of the sink behind a transform, if it needs them.
  std::string pipeline(const std::string& columns) const {
    const Value& node = document_.root;
    if (spec_.role == Role::codec)
      return wrap(source("signals", ", \"encoding\": " + example_) + "," + drop("signals"));
    if (spec_.role == Role::store)
      return wrap(source("signals") + "," + drop("signals"), weir::format(R"("state": {}, )", example_));
    const std::string id = node.find("id") == nullptr ? "" : node.find("id")->text;
    if (spec_.role == Role::source) return wrap(example_ + "," + drop(id));
    std::string nodes = input(node) + "," + example_;
    if (spec_.role == Role::transform) nodes += "," + drop(id, columns);
    return wrap(nodes);
  }

 private:
  static std::string wrap(const std::string& nodes, const std::string& more = {}) {
    return weir::format(R"({{ "name": "example", {}"limits": {{ "keys": 1000 }}, "nodes": [ {} ] }})", more, nodes);
  }
  static std::string drop(const std::string& from, const std::string& columns = {}) {
    return weir::format(R"({{ "id": "nowhere_", "sink": "drop", "from": "{}"{} }})", from, columns);
  }
  static std::string source(const std::string& id, const std::string& more = {}) {
    return weir::format(R"({{ "id": "{}", "source": "simulate", "vehicles": 1{} }})", id, more);
  }

  /// The node that the example reads from: samples, or brackets where it needs them.
  std::string input(const Value& node) const {
    const Value* from = node.find("from");
    const bool list = from != nullptr && from->is(Value::Kind::array) && !from->items.empty();
    const std::string whole = from == nullptr ? "" : list ? from->items[0].text : from->text;
    const std::string id = whole.substr(0, whole.find('.'));
    if (accepts(spec_, Shape::samples) && node.find("columns") == nullptr) return source(id);
    return source("signals_") + "," +
           weir::format(R"({{ "id": "{}", "transform": "window-join", "from": "signals_", "every": "1s" }})", id);
  }

  const Spec& spec_;
  const std::string& example_;
  Document document_;
};

}  // namespace

ExamplePipeline pipeline_of(const Spec& spec, const std::string& example, const Registry& registry) {
  CheckOptions options;
  options.variable = [](std::string_view) { return "postgresql://localhost/fleet"; };
  const Surroundings around{spec, example};
  const auto with = [&](const std::string& columns) {
    std::string text = around.pipeline(columns);
    Checked checked = check_pipeline(text, "example", registry, options);
    return ExamplePipeline{std::move(text), std::move(checked)};
  };
  ExamplePipeline plain = with("");
  if (plain.checked.pipeline || spec.role != Role::transform) return plain;
  ExamplePipeline completed = with(R"(, "columns": { "speed": {} })");  // brackets need a sink that makes rows of them
  return completed.checked.pipeline ? std::move(completed) : std::move(plain);
}

bool uses(const Pipeline& pipeline, const OperatorName& name) {
  if (name.role == Role::store) return pipeline.store == name.name;
  return std::ranges::any_of(pipeline.nodes, [&](const Node& node) {
    return name.role == Role::codec ? node.codec == name.name : node.role == name.role && node.name == name.name;
  });
}

}  // namespace weir::cli
