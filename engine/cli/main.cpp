/// weir: the program.
#include <iostream>

#include <weir/spelling.hpp>

#include "cli/command.hpp"

int main(int argc, char** argv) {
  using namespace weir;
  Registry registry;
  register_all(registry);
  cli::Session session{registry, cli::program_version()};

  CLI::App app{"weir turns the raw signals of a fleet into evenly spaced, complete, trusted rows.", "weir"};
  app.set_version_flag("--version", "weir " + session.version);
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 fine, 1 findings, 64 usage, 69 a service is unreachable, 70 stopped by an error, 78 bad "
      "pipeline, 141 standard output was closed.");
  for (auto* add : {cli::add_run, cli::add_lint, cli::add_fmt, cli::add_test, cli::add_explain, cli::add_list,
                    cli::add_describe, cli::add_schema, cli::add_graph, cli::add_progress}) {
    add(app, session);
  }
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommand_no_throw(argv[1]) == nullptr) {
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
    const std::string meant = did_you_mean(argv[1], names);
    std::cerr << "weir: there is no command \"" << argv[1] << '"' << (meant.empty() ? "" : "; ") << meant
              << "\nRun with --help for more information.\n";
    return cli::usage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? cli::fine : cli::usage;
  }
  return session.exit;
}
