/// weir: the program.
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
      "pipeline.");
  for (auto* add : {cli::add_run, cli::add_lint, cli::add_explain, cli::add_list, cli::add_describe, cli::add_schema,
                    cli::add_graph, cli::add_progress}) {
    add(app, session);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? cli::fine : cli::usage;
  }
  return session.exit;
}
