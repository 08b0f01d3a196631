#include "cli/plugin.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include <weir/format.hpp>
#include <weir/plugin.hpp>

#include "cli/command.hpp"

namespace weir::cli {
namespace {

using FileHeader = ElfW(Ehdr);
using Segment = ElfW(Phdr);

std::unexpected<Error> refused(std::string why) { return fail(Error::Kind::invalid, std::move(why)); }

// --- What a file says of itself
// ------------------------------------------------------------------------------------------

/// The bytes at a place of the file; nothing if it ends before.
template <typename T>
std::optional<T> read_at(std::ifstream& file, std::uint64_t offset) {
  T out;
  file.clear();
  if (!file.seekg(static_cast<std::streamoff>(offset)) || !file.read(reinterpret_cast<char*>(&out), sizeof out))
    return {};
  return out;
}

bool is_library_of_this_machine(const FileHeader& header) {
  constexpr unsigned char word = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
  constexpr unsigned char order = std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == word &&
         header.e_ident[EI_DATA] == order && header.e_type == ET_DYN && header.e_phentsize == sizeof(Segment);
}

/// Looks through a segment of notes for weir's own.
std::optional<std::string> note_in(std::ifstream& file, const Segment& segment) {
  const auto padded = [](std::uint64_t size) { return (size + 3) & ~std::uint64_t{3}; };
  const std::uint64_t end = segment.p_offset + segment.p_filesz;
  for (std::uint64_t at = segment.p_offset; at < end;) {
    const auto head = read_at<ElfW(Nhdr)>(file, at);
    if (!head) return {};
    if (head->n_namesz == sizeof "weir" && head->n_descsz == sizeof PluginNote::text) {
      const auto note = read_at<PluginNote>(file, at);
      if (note && note->type == PluginNote::kind && std::memcmp(note->name, "weir", sizeof "weir") == 0)
        return std::string{note->text, ::strnlen(note->text, sizeof note->text)};
    }
    at += sizeof *head + padded(head->n_namesz) + padded(head->n_descsz);
  }
  return {};
}

// --- Loading
// -----------------------------------------------------------------------------------------------------------------

const char* being_loaded = nullptr;

/// What is made when a library is loaded can't tell anybody that it failed.
[[noreturn]] void cut_short() {
  std::string what = "an exception of an unknown type";
  try {
    if (const auto thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::exception& problem) {
    what = problem.what();
  } catch (...) {  // as `what` says
  }
  const std::string line =
      weir::format("weir: --plugin {}: an object in it, such as a Spec, threw while the library was loaded: {}\n",
                   being_loaded, what);
  (void)!::write(STDERR_FILENO, line.data(), line.size());
  std::_Exit(usage);
}

/// Runs what the library makes at once, and answers its handle.
Result<void*> open_library(const std::string& file) {
  being_loaded = file.c_str();
  const auto before = std::set_terminate(cut_short);
  void* const library = ::dlopen(std::filesystem::absolute(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  std::set_terminate(before);
  if (library == nullptr) return refused(weir::format("can't be loaded: {}", ::dlerror()));
  return library;
}

std::optional<Role> role_of(std::string_view folder) {
  const auto role = std::ranges::find(all_roles, folder, folder_of);
  return role == std::end(all_roles) ? std::nullopt : std::optional{*role};
}

/// An operator of a library as the registry may have it.
Result<Operator> made(const PluginOperator& entry, Role role) {
  std::optional<Operator> op;
  try {
    op = entry.make();
  } catch (const std::exception& problem) {
    return refused(weir::format("its Spec threw: {}", problem.what()));
  } catch (...) {
    return refused("its Spec threw an exception of an unknown type");
  }
  if (op->spec.role != role)
    return refused(weir::format("its Spec is a {}'s, its folder a {}'s", to_string(op->spec.role), to_string(role)));
  return *std::move(op);
}

using Places = std::map<std::pair<Role, std::string>, std::string>;

/// `places`: the libraries of operators that were added before.
Result<std::vector<OperatorName>> add_operators(const PluginOperator* entry, const std::string& file, Places& places,
                                                Registry& registry) {
  std::vector<OperatorName> added;
  for (; entry->name != nullptr; ++entry) {
    const std::string name = weir::format("{}/{}", entry->folder, entry->name);
    const auto role = role_of(entry->folder);
    if (!role) return refused(weir::format("{}: there is no folder \"{}\" of operators", name, entry->folder));
    if (registry.find(*role, entry->name) != nullptr) {
      const auto where = places.find({*role, entry->name});
      return refused(weir::format("{}: there is a {} \"{}\" already, {}; give the file another name", name,
                                  to_string(*role), entry->name,
                                  where == places.end() ? "weir's own" : "in " + where->second));
    }
    auto op = made(*entry, *role);
    if (!op) return refused(weir::format("{}: {}", name, op.error().message));
    registry.add(entry->folder, entry->name, *std::move(op));
    places.emplace(std::pair{*role, std::string{entry->name}}, file);
    added.push_back({*role, entry->name});
  }
  return added;
}

Result<const PluginOperator*> operators_of(const std::string& file) {
  const auto theirs = built_for(file);
  if (!theirs) return std::unexpected(theirs.error());
  if (*theirs != this_program()) {
    return refused(
        weir::format("built for another weir than this, so it is not loaded\n  it was built for  {}\n  this "
                     "program is   {}\nBuild it again with the package (find_package(weir)) that is installed with "
                     "this program, and its compiler.",
                     *theirs, this_program()));
  }
  const auto library = open_library(file);
  if (!library) return std::unexpected(library.error());
  const void* const operators = ::dlsym(*library, "weir_plugin_operators");
  if (operators == nullptr) return refused("a library of weir's, but without a list of operators");
  return static_cast<const PluginOperator*>(operators);
}

}  // namespace

std::string_view this_program() { return WEIR_BUILT_FOR; }

Result<std::string> built_for(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return refused("there is no such file");
  if (status.type() != std::filesystem::file_type::regular) return refused("not a file");
  std::ifstream file{path, std::ios::binary};
  if (!file) return refused(weir::format("can't read the file: {}", std::strerror(errno)));
  const auto header = read_at<FileHeader>(file, 0);
  if (!header || !is_library_of_this_machine(*header)) return refused("not a shared library of this machine");
  for (std::uint64_t i = 0; i < header->e_phnum; ++i) {
    const auto segment = read_at<Segment>(file, header->e_phoff + i * sizeof(Segment));
    if (!segment) return refused("a shared library that is cut off");
    if (segment->p_type != PT_NOTE) continue;
    if (auto note = note_in(file, *segment)) return *std::move(note);
  }
  return refused("a shared library, but no plugin of weir: weir_add_plugin() builds one (find_package(weir))");
}

Result<std::vector<OperatorName>> load_plugins(std::span<const std::string> files, Registry& registry) {
  std::vector<OperatorName> out;
  std::vector<std::string> loaded;
  Places places;
  for (const std::string& file : files) {
    const auto named = [&](const Error& error) { return refused(weir::format("{}: {}", file, error.message)); };
    std::error_code other;
    const auto same = [&](const std::string& one) { return std::filesystem::equivalent(one, file, other); };
    if (const auto twice = std::ranges::find_if(loaded, same); twice != loaded.end()) {
      const std::string as = *twice == file ? "" : weir::format(", also as {}", *twice);
      return refused(weir::format("{}: given twice{}", file, as));
    }
    const auto operators = operators_of(file);
    if (!operators) return named(operators.error());
    const auto added = add_operators(*operators, file, places, registry);
    if (!added) return named(added.error());
    out.insert(out.end(), added->begin(), added->end());
    loaded.push_back(file);
  }
  return out;
}

}  // namespace weir::cli
