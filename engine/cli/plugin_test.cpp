#include "cli/plugin.hpp"

#include <elf.h>
#include <gmock/gmock.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "cli/arguments.hpp"
#include "fakes/temporary_directory.hpp"

namespace weir::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// The beginning of a shared library, with a note in the form that plugin.hpp says.
class Library {
 public:
  explicit Library(std::string_view owner = "weir", std::uint32_t kind = 1) {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_DYN;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 2;
    segments[0].p_type = PT_LOAD;
    segments[1].p_type = PT_NOTE;
    segments[1].p_offset = sizeof header + sizeof segments;
    add("GNU", 3, std::string(20, 'i'));
    add(owner, kind, std::string{"weir 1.2.3"} + std::string(234, '\0'));
  }

  void add(std::string_view owner, std::uint32_t kind, std::string text) {
    const auto padded = [](std::string part) { return part.append((4 - part.size() % 4) % 4, '\0'); };
    const std::array<std::uint32_t, 3> head{static_cast<std::uint32_t>(owner.size() + 1),
                                            static_cast<std::uint32_t>(text.size()), kind};
    notes.append(reinterpret_cast<const char*>(head.data()), sizeof head);
    notes += padded(std::string{owner} + '\0') + padded(std::move(text));
    segments[1].p_filesz = notes.size();
  }

  std::string bytes() const {
    std::string out(reinterpret_cast<const char*>(&header), sizeof header);
    out.append(reinterpret_cast<const char*>(segments.data()), sizeof segments);
    return out + notes;
  }

  Elf64_Ehdr header{};
  std::array<Elf64_Phdr, 2> segments{};
  std::string notes;
};

class PluginFile : public testing::Test {
 protected:
  std::string read(const std::string& bytes) const {
    const auto built = built_for(directory_.write("plugin.so", bytes));
    return built ? *built : "refused: " + built.error().message;
  }

  fakes::TemporaryDirectory directory_;
};

TEST_F(PluginFile, SaysWhatItWasBuiltFor) { EXPECT_EQ(read(Library{}.bytes()), "weir 1.2.3"); }

TEST_F(PluginFile, IsRefusedWhereItIsNone) {
  const auto refused = [](const std::string& file) { return built_for(file).error_or(Error{}).message; };
  EXPECT_EQ(refused(directory_.file("none.so")), "there is no such file");
  EXPECT_EQ(refused(directory_.path()), "not a file");
  EXPECT_THAT(read(""), HasSubstr("not a shared library"));
  EXPECT_THAT(read("#!/bin/sh\nexit 0\n" + std::string(4096, '\n')), HasSubstr("not a shared library"));
  EXPECT_THAT(refused("/proc/self/exe"), HasSubstr("no plugin of weir"));
  EXPECT_THAT(read(Library{"wier"}.bytes()), HasSubstr("no plugin of weir"));
  EXPECT_THAT(read(Library{"weir", 2}.bytes()), HasSubstr("no plugin of weir"));
}

TEST_F(PluginFile, IsRefusedWhereItIsOfAnotherMachineOrKind) {
  for (const auto change :
       {+[](Library& l) { l.header.e_ident[EI_CLASS] = ELFCLASS32; },
        +[](Library& l) { l.header.e_ident[EI_DATA] = ELFDATA2MSB; }, +[](Library& l) { l.header.e_type = ET_EXEC; },
        +[](Library& l) { l.header.e_phentsize = 32; }}) {
    Library library;
    change(library);
    EXPECT_THAT(read(library.bytes()), HasSubstr("not a shared library of this machine"));
  }
}

TEST_F(PluginFile, IsRefusedWhereItIsDamaged) {
  const std::string whole = Library{}.bytes();
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THAT(read(whole.substr(0, size)), HasSubstr("refused: ")) << size;
  for (std::size_t at = 0; at < whole.size(); ++at) {  // no answer may depend on what is not in the file
    std::string damaged = whole;
    damaged[at] = '\xff';
    EXPECT_FALSE(read(damaged).empty()) << at;
  }
  Library endless;
  endless.segments[1].p_filesz = UINT64_MAX;
  endless.notes[0] = 'x';
  EXPECT_THAT(read(endless.bytes()), HasSubstr("no plugin of weir"));
}

TEST(Plugins, AreNamedBeforeTheCommandsAreKnown) {
  std::vector<std::string> words{"weir", "--plugin", "a.so", "run",      "--plugin=b.so", "p.json",
                                 "-s",   "x=1",      "--",   "--plugin", "c.so"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  const auto early = [&](std::size_t count) {
    return CommandLine::early(static_cast<int>(count), argv.data(), "--plugin");
  };
  EXPECT_THAT(early(argv.size()), ElementsAre("a.so", "b.so"));
  EXPECT_THAT(early(2), ElementsAre()) << "the value is missing, which the parser will say";
}

TEST(Plugins, BringNoCommandThatIsThere) {
  CommandLine line{"weir", "", "", ""};
  line.arguments().command("run", "");
  EXPECT_THAT([&] { line.arguments().command("run", ""); },
              testing::ThrowsMessage<std::runtime_error>(HasSubstr("no operator that has setups may be called so")));
}

TEST(Plugins, MayBeNamedBehindEveryCommand) {
  CommandLine line{"weir", "", "", ""};
  std::string file;
  line.arguments().command("progress", "").command("show", "").needs("file", file, "");
  line.arguments().anywhere("--plugin", "");
  const Typable weir = line.arguments().typable();
  EXPECT_THAT(weir.options, testing::Contains("--plugin"));
  EXPECT_THAT(weir.commands.back().commands.at(0).options, testing::Contains("--plugin"));
  std::array<std::string, 9> words{"weir", "--plugin", "a", "progress", "--plugin", "b", "show", "--plugin=c", "f"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  EXPECT_EQ(line.obey(static_cast<int>(argv.size()), argv.data()), std::nullopt);
  EXPECT_EQ(file, "f");
}

}  // namespace
}  // namespace weir::cli
