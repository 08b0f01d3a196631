#include <weir/units.hpp>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <weir/format.hpp>

#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

/// What a text is, or what is wrong with it.
template <typename Parse>
auto parsed_by(Parse parse) {
  return [parse](const text_tests::Input& in) {
    const auto parsed = parse(in.text());
    return parsed ? weir::format("{}", *parsed) : parsed.error();
  };
}

const bool units_tests = text_tests::add(
    "engine/api/units_test.txt", {{"duration", parsed_by(parse_duration)},
                                  {"size", parsed_by(parse_size)},
                                  {"rate", parsed_by(parse_rate)},
                                  {"shown", [](const auto& in) { return format_duration(std::stoll(in.text())); }}});

RC_GTEST_PROP(Units, WhatIsShownReadsBack, (std::uint64_t bits)) {
  const auto duration = static_cast<Duration>(bits >> 1 >> *rc::gen::inRange(0, 63));
  RC_ASSERT(parse_duration(format_duration(duration)) == duration);
}

}  // namespace
}  // namespace weir
