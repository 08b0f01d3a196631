/// weir list: the operators that exist.
#include <cstdio>
#include <iostream>

#include "cli/command.hpp"

namespace weir::cli {
namespace {

constexpr Role roles[] = {Role::source, Role::transform, Role::sink, Role::store, Role::codec};

void list(const Registry& registry, const std::string& role) {
  for (const Role one : roles) {
    if (!role.empty() && role != to_string(one)) continue;
    for (const auto name : registry.names(one)) {
      std::printf("%-10s %-18s %s\n", std::string{to_string(one)}.c_str(), std::string{name}.c_str(),
                  registry.find(one, name)->spec.summary.c_str());
    }
  }
}

}  // namespace

void add_list(CLI::App& app, Session& session) {
  auto role = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("list", "lists the operators");
  command->add_option("role", *role, "only sources, transforms, sinks, stores or codecs")
      ->transform([](std::string text) { return text.ends_with('s') ? text.substr(0, text.size() - 1) : text; }, "", "")
      ->check(CLI::IsMember({"source", "transform", "sink", "store", "codec"}));
  command->callback([role, &session] { list(session.registry, *role); });
}

}  // namespace weir::cli
