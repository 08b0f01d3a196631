/// weir graph: draws a pipeline as text, DOT or SVG.
#include <algorithm>
#include <weir/format.hpp>

#include <iostream>
#include <set>

#include "cli/command.hpp"
#include "console/json_writer.hpp"
#include "core/plan/pipeline.hpp"

namespace weir::cli {
namespace {

std::string edge_label(const Pipeline& pipeline, const PortRef& from) {
  const Node& node = pipeline.nodes[from.node];
  const std::string shape{to_string(node.outputs[from.port]->shape)};
  return from.port == 0 ? shape : node.op->spec.ports[from.port - 1].name + ": " + shape;
}

/// A tree; a node of several inputs is drawn under each, and what is behind it under the first.
void draw_text(const Pipeline& pipeline, std::size_t number, std::set<std::size_t>& drawn, const std::string& indent,
               std::ostream& out) {
  const Node& node = pipeline.nodes[number];
  const bool first = drawn.insert(number).second;
  out << node.id << "  (" << to_string(node.role) << " " << node.name << (first ? ")\n" : ", see above)\n");
  if (!first) return;
  std::vector<std::pair<std::size_t, PortRef>> readers;
  for (std::size_t i = 0; i < pipeline.nodes.size(); ++i) {
    for (const PortRef& input : pipeline.nodes[i].inputs) {
      if (input.node == number) readers.emplace_back(i, input);
    }
  }
  for (std::size_t i = 0; i < readers.size(); ++i) {
    const bool last = i + 1 == readers.size();
    out << indent << (last ? "└─ " : "├─ ") << edge_label(pipeline, readers[i].second) << " → ";
    draw_text(pipeline, readers[i].first, drawn, indent + (last ? "   " : "│  "), out);
  }
}

void draw_dot(const Pipeline& pipeline, std::ostream& out) {
  out << "digraph \"" << pipeline.name
      << "\" {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", "
         "fontsize=10];\n";
  for (const Node& node : pipeline.nodes) {
    out << "  \"" << node.id << "\" [label=\"" << node.id << "\\n" << node.name << "\"];\n";
    for (const PortRef& input : node.inputs) {
      out << "  \"" << pipeline.nodes[input.node].id << "\" -> \"" << node.id << "\" [label=\""
          << edge_label(pipeline, input) << "\"];\n";
    }
  }
  out << "}\n";
}

void write_json(const Pipeline& pipeline, std::ostream& out) {
  JsonWriter json;
  json.object([&] {
    json.text("pipeline", pipeline.name);
    json.key("nodes").array([&] {
      for (const Node& node : pipeline.nodes) {
        json.object([&] {
          json.text("id", node.id);
          json.text("role", std::string{to_string(node.role)});
          json.text("operator", node.name);
          json.key("from").array([&] {
            for (const PortRef& input : node.inputs) json.text(place_of(pipeline, input));
          });
        });
      }
    });
  });
  out << json.result() << '\n';
}

/// Columns by distance from the source, rows by order in the text.
class Svg {
 public:
  explicit Svg(const Pipeline& pipeline) : pipeline_{pipeline}, places_(pipeline.nodes.size()) {
    std::vector<int> used;
    for (std::size_t i = 0; i < pipeline.nodes.size(); ++i) {
      int column = 0;
      for (const PortRef& input : pipeline.nodes[i].inputs) column = std::max(column, places_[input.node].first + 1);
      used.resize(std::max(used.size(), static_cast<std::size_t>(column) + 1));
      places_[i] = {column, used[static_cast<std::size_t>(column)]++};
      columns_ = std::max(columns_, column + 1);
      rows_ = std::max(rows_, places_[i].second + 1);
    }
  }

  void draw(std::ostream& out) const {
    out << weir::format(
               R"(<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}" font-family="sans-serif" font-size="13">)",
               columns_ * step_x, rows_ * step_y + margin)
        << "\n";
    for (std::size_t i = 0; i < pipeline_.nodes.size(); ++i) {
      for (const PortRef& input : pipeline_.nodes[i].inputs) draw_edge(input, i, out);
    }
    for (std::size_t i = 0; i < pipeline_.nodes.size(); ++i) draw_node(i, out);
    out << "</svg>\n";
  }

 private:
  static constexpr int step_x = 240, step_y = 80, box_x = 150, box_y = 50, margin = 15;

  int left(std::size_t node) const { return places_[node].first * step_x + margin; }
  int top(std::size_t node) const { return places_[node].second * step_y + margin; }

  void draw_node(std::size_t number, std::ostream& out) const {
    const Node& node = pipeline_.nodes[number];
    const int x = left(number);
    const int y = top(number);
    out << weir::format(R"(<rect x="{}" y="{}" width="{}" height="{}" rx="6" fill="#f4f7fa" stroke="#345"/>)", x, y,
                        box_x, box_y)
        << "\n"
        << weir::format(R"(<text x="{}" y="{}" text-anchor="middle" font-weight="bold">{}</text>)", x + box_x / 2,
                        y + 20, node.id)
        << "\n"
        << weir::format(R"(<text x="{}" y="{}" text-anchor="middle" fill="#567">{}</text>)", x + box_x / 2, y + 38,
                        node.name)
        << "\n";
  }

  void draw_edge(const PortRef& from, std::size_t to, std::ostream& out) const {
    const int x1 = left(from.node) + box_x;
    const int y1 = top(from.node) + box_y / 2;
    const int x2 = left(to);
    const int y2 = top(to) + box_y / 2;
    out << weir::format(R"(<path d="M{} {} C{} {} {} {} {} {}" fill="none" stroke="#345"/>)", x1, y1, x1 + 40, y1,
                        x2 - 40, y2, x2, y2)
        << "\n"
        << weir::format(R"(<text x="{}" y="{}" text-anchor="middle" font-size="11" fill="#567">{}</text>)",
                        (x1 + x2) / 2, (y1 + y2) / 2 - 5, edge_label(pipeline_, from))
        << "\n";
  }

  const Pipeline& pipeline_;
  std::vector<std::pair<int, int>> places_;  // column, row
  int columns_ = 1, rows_ = 1;
};

struct GraphOptions {
  std::string file;
  std::string format = "text";
  PipelineOptions pipeline;
};

int graph(const GraphOptions& options, const Registry& registry) {
  const LoadedPipeline loaded = load_pipeline(options.file, options.pipeline, registry, false);
  print_findings(loaded);
  if (!loaded.checked.pipeline) return bad_pipeline;
  const Pipeline& pipeline = *loaded.checked.pipeline;
  std::set<std::size_t> drawn;
  if (options.format == "dot")
    draw_dot(pipeline, std::cout);
  else if (options.format == "svg")
    Svg{pipeline}.draw(std::cout);
  else if (options.format == "json")
    write_json(pipeline, std::cout);
  else
    draw_text(pipeline, pipeline.source(), drawn, "", std::cout);
  return fine;
}

}  // namespace

void add_graph(Arguments& program, Session& session) {
  auto options = std::make_shared<GraphOptions>();
  auto command = program.command("graph", "draws a pipeline");
  command.needs("pipeline", options->file, "pipeline file");
  command.choice("--format", options->format, {"text", "json", "dot", "svg"},
                 "how it is drawn; JSON: an object with the nodes");
  add_pipeline_options(command, options->pipeline);
  command.does([options, &session] { session.exit = graph(*options, session.registry); });
}

}  // namespace weir::cli
