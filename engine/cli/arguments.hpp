/// What commands take from the command line. Only arguments.cpp knows the library that parses it.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/types.hpp>

namespace CLI {  // NOLINT: its own name
class App;       // of that library
}

namespace weir::cli {

/// What may be typed: a command, its options with their dashes, and the commands below it.
struct Typable {
  std::string name, what;
  std::vector<std::string> options;
  std::vector<Typable> commands;
};

/// One command while it is declared. Values go straight into the variables given, which must live until it has run;
/// what stands in them before is the default.
class Arguments {
 public:
  explicit Arguments(CLI::App& app) : app_{&app} {}

  /// A command below this one, of which one must be given then.
  Arguments command(const std::string& name, const std::string& what);

  /// Without dashes, and it must be given.
  Arguments& needs(const std::string& name, std::string& value, const std::string& what);
  Arguments& needs(const std::string& name, std::vector<std::string>& values, const std::string& what);
  /// May be left out. `names`: "-s,--set", or without dashes for one that is known by its place.
  Arguments& option(const std::string& names, std::string& value, const std::string& what);
  Arguments& option(const std::string& names, std::vector<std::string>& values, const std::string& what);
  Arguments& option(const std::string& names, std::optional<Partition>& value, const std::string& what);
  /// One of these words, which need not be named in `what`. word(): without dashes, and it must be given.
  Arguments& word(const std::string& name, std::string& value, std::initializer_list<const char*> words,
                  const std::string& what);
  Arguments& choice(const std::string& names, std::string& value, std::initializer_list<const char*> words,
                    const std::string& what);
  Arguments& flag(const std::string& names, bool& value, const std::string& what);

  /// An option with a value that may stand anywhere and any number of times: of this command and of all that are
  /// declared below it so far. What it was given is not told here, but by CommandLine::early().
  void anywhere(const std::string& name, const std::string& what);

  /// What is done when it was given.
  void does(std::function<void()> what);

  /// All that has been declared of it so far.
  Typable typable() const;

 private:
  CLI::App* app_;
};

/// The whole command line of the program.
class CommandLine {
 public:
  CommandLine(const std::string& program, const std::string& summary, const std::string& version,
              const std::string& footer);
  ~CommandLine();

  Arguments& arguments() { return arguments_; }

  /// The values of an option, before anything is declared: what decides which commands there are.
  static std::vector<std::string> early(int argc, char** argv, std::string_view name);

  /// Parses, and does what the command that was given does. Answers nothing then; else the program's exit code, as
  /// only help was wanted, or something was wrong and has been said.
  std::optional<int> obey(int argc, char** argv);

 private:
  std::unique_ptr<CLI::App> app_;
  Arguments arguments_;
};

}  // namespace weir::cli
