/// weir describe: everything an operator says of itself.
#include <iostream>

#include <weir/spelling.hpp>

#include "cli/command.hpp"
#include "cli/kinds.hpp"

namespace weir::cli {
namespace {

void describe_fields(const std::vector<Field>& fields, const std::string& indent) {
  for (const Field& field : fields) {
    std::cout << indent << field.name << "  (" << kind_name(field.kind);
    if (field.required) std::cout << ", required";
    if (!field.fallback.empty()) std::cout << ", default " << field.fallback;
    std::cout << ")\n" << indent << "    " << field.doc << "\n";
    describe_fields(field.kind.fields, indent + "    ");
  }
}

void describe(Role role, std::string_view name, const Spec& spec) {
  std::cout << to_string(role) << " " << name << "\n    " << spec.summary << "\n";
  if (!spec.paragraph.empty()) std::cout << "\n" << spec.paragraph << "\n";
  if (!spec.fields.empty()) std::cout << "\nSettings\n";
  describe_fields(spec.fields, "    ");
  if (role == Role::source || spec.has_encoding)
    std::cout << "    encoding  (name of a codec, or an object with \"codec\" and its settings, default flatbuffers)\n";
  if (!spec.ports.empty()) std::cout << "\nPorts beside the main one\n";
  for (const PortSpec& port : spec.ports) std::cout << "    " << port.name << "\n        " << port.doc << "\n";
  if (!spec.counters.empty()) std::cout << "\nCounters\n";
  for (const CounterSpec& counter : spec.counters)
    std::cout << "    weir_" << counter.name << "_total\n        " << counter.doc << "\n";
  if (!spec.examples.empty()) std::cout << "\nExamples\n";
  for (const std::string& example : spec.examples) std::cout << "    " << example << "\n";
}

int describe(const std::string& name, Session& session) {
  std::vector<std::string> known;
  bool found = false;
  for (const Role role : {Role::source, Role::transform, Role::sink, Role::store, Role::codec}) {
    for (const auto one : session.registry.names(role)) known.emplace_back(one);
    const Operator* op = session.registry.find(role, name);
    if (op == nullptr) continue;
    if (found) std::cout << "\n";
    describe(role, name, op->spec);
    found = true;
  }
  if (found) return fine;
  const std::string near = did_you_mean(name, known);
  std::cerr << "weir describe: there is no operator \"" << name << "\""
            << (near.empty() ? "; `weir list` shows them all" : "; " + near) << "\n";
  return usage;
}

}  // namespace

void add_describe(CLI::App& app, Session& session) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("describe", "shows an operator's settings, ports, counters and examples");
  command->add_option("operator", *name, "its name, e.g. window-join")->required();
  command->callback([name, &session] { session.exit = describe(*name, session); });
}

}  // namespace weir::cli
