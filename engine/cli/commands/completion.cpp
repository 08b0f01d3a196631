/// weir completion: a script that has a shell complete commands and options; files it completes by itself.
#include <iostream>

#include <weir/format.hpp>

#include "cli/command.hpp"

namespace weir::cli {
namespace {

std::string spaced(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

/// The branches of bash's `case`, by the words typed so far without options: a command's own before those above it.
void bash_branches(const Typable& at, const std::string& typed, std::string& out) {
  std::vector<std::string> names;
  for (const Typable& command : at.commands) {
    names.push_back(command.name);
    bash_branches(command, typed + (typed.empty() ? "" : " ") + command.name, out);
  }
  const std::string pattern = typed.empty() ? "*" : weir::format("'{0}' | '{0} '*", typed);
  out += weir::format("    {}) commands='{}' options='{}' ;;\n", pattern, spaced(names), spaced(at.options));
}

std::string bash_script(const Typable& program) {
  std::string branches;
  bash_branches(program, "", branches);
  return weir::format(R"(_{0}() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} typed='' commands options i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ ${{COMP_WORDS[i]}} == -* ]] || typed+="${{typed:+ }}${{COMP_WORDS[i]}}"
  done
  case $typed in
{1}  esac
  [[ $word != -* ]] || commands=$options
  mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
}}
complete -o default -F _{0} {0}
)",
                      program.name, branches);
}

std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' || c == '\\' ? std::string{'\\', c} : std::string{c};
  return out + "'";
}

std::string fish_script(const Typable& program) {
  const std::string complete = "complete -c " + program.name;
  std::string out = complete + " -n __fish_use_subcommand -f\n";
  for (const Typable& command : program.commands) {
    out += weir::format("{} -n __fish_use_subcommand -a {} -d {}\n", complete, command.name, in_quotes(command.what));
    const std::string behind = weir::format("{} -n '__fish_seen_subcommand_from {}'", complete, command.name);
    for (const Typable& below : command.commands)
      out += weir::format("{} -f -a {} -d {}\n", behind, below.name, in_quotes(below.what));
    for (const std::string& option : command.options)
      out += weir::format("{} {}\n", behind,
                          (option.starts_with("--") ? "-l " : "-s ") + option.substr(option.find_first_not_of('-')));
  }
  return out;
}

}  // namespace

std::string completion_script(const Typable& program, std::string_view shell) {
  if (shell == "fish") return fish_script(program);
  const std::string_view compatible = shell == "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : "";
  return std::string{compatible} + bash_script(program);
}

void add_completion(Arguments& program, Session&) {
  auto shell = std::make_shared<std::string>();
  auto command = program.command("completion", "prints a script that has a shell complete commands and options");
  command.word("shell", *shell, {"bash", "zsh", "fish"}, "whose");
  command.does([shell, program] { std::cout << completion_script(program.typable(), *shell); });
}

}  // namespace weir::cli
