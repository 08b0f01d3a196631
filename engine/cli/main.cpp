/// weir: the program.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>

#include "cli/command.hpp"

namespace {

/// A file or connection that got the number of a closed channel would be given all that is printed there. Reading these
/// ends at once, writing fails, as before.
void occupy_closed_channels() {
  for (int channel = STDIN_FILENO; channel <= STDERR_FILENO; ++channel) {
    if (::fcntl(channel, F_GETFD) == -1) (void)::open("/dev/null", O_RDONLY);
  }
}

void block_hangup() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
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
  auto plugged = cli::load_plugins(cli::CommandLine::early(argc, argv, "--plugin"), registry);
  if (!plugged) {
    std::cerr << "weir: --plugin " << plugged.error().message << "\n";
    return cli::usage;
  }
  cli::Session session{registry, cli::program_version(), cli::fine, *std::move(plugged)};

  cli::CommandLine line{
      "weir", "weir turns the raw signals of a fleet into evenly spaced, complete, trusted rows.", session.version,
      "Exit codes: 0 fine, 1 findings, 64 usage, 66 a file is missing, 69 a service is unreachable, 70 stopped by an "
      "error, 78 bad pipeline, 141 standard output was closed."};
  for (auto* add : {cli::add_run,    cli::add_record, cli::add_replay,   cli::add_info,   cli::add_lint,
                    cli::add_fmt,    cli::add_test,   cli::add_explain,  cli::add_list,   cli::add_describe,
                    cli::add_schema, cli::add_graph,  cli::add_progress, cli::add_owners, cli::add_lag,
                    cli::add_tap,    cli::add_top,    cli::add_new,      cli::add_setups, cli::add_completion}) {
    add(line.arguments(), session);
  }
  line.arguments().anywhere("--plugin", "library of operators, see `weir new operator`; as many as are wanted");
  if (const auto ended = line.obey(argc, argv)) return printed(*ended);
  return printed(session.exit);
}

int broken(std::string_view what) {
  std::cerr << "weir: internal error: " << what << "\n";
  return weir::cli::internal;
}

}  // namespace

int main(int argc, char** argv) {
  occupy_closed_channels();
  // `weir run` reloads on it, and may be asked to before it has read its file.
  if (argc > 1 && std::string_view{argv[1]} == "run") block_hangup();
  try {
    return obey(argc, argv);
  } catch (const std::exception& problem) {
    return broken(problem.what());
  } catch (...) {
    return broken("an exception of an unknown type");
  }
}
