/// weir list: the operators that exist.
#include <algorithm>
#include <cstdio>
#include <iostream>

#include <weir/spelling.hpp>

#include "cli/command.hpp"
#include "console/json_writer.hpp"

namespace weir::cli {
namespace {

void print_json(const Registry& registry, const std::string& role) {
  JsonWriter out;
  out.array([&] {
    for (const Role one : all_roles) {
      if (!role.empty() && role != to_string(one)) continue;
      for (const auto name : registry.names(one)) {
        out.object([&] {
          out.text("role", std::string{to_string(one)});
          out.text("name", std::string{name});
          out.text("summary", registry.find(one, name)->spec.summary);
        });
      }
    }
  });
  std::cout << out.result() << '\n';
}

int list(const Registry& registry, const std::string& asked, const std::string& format) {
  const std::string role = asked.ends_with('s') ? asked.substr(0, asked.size() - 1) : asked;
  std::vector<std::string> names;
  for (const Role one : all_roles) names.emplace_back(to_string(one));
  if (!role.empty() && !std::ranges::contains(names, role)) {
    std::cerr << "weir list: there is no role \"" << asked << "\"; " << suggest(role, names) << "\n";
    return usage;
  }
  if (format == "json") {
    print_json(registry, role);
    return fine;
  }
  for (const Role one : all_roles) {
    if (!role.empty() && role != to_string(one)) continue;
    for (const auto name : registry.names(one)) {
      std::printf("%-10s %-18s %s\n", std::string{to_string(one)}.c_str(), std::string{name}.c_str(),
                  registry.find(one, name)->spec.summary.c_str());
    }
  }
  return fine;
}

}  // namespace

void add_list(Arguments& program, Session& session) {
  auto role = std::make_shared<std::string>();
  auto command = program.command("list", "lists the operators");
  command.option("role", *role, "only sources, transforms, sinks, stores or codecs");
  auto format = std::make_shared<std::string>("text");
  command.choice("--format", *format, {"text", "json"}, "JSON: an array of objects");
  command.does([role, format, &session] { session.exit = list(session.registry, *role, *format); });
}

}  // namespace weir::cli
