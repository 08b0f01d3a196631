#include "cli/commands/new.hpp"

#include <gmock/gmock.h>

namespace weir::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string mistake_in(std::string_view operator_name) {
  return operator_named(operator_name).error_or(Error{}).message;
}

TEST(New, TakesARoleAndAName) {
  for (const std::string_view text : {"transform/my-op2", "transforms/my-op2"}) {
    const auto name = operator_named(text);
    ASSERT_TRUE(name) << name.error().message;
    EXPECT_EQ(name->role, Role::transform);
    EXPECT_EQ(name->name, "my-op2");
  }
  EXPECT_EQ(mistake_in("codec/x"), "");
  EXPECT_EQ(mistake_in("sink/" + std::string(64, 'x')), "");
}

TEST(New, SaysWhatIsWrongWithAName) {
  EXPECT_THAT(mistake_in("my-op"), HasSubstr("transform/my-op"));
  EXPECT_THAT(mistake_in(""), HasSubstr("transform/my-op"));
  EXPECT_THAT(mistake_in("tranform/my-op"), HasSubstr(R"(no role "tranform"; did you mean "transform"?)"));
  EXPECT_THAT(mistake_in("store/disk"), HasSubstr("operators/stores/memory.cpp"));
  EXPECT_THAT(mistake_in("sink/"), HasSubstr("no name"));
  EXPECT_THAT(mistake_in("sink/" + std::string(65, 'x')), HasSubstr("more than 64"));
  for (const std::string_view text : {"sink/My", "sink/my_op", "sink/my op", "sink/../x", "sink/a/b", "sink/größe"})
    EXPECT_THAT(mistake_in(text), HasSubstr("small letters, digits and hyphens")) << text;
  for (const std::string_view text : {"sink/2fast", "sink/-x"}) EXPECT_THAT(mistake_in(text), HasSubstr("begins with"));
  for (const std::string_view text : {"sink/x-", "sink/a--b"}) EXPECT_THAT(mistake_in(text), HasSubstr("a hyphen"));
}

TEST(New, WritesWhereTheOperatorBelongs) {
  const auto paths = [](Place place) {
    std::string out;
    for (const NewFile& file : new_operator({Role::sink, "my-op"}, place)) out += file.path + " ";
    return out;
  };
  EXPECT_EQ(paths(Place::tree), "operators/sinks/my-op.cpp operators/sinks/my-op.test.json ");
  EXPECT_EQ(paths(Place::project), "sinks/my-op.cpp sinks/my-op.test.json ");
  EXPECT_EQ(paths(Place::nowhere), "my-op/sinks/my-op.cpp my-op/sinks/my-op.test.json my-op/CMakeLists.txt ");
}

TEST(New, CallsEverythingByItsName) {
  for (const Role role : {Role::source, Role::transform, Role::sink, Role::codec}) {
    const auto files = new_operator({role, "dead-band2"}, Place::nowhere);
    ASSERT_EQ(files.size(), 3u);
    const std::string hook = "WEIR_OPERATOR(" + folder_of(role) + ", dead_band2, DeadBand2Operator, spec())\n";
    EXPECT_THAT(files[0].text, HasSubstr(hook));
    EXPECT_THAT(files[1].text, HasSubstr(R"("dead-band2")"));
    EXPECT_THAT(files[2].text, HasSubstr("weir_add_plugin(dead-band2 " + folder_of(role) + "/dead-band2.cpp)"));
    for (const NewFile& file : files) {
      EXPECT_NE(file.text, "");
      for (const char* left : {"my-op", "my_op", "MyOp", "@"})
        EXPECT_THAT(file.text, Not(HasSubstr(left))) << file.path;
    }
  }
}

}  // namespace
}  // namespace weir::cli
