/// weir OPERATOR WORD: what a pipeline needs in the configuration of a system that its operators talk to.
#include <algorithm>
#include <iostream>
#include <memory>

#include <weir/format.hpp>

#include "cli/command.hpp"

namespace weir::cli {
namespace {

struct SetupOptions {
  std::string name;  ///< of the operator
  std::string word;
  std::string file;
  PipelineOptions pipeline;
};

/// Null if the node has none of that name.
const SetupSpec* setup_of(const Node& node, const SetupOptions& options) {
  const auto& setups = node.op->spec.setups;
  const auto found = std::ranges::find(setups, options.word, &SetupSpec::name);
  return node.name == options.name && found != setups.end() ? &*found : nullptr;
}

int setup(const SetupOptions& options, const Registry& registry) {
  const LoadedPipeline loaded = load_pipeline(options.file, options.pipeline, registry, false);
  print_findings(loaded);
  if (!loaded.checked.pipeline) return bad_pipeline;
  std::vector<Finding> none;
  bool any = false;
  for (const Node& node : loaded.checked.pipeline->nodes) {
    const SetupSpec* asked = setup_of(node, options);
    if (asked == nullptr) continue;
    any = true;
    const auto text = asked->text(node.settings);
    if (text)
      std::cout << *text;
    else
      none.push_back({Severity::error, loaded.file, node.place, "no-" + asked->name, text.error().message, ""});
  }
  if (!any) {
    std::cerr << weir::format("weir {0} {1}: no node of {2} needs a {1} of {0}\n", options.name, options.word,
                              options.file);
    return usage;
  }
  if (none.empty()) return fine;
  std::cerr << render(none, Format::text);
  return findings;
}

}  // namespace

void add_setups(Arguments& program, Session& session) {
  for (const Role role : all_roles) {
    for (const std::string_view name : session.registry.names(role)) {
      const auto& setups = session.registry.find(role, name)->spec.setups;
      if (setups.empty()) continue;
      auto command = program.command(std::string{name}, weir::format("prints what {} must be configured with", name));
      for (const SetupSpec& one : setups) {
        auto options = std::make_shared<SetupOptions>(SetupOptions{std::string{name}, one.name, {}, {}});
        auto verb = command.command(one.name, one.doc);
        verb.needs("pipeline", options->file, "pipeline file");
        add_pipeline_options(verb, options->pipeline);
        verb.does([options, &session] { session.exit = setup(*options, session.registry); });
      }
    }
  }
}

}  // namespace weir::cli
