#include "cli/arguments.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <stdexcept>
#include <utility>

#include <weir/spelling.hpp>

#include "cli/command.hpp"

namespace weir::cli {

Arguments Arguments::command(const std::string& name, const std::string& what) {
  app_->require_subcommand(1);
  try {
    return Arguments{*app_->add_subcommand(name, what)};
  } catch (const CLI::OptionAlreadyAdded&) {
    throw std::runtime_error{"\"" + name + "\" is a command, so no operator that has setups may be called so"};
  }
}

Arguments& Arguments::needs(const std::string& name, std::string& value, const std::string& what) {
  app_->add_option(name, value, what)->required();
  return *this;
}

Arguments& Arguments::needs(const std::string& name, std::vector<std::string>& values, const std::string& what) {
  app_->add_option(name, values, what)->required();
  return *this;
}

Arguments& Arguments::option(const std::string& names, std::string& value, const std::string& what) {
  app_->add_option(names, value, what);
  return *this;
}

Arguments& Arguments::option(const std::string& names, std::vector<std::string>& values, const std::string& what) {
  app_->add_option(names, values, what)->allow_extra_args(false);  // one each time: the file may follow
  return *this;
}

Arguments& Arguments::option(const std::string& names, std::optional<Partition>& value, const std::string& what) {
  app_->add_option(names, value, what);
  return *this;
}

Arguments& Arguments::word(const std::string& name, std::string& value, std::initializer_list<const char*> words,
                           const std::string& what) {
  app_->add_option(name, value, what)
      ->required()
      ->check(CLI::IsMember(std::vector<std::string>{words.begin(), words.end()}));
  return *this;
}

Arguments& Arguments::choice(const std::string& names, std::string& value, std::initializer_list<const char*> words,
                             const std::string& what) {
  app_->add_option(names, value, what)
      ->check(CLI::IsMember(std::vector<std::string>{words.begin(), words.end()}))
      ->capture_default_str();
  return *this;
}

Arguments& Arguments::flag(const std::string& names, bool& value, const std::string& what) {
  app_->add_flag(names, value, what);
  return *this;
}

void Arguments::anywhere(const std::string& name, const std::string& what) {
  app_->add_option_function<std::vector<std::string>>(
          name, [](const std::vector<std::string>&) {}, what)
      ->allow_extra_args(false)
      ->type_name("FILE");
  for (CLI::App* command : app_->get_subcommands({})) Arguments{*command}.anywhere(name, what);
}

void Arguments::does(std::function<void()> what) { app_->callback(std::move(what)); }

Typable Arguments::typable() const {
  Typable out{app_->get_name(), app_->get_description(), {}, {}};
  for (const CLI::Option* option : app_->get_options()) {
    for (const std::string& name : option->get_lnames()) out.options.push_back("--" + name);
    for (const std::string& name : option->get_snames()) out.options.push_back("-" + name);
  }
  for (CLI::App* command : app_->get_subcommands({})) out.commands.push_back(Arguments{*command}.typable());
  return out;
}

CommandLine::CommandLine(const std::string& program, const std::string& summary, const std::string& version,
                         const std::string& footer)
    : app_{std::make_unique<CLI::App>(summary, program)}, arguments_{*app_} {
  app_->set_version_flag("--version", program + " " + version);
  app_->footer(footer);
  app_->add_subcommand("help", "explains a command: " + program + " help run");
  app_->add_subcommand("version", "prints the version");
}

CommandLine::~CommandLine() = default;

std::vector<std::string> CommandLine::early(int argc, char** argv, std::string_view name) {
  std::vector<std::string> values;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--") break;  // names of files follow
    if (word == name && i + 1 < argc) values.emplace_back(argv[++i]);
    if (word.starts_with(name) && word.substr(name.size()).starts_with('='))
      values.emplace_back(word.substr(name.size() + 1));
  }
  return values;
}

std::optional<int> CommandLine::obey(int argc, char** argv) {
  std::vector<std::string> words{argv + std::min(argc, 1), argv + argc};
  if (!words.empty() && words.front() == "version") words = {"--version"};
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  if (!words.empty() && !words.front().starts_with('-') && app_->get_subcommand_no_throw(words.front()) == nullptr) {
    std::vector<std::string> names;
    for (const CLI::App* command : app_->get_subcommands({})) names.push_back(command->get_name());
    const std::string meant = did_you_mean(words.front(), names);
    std::cerr << app_->get_name() << ": there is no command \"" << words.front() << '"' << (meant.empty() ? "" : "; ")
              << meant << "\nRun with --help for more information.\n";
    return usage;
  }
  try {
    std::ranges::reverse(words);  // as the library takes them
    app_->parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return app_->exit(error) == 0 ? fine : usage;
  }
  return std::nullopt;
}

}  // namespace weir::cli
