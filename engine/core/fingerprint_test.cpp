#include "core/fingerprint.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace weir {
namespace {

TEST(Fingerprint, SaysWhichPartsHaveChanged) {
  const std::string kept = fingerprint(std::vector<Part>{{"in", "a"}, {"last", "b"}, {"rows", "c"}});
  EXPECT_EQ(changed_parts(kept, kept), "");
  EXPECT_EQ(changed_parts(kept, fingerprint(std::vector<Part>{{"in", "a"}, {"rows", "d"}, {"more", "b"}})),
            R"("last" is gone, "rows" has changed, "more" is new)");
  EXPECT_EQ(changed_parts("0123456789abcdef", kept), "");
}

TEST(Fingerprint, IsOfTheOrderToo) {
  EXPECT_NE(fingerprint(std::vector<Part>{{"a", "1"}, {"b", "2"}}),
            fingerprint(std::vector<Part>{{"b", "2"}, {"a", "1"}}));
}

}  // namespace
}  // namespace weir
