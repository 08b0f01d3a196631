#include "core/plan/explain_change.hpp"

#include <gtest/gtest.h>

#include "fakes/registry.hpp"
#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

Pipeline pipeline_of(const std::string& text) {
  auto checked = check_pipeline(text, "p.json", fakes::registry(), {});
  EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
  return checked.pipeline ? std::move(*checked.pipeline) : Pipeline{};
}

std::string effects(const text_tests::Input& in) {
  std::string out;
  const Pipeline before = pipeline_of(in.blocks.at(0)), now = pipeline_of(in.blocks.at(1));
  for (const Promise& promise : explain_change(before, now, fakes::registry()))
    out += promise.about + " " + promise.what + ": " + promise.why + "\n";
  return out;
}

const bool explain_change_tests = text_tests::add("engine/core/plan/explain_change_test.txt", {{"change", effects}});

}  // namespace
}  // namespace weir
