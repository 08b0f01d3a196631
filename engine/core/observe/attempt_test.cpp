#include "core/observe/attempt.hpp"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

namespace weir {
namespace {

std::string told(const Result<void>& answer) {
  if (answer) return "fine";
  return answer.error().kind == Error::Kind::internal ? answer.error().message : "of another kind";
}

TEST(Attempt, AnyExceptionIsAnErrorThatSaysWhoseItIs) {
  EXPECT_EQ(told(attempt("db", [] { throw std::runtime_error("this breaks"); })), "db: this breaks");
  EXPECT_EQ(told(attempt("db", [] { throw std::bad_alloc(); })), "db: std::bad_alloc");
  EXPECT_EQ(told(attempt("db", [] { throw 7; })), "db: an exception of an unknown type");
  EXPECT_EQ(told(attempt("db", []() -> Result<void> { throw "text"; })), "db: an exception of an unknown type");
}

TEST(Attempt, AnAnswerIsPassedOn) {
  EXPECT_EQ(told(attempt("db", [] {})), "fine");
  EXPECT_EQ(attempt("db", []() -> Result<int> { return 7; }).value(), 7);
  const auto failed = attempt("db", []() -> Result<int> { return fail(Error::Kind::refused, "no"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Error::Kind::refused);
  EXPECT_EQ(failed.error().message, "no");
}

}  // namespace
}  // namespace weir
