#include "core/plan/explain.hpp"

#include <gtest/gtest.h>

#include "fakes/registry.hpp"
#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

/// "about: what" of the promises that the argument names, in their order; with the reasons, if asked for.
std::string promises_of(const text_tests::Input& in, bool with_reasons) {
  const auto checked = check_pipeline(in.text(), "p.json", fakes::registry(), {});
  if (!checked.pipeline) return render(checked.findings, Format::text);
  std::string out;
  for (const Promise& promise : explain(*checked.pipeline, fakes::registry())) {
    if (!(", " + in.argument + ", ").contains(", " + promise.about + ", ")) continue;
    out += promise.about + ": " + promise.what + (with_reasons ? ": " + promise.why : "") + "\n";
  }
  return out;
}

const bool explain_tests = text_tests::add("engine/core/plan/explain_test.txt",
                                           {{"promises", [](const auto& in) { return promises_of(in, false); }},
                                            {"reasons", [](const auto& in) { return promises_of(in, true); }}});

}  // namespace
}  // namespace weir
