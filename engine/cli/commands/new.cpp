/// weir new: an operator to begin with, which compiles and passes its tests.
#include "cli/commands/new.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>

#include <weir/ascii.hpp>
#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "cli/command.hpp"

namespace weir::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_name = 64;

constexpr std::string_view lists_file = R"(cmake_minimum_required(VERSION 3.28)
if(NOT CMAKE_CXX_COMPILER AND NOT DEFINED ENV{CXX})
  find_program(CMAKE_CXX_COMPILER NAMES g++-16 g++ REQUIRED) # the one that weir is built with
endif()
project(my-op LANGUAGES CXX)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
find_package(weir @VERSION@ REQUIRED) # beside the `weir` on PATH, or below CMAKE_PREFIX_PATH
add_compile_options(-Wall -Wextra)

# A file <folder>/<name>.cpp is the operator <name>; others are parts of them.
weir_add_plugin(my-op @FILE@)

enable_testing()
add_test(NAME my-op COMMAND weir::weir test --conformance --plugin $<TARGET_FILE:my-op> ${CMAKE_CURRENT_SOURCE_DIR})
)";

bool is_small(char c) { return c >= 'a' && c <= 'z'; }

std::string problem_of_name(std::string_view name) {
  const auto allowed = [](char c) { return is_small(c) || is_digit(c) || c == '-'; };
  if (name.empty()) return "it has no name";
  if (name.size() > longest_name) return weir::format("its name has more than {} characters", longest_name);
  if (!std::ranges::all_of(name, allowed)) return "small letters, digits and hyphens make its name";
  if (!is_small(name.front())) return "its name begins with a letter";
  if (name.ends_with('-') || name.contains("--")) return "a hyphen stands between letters or digits";
  return {};
}

std::string with(std::string text, std::string_view what, std::string_view instead) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + instead.size()))
    text.replace(at, what.size(), instead);
  return text;
}

/// "my-op" in the place of a class: MyOp.
std::string class_of(std::string_view name) {
  std::string out;
  bool first = true;
  for (const char c : name) {
    if (c != '-') out += first && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    first = c == '-';
  }
  return out;
}

std::string named(std::string_view text, std::string_view name) {
  std::string out = with(std::string{text}, "MyOp", class_of(name));
  out = with(std::move(out), "my_op", with(std::string{name}, "-", "_"));
  return with(std::move(out), "my-op", name);
}

Place place_here() {
  if (fs::is_directory("operators/transforms") && fs::exists("engine/api/weir/operator.hpp")) return Place::tree;
  const auto lists = read_file("CMakeLists.txt");
  return lists && lists->contains("weir_add_plugin(") ? Place::project : Place::nowhere;
}

