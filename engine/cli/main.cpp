/// weir: the program.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>

#include <weir/spelling.hpp>

#include "cli/command.hpp"

namespace {

/// A file or connection that got the number of a closed channel would be given all that is printed there. Reading these
/// ends at once, writing fails, as before.
void occupy_closed_channels() {
  for (int channel = STDIN_FILENO; channel <= STDERR_FILENO; ++channel) {
    if (::fcntl(channel, F_GETFD) == -1) (void)::open("/dev/null", O_RDONLY);
  }
}

/// What found no room must not look as if it had been printed.
int printed(int exit) {
  errno = 0;
  if (std::cout.flush()) return exit;
  std::cerr << "weir: standard output takes no more" << (errno == 0 ? "" : ": ")
            << (errno == 0 ? "" : std::strerror(errno)) << "\n";
  return exit == weir::cli::fine ? weir::cli::internal : exit;
}

int obey(int argc, char** argv) {
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
    return printed(app.exit(error) == 0 ? cli::fine : cli::usage);
  }
  return printed(session.exit);
}

int broken(std::string_view what) {
  std::cerr << "weir: internal error: " << what << "\n";
  return weir::cli::internal;
}

}  // namespace

int main(int argc, char** argv) {
  occupy_closed_channels();
  try {
    return obey(argc, argv);
  } catch (const std::exception& problem) {
    return broken(problem.what());
  } catch (...) {
    return broken("an exception of an unknown type");
  }
}