/// Nothing that is there is touched, whoever makes it meanwhile.
std::string write_new(const NewFile& file) {
  std::error_code error;
  const auto folder = fs::path{file.path}.parent_path();
  if (!folder.empty()) fs::create_directories(folder, error);
  const int made = ::open(file.path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
  if (made < 0) return std::strerror(errno);
  std::string_view rest = file.text;
  while (!rest.empty()) {
    const auto written = ::write(made, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  const bool whole = ::close(made) == 0 && rest.empty();
  if (whole) return {};
  const std::string why = std::strerror(errno);
  ::unlink(file.path.c_str());
  return why;
}

std::string what_next(const OperatorName& name, Place place) {
  const std::string file = weir::format("{}/{}", folder_of(name.role), name.name);
  switch (place) {
    case Place::tree:
      return weir::format(
          "next   cmake --build build/release --target weir weir_tests\n"
          "       build/release/weir test operators/{}.test.json\n"
          "       build/release/weir_tests --gtest_filter='*/{}_{}'\n",
          file, to_string(name.role), with(name.name, "-", "_"));
    case Place::project:
      return weir::format("next   name {}.cpp in weir_add_plugin(…) in CMakeLists.txt, then build and test as before\n",
                          file);
    case Place::nowhere:
      break;
  }
  return weir::format(
      "next   cd {0}\n"
      "       cmake -B build -G Ninja && cmake --build build\n"
      "       weir test --conformance --plugin build/{0}.so .\n",
      name.name);
}

int make_new(const std::string& wanted, const Registry& registry) {
  const auto name = operator_named(wanted);
  if (!name) {
    std::cerr << weir::format("weir new operator {}: {}\n", wanted, name.error().message);
    return usage;
  }
  if (registry.find(name->role, name->name) != nullptr) {
    std::cerr << weir::format("weir new operator {}: weir has a {} of that name: weir describe {}\n", wanted,
                              to_string(name->role), name->name);
    return usage;
  }
  const Place place = place_here();
  const auto files = new_operator(*name, place);
  if (place == Place::nowhere && fs::exists(name->name)) {
    std::cerr << weir::format("weir new operator {}: {} is there already, and nothing in it is touched\n", wanted,
                              name->name);
    return usage;
  }
  for (const NewFile& file : files) {
    if (!fs::exists(fs::symlink_status(file.path))) continue;
    std::cerr << weir::format("weir new operator {}: {} is there already, and is not touched\n", wanted, file.path);
    return usage;
  }
  for (const NewFile& file : files) {
    if (const auto why = write_new(file); !why.empty()) {
      std::cerr << weir::format("weir new operator {}: can't write {}: {}\n", wanted, file.path, why);
      return usage;
    }
    std::cout << weir::format("wrote  {}\n", file.path);
  }
  std::cout << what_next(*name, place);
  return fine;
}

}  // namespace

Result<OperatorName> operator_named(std::string_view text) {
  const auto slash = text.find('/');
  std::vector<std::string> roles;
  for (const Role role : all_roles) roles.emplace_back(to_string(role));
  const std::string role{text.substr(0, slash)};
  const auto wrong = [](std::string what) { return fail(Error::Kind::invalid, std::move(what)); };
  if (slash == std::string_view::npos) return wrong("say what it is too: transform/my-op, or source/, sink/, codec/");
  for (const Role one : all_roles) {
    if (role != to_string(one) && role != folder_of(one)) continue;
    const std::string name{text.substr(slash + 1)};
    if (const auto why = problem_of_name(name); !why.empty()) return wrong(why);
    if (one == Role::store) return wrong("there is nothing to begin a store with but operators/stores/memory.cpp");
    return OperatorName{one, name};
  }
  return wrong(weir::format("there is no role \"{}\"; {}", role, suggest(role, roles)));
}

std::vector<NewFile> new_operator(const OperatorName& name, Place place) {
  const auto [file, cases] = templates_of(name.role);
  const std::string path = weir::format("{}/{}", folder_of(name.role), name.name);
  std::string folder;
  if (place == Place::tree) folder = "operators/";
  if (place == Place::nowhere) folder = name.name + "/";
  std::vector<NewFile> out{{weir::format("{}{}.cpp", folder, path), named(file, name.name)},
                           {weir::format("{}{}.test.json", folder, path), named(cases, name.name)}};
  if (place == Place::nowhere) {
    std::string lists = with(named(lists_file, name.name), "@FILE@", path + ".cpp");
    out.push_back({folder + "CMakeLists.txt", with(std::move(lists), "@VERSION@", WEIR_VERSION)});
  }
  return out;
}

void add_new(Arguments& program, Session& session) {
  auto wanted = std::make_shared<std::string>();
  auto command = program.command("new", "writes an operator to begin with");
  auto kind = command.command("operator", "its one file and its tests; outside weir's own tree also what builds it");
  kind.needs("name", *wanted, "transform/my-op, or a source/, sink/ or codec/");
  kind.does([wanted, &session] { session.exit = make_new(*wanted, session.registry); });
}

}  // namespace weir::cli
