#include <weir/expression.hpp>
#include <weir/format.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include <weir/rfc3339.hpp>
#include <weir/shapes.hpp>

namespace weir {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

SchemaPtr schema() {
  static const auto made = std::make_shared<const Schema>(Schema{Shape::other,
                                                                 {{"n", Type::int64},
                                                                  {"x", Type::float64},
                                                                  {"ok", Type::boolean},
                                                                  {"time", Type::timestamp},
                                                                  {"text", Type::string},
                                                                  {"field", Type::dictionary},
                                                                  {"gone", Type::float64},
                                                                  {"gone_field", Type::dictionary},
                                                                  {"brake.before", Type::float64},
                                                                  {"a-b", Type::int64}}});
  return made;
}

/// Three rows: ordinary values; zeros, empty texts; NULL in every column.
BatchPtr batch() {
  const auto table = std::make_shared<Dictionary>();
  table->intern("charge");
  table->intern("speed");
  Validity valid;
  for (const bool flag : {true, true, false}) valid.push(flag, flag ? 0 : 2);
  Texts texts;
  for (const auto* text : {"Zürich", "", "?"}) texts.push(text);
  auto out = std::make_shared<Batch>();
  out->schema = schema();
  out->rows = 3;
  out->columns = {Column::int64({7, 0, -1}, valid),
                  Column::float64({2.5, 0, nan}, valid),
                  Column::boolean({1, 0, 1}, valid),
                  Column::timestamp({*parse_rfc3339("2026-01-01T00:00:00Z"), 0, 5}, valid),
                  Column::string(texts, valid),
                  Column::dictionary({{1, 0, 99}, table}, valid),
                  Column{},
                  Column{},
                  Column::float64({1, 2, 3}),
                  Column::int64({4, 5, 6})};
  out->arrival = {second, 2 * second, 3 * second};
  return out;
}

std::string shown(const Column& column, std::size_t row) {
  if (!column.valid(row)) return "NULL";
  switch (column.type()) {
    case Type::int64:
    case Type::timestamp:
      return std::to_string(column.int64s()[row]);
    case Type::float64:
      return weir::format("{}", column.float64s()[row]);
    case Type::boolean:
      return column.booleans()[row] != 0 ? "true" : "false";
    default:
      return weir::format("'{}'", column.text(row));
  }
}

std::string values(std::string_view text) {
  const auto expression = Expression::compile(text).and_then([](const Expression& e) { return e.bind(*schema()); });
  if (!expression) return weir::format("{}: {}", expression.error().offset, expression.error().message);
  const Column column = expression->evaluate(*batch());
  std::string out;
  for (std::size_t row = 0; row < 3; ++row) out += (row == 0 ? "" : " ") + shown(column, row);
  return out;
}

struct Case {
  std::string_view text, expected;
};

void check(std::initializer_list<Case> cases) {
  for (const Case& each : cases) EXPECT_EQ(values(each.text), each.expected) << each.text;
}

TEST(Expression, ArithmeticKeepsIntegersAndDividesAsDoubles) {
  check({{"n + 1", "8 1 NULL"},
         {"n - 1.5", "5.5 -1.5 NULL"},
         {"2 + 3 * 4", "14 14 14"},
         {"(2 + 3) * 4", "20 20 20"},
         {"10 - 3 - 2", "5 5 5"},
         {"7 / 2", "3.5 3.5 3.5"},
         {"n % 4", "3 0 NULL"},
         {"7.5 % 2", "1.5 1.5 1.5"},
         {"-n * -2", "14 0 NULL"},
         {"-x", "-2.5 0 NULL"},
         {"1e3 + .5", "1000.5 1000.5 1000.5"}});
}

TEST(Expression, WhatSqlRefusesIsNull) {
  check({{"1 / n", "0.14285714285714285 NULL NULL"},
         {"1 % n", "1 NULL NULL"},
         {"1.0 % x", "1 NULL NULL"},
         {"9223372036854775807 + n", "NULL 9223372036854775807 NULL"},
         {"-9223372036854775807 - n", "NULL -9223372036854775807 NULL"},
         {"4611686018427387904 * n", "NULL 0 NULL"},
         {"abs(-9223372036854775807 - 1)", "NULL NULL NULL"},
         {"(-9223372036854775807 - 1) % -1", "0 0 0"},
         {"sqrt(x - 1)", "1.224744871391589 NULL NULL"},
         {"ln(x) > 0", "true NULL NULL"}});
}

TEST(Expression, NullIsUnknownInLogic) {
  check({{"null and false", "false false false"},
         {"null and true", "NULL NULL NULL"},
         {"null or true", "true true true"},
         {"null or false", "NULL NULL NULL"},
         {"not null", "NULL NULL NULL"},
         {"ok and n = 0", "false false NULL"},
         {"ok or n = 0", "true true NULL"},
         {"ok or true", "true true true"},
         {"false and ok", "false false false"},
         {"not ok", "false true NULL"},
         {"not ok or n = 7 and x > 1", "true true NULL"},
         {"gone > 1 or n = 7", "true NULL NULL"},
         {"n = 7 or gone > 1", "true NULL NULL"},
         {"n = 0 and gone > 1", "false NULL NULL"}});
}

TEST(Expression, NullIsNeverEqualButCanBeAskedFor) {
  check({{"n = null", "NULL NULL NULL"},
         {"null = null", "NULL NULL NULL"},
         {"text = null", "NULL NULL NULL"},
         {"time = null", "NULL NULL NULL"},
         {"n is null", "false false true"},
         {"n is not null", "true true false"},
         {"gone is null", "true true true"},
         {"gone_field = 'a'", "NULL NULL NULL"},
         {"(n = null) is null", "true true true"}});
}

TEST(Expression, Compares) {
  check({{"n > 0", "true false NULL"},
         {"n >= 7", "true false NULL"},
         {"n < 0.5", "false true NULL"},
         {"n <= x", "false true NULL"},
         {"n <> 7", "false true NULL"},
         {"n != 7", "false true NULL"},
         {"n == 7", "true false NULL"},
         {"ok = true", "true false NULL"},
         {"ok = (n > 3)", "true true NULL"},
         {"text > 'A'", "true false NULL"},
         {"text = ''", "false true NULL"},
         {"NOT n In (1, 7)", "false true NULL"}});
}

TEST(Expression, NanIsEqualToItselfAndGreaterThanAll) {
  const auto doubles = std::make_shared<Batch>();
  doubles->schema = std::make_shared<const Schema>(Schema{Shape::other, {{"a", Type::float64}, {"b", Type::float64}}});
  doubles->rows = 4;
  doubles->columns = {Column::float64({nan, nan, infinity, 1}), Column::float64({nan, infinity, nan, nan})};
  doubles->arrival.resize(4);
  const auto flags = [&](std::string_view text) {
    return Expression::compile(text).value().bind(*doubles->schema).value().test(*doubles);
  };
  using Flags = std::vector<std::uint8_t>;
  EXPECT_EQ(flags("a = b"), (Flags{1, 0, 0, 0}));
  EXPECT_EQ(flags("a > b"), (Flags{0, 1, 0, 0}));
  EXPECT_EQ(flags("a >= b"), (Flags{1, 1, 0, 0}));
  EXPECT_EQ(flags("a < b"), (Flags{0, 0, 1, 1}));
  EXPECT_EQ(flags("a <= b"), (Flags{1, 0, 1, 1}));
  EXPECT_EQ(flags("a <> b"), (Flags{0, 1, 1, 1}));
}

TEST(Expression, DictionaryColumnsMeetTexts) {
  check({{"field = 'speed'", "true false NULL"},
         {"'speed' = field", "true false NULL"},
         {"field <> 'speed'", "false true NULL"},
         {"'speed' <> field", "false true NULL"},
         {"field = 'torque'", "false false NULL"},
         {"field <> 'torque'", "true true NULL"},
         {"field < 'd'", "false true NULL"},
         {"'d' < field", "true false NULL"},
         {"field = field", "true true NULL"},
         {"field = text", "false false NULL"},
         {"field in ('torque', 'speed')", "true false NULL"},
         {"field not in ('torque', 'speed')", "false true NULL"},
         {"field between 'a' and 'd'", "false true NULL"}});
}

TEST(Expression, InAndBetweenAreWhatTheyStandFor) {
  check({{"n in (1, 7)", "true false NULL"},
         {"n in (1, null)", "NULL NULL NULL"},
         {"n in (0, null)", "NULL true NULL"},
         {"n not in (-1, 7)", "false true NULL"},
         {"n between 1 and 7", "true false NULL"},
         {"n not between 1 and 6 and ok", "true false NULL"},
         {"n between null and -1", "false false NULL"},
         {"x between -1 and 1", "false true NULL"}});
}

TEST(Expression, InstantsAndLengthsOfTime) {
  check({{"time = '2026-01-01T01:00:00+01:00'", "true false NULL"},
         {"'1970-01-01T00:00:00Z' = time", "false true NULL"},
         {"time + 1m30s", "1767225690000000000 90000000000 NULL"},
         {"time - time", "0 0 NULL"},
         {"1.5ms + 1us + 7ns", "1501007 1501007 1501007"},
         {"arrival - 1s", "0 1000000000 2000000000"},
         {"arrival - 2s < '1970-01-01T00:00:00Z'", "true false false"},
         {"time between '2025-01-01T00:00:00Z' and '2027-01-01T00:00:00Z'", "true false NULL"},
         {"max(time, '1970-01-02T00:00:00Z') - 1d", "1767139200000000000 0 0"}});
}

TEST(Expression, Functions) {
  check({{"abs(-n)", "7 0 NULL"},
         {"abs(-x)", "2.5 0 NULL"},
         {"floor(x) + ceil(x) + round(x)", "8 0 NULL"},
         {"round(n)", "7 0 NULL"},
         {"hypot(3, 4) + power(2, 10) + exp(0) + sin(0) + cos(0)", "1031 1031 1031"},
         {"min(n, 3, x)", "2.5 0 3"},
         {"max(n, null)", "7 0 NULL"},
         {"max(field, 'd')", "'speed' 'd' 'd'"},
         {"coalesce(n, 1)", "7 0 1"},
         {"coalesce(n, 1.5)", "7 0 1.5"},
         {"coalesce(null, text, field, 'none')", "'Zürich' '' 'none'"},
         {"if(ok, n, -n - 5)", "7 -5 NULL"},
         {"if(n = 7, 'a', field)", "'a' 'charge' NULL"},
         {"if(x > 1, null, true)", "NULL true true"},
         {"length(text)", "6 0 NULL"},
         {"lower(text)", "'zürich' '' NULL"},
         {"upper(field)", "'SPEED' 'CHARGE' NULL"},
         {"starts_with(field, 'sp')", "true false NULL"},
         {"ends_with(field, 'ge')", "false true NULL"},
         {"contains(text, 'ü')", "true false NULL"},
         {"contains(text, null)", "NULL NULL NULL"}});
}

TEST(Expression, NamesAndTextsAsTheyAreWritten) {
  check({{"\"a-b\" + brake.before", "5 7 9"},
         {"'it''s'", "'it's' 'it's' 'it's'"},
         {" n\n", "7 0 NULL"},
         {"field", "'speed' 'charge' NULL"}});
}

TEST(Expression, MistakesSayWhereAndWhat) {
  check(
      {{"", "0: expected a value, found the end"},
       {"n >", "3: expected a value, found the end"},
       {"n > 1 1",
        "6: expected an operator or the end, found \"1\"; there are or, and, not, is, in, between, =, ==, <>, !=, <, <=, >, >=, +, -, *, /, %"},
       {"(n > 1", "6: expected \")\" for the \"(\" at byte 0, found the end"},
       {"ok and tme > 3", "7: unknown name \"tme\"; did you mean \"time\"?"},
       {"sqr(n)", "0: unknown function \"sqr\"; did you mean \"sqrt\"?"},
       {"median(n)",
        "0: unknown function \"median\"; there are abs, min, max, coalesce, if, floor, ceil, round, sqrt, exp, ln, "
        "sin, cos, hypot, power, length, lower, upper, starts_with, ends_with, contains"},
       {"hypot(n)", "0: hypot() takes 2 values, not 1"},
       {"max()", "0: max() takes at least 1 value, not 0"},
       {"text = 'abc", "7: text without its closing '"},
       {"\"n > 3", "0: name without its closing \""},
       {"n > 5 s",
        "6: expected an operator or the end, found \"s\"; there are or, and, not, is, in, between, =, ==, <>, !=, <, <=, >, >=, +, -, *, /, %"},
       {"n > 5sec", "4: \"5sec\" is neither a number nor a length of time like 5s or 1m30s"},
       {"n > 1e999", "4: \"1e999\" is out of range"},
       {"n > 999999d", "4: \"999999d\" is neither a number nor a length of time like 5s or 1m30s"},
       {"n + text", "4: \"+\" needs numbers, but \"text\" is a text"},
       {"n + 'a'", "4: \"+\" needs numbers, but this is a text"},
       {"n > 'a'", "4: \">\" can't take both: \"n\" is a number, and this is a text"},
       {"1 < n < 3", "8: \"<\" can't take both: what \"<\" gives is true or false, and this is a number"},
       {"n and ok", "0: \"and\" needs true or false, but \"n\" is a number"},
       {"time > 'noon'", "7: \"noon\" is no instant; write '2026-01-01T00:00:00Z'"},
       {"time + time", "7: \"+\" needs a length of time like 5s after an instant, but \"time\" is an instant"},
       {"n in ()", "2: \"in\" needs at least one value"},
       {"n is 3", "5: expected \"null\" after \"is\", found \"3\""},
       {"n not 3", "6: expected \"between\" after \"not\", or \"in\", found \"3\""},
       {"n between 1 or 2", "12: expected \"and\" between the two bounds, found \"or\""},
       {"n > and", "4: expected a value, found \"and\""},
       {"if(n, 1, 2)", "3: \"if\" needs a condition first, but \"n\" is a number"},
       {"if(ok, 1, 'a')", "10: \"if\" can't take both: this is a number, and this is a text"}});
  EXPECT_EQ(
      values("\"speed\" = field"),
      "0: unknown name \"speed\"; there are n, x, ok, time, text, field, gone, gone_field, brake.before, a-b, arrival; "
      "a text is written 'speed'");
}

TEST(Expression, DepthAndLengthAreBounded) {
  const auto repeated = [](std::string_view part, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += part;
    return out;
  };
  EXPECT_EQ(values(repeated("(", 150) + "1" + repeated(")", 150)), "1 1 1");
  EXPECT_TRUE(values(repeated("(", 20'000)).contains("nested more than 200 deep"));
  EXPECT_TRUE(values(repeated("not ", 10'000) + "ok").contains("nested more than 200 deep"));
  EXPECT_TRUE(values(repeated("1+", 1000) + "1").contains("nested more than 200 deep"));
  EXPECT_EQ(values(repeated("ok or ", 5000) + "true"), "true true true");
  EXPECT_EQ(values("max(" + repeated("n, ", 150) + "1)"), "7 1 1");
  EXPECT_EQ(values(std::string(70'000, ' ') + "1"), "0: an expression may have 65,536 bytes");
}

TEST(Expression, BlocksJoinWithoutASeam) {
  constexpr std::size_t rows = 5000;
  const auto table = std::make_shared<Dictionary>();
  std::vector<double> x(rows);
  Ids ids{std::vector<std::uint32_t>(rows), table};
  Validity valid;
  for (std::size_t i = 0; i < rows; ++i) {
    x[i] = static_cast<double>(i);
    ids.ids[i] = *table->intern("v" + std::to_string(i % 3000));
    valid.push(i != 2000, i);
  }
  auto samples_batch = std::make_shared<Batch>();
  samples_batch->schema = samples::schema();
  samples_batch->rows = rows;
  samples_batch->arrival.resize(rows);
  samples_batch->columns.resize(samples::schema()->columns.size());
  samples_batch->columns[samples::key] = Column::dictionary(ids);
  samples_batch->columns[samples::x] = Column::float64(x, valid);
  const auto bound = [](std::string_view text) {
    return Expression::compile(text).value().bind(*samples::schema()).value();
  };
  const Column doubled = bound("x * 2").evaluate(*samples_batch);
  const Column named = bound("upper(key)").evaluate(*samples_batch);
  const auto tested = bound("x >= 1000 and key <> 'v7'").test(*samples_batch);
  for (std::size_t i = 0; i < rows; ++i) {
    ASSERT_EQ(doubled.valid(i), i != 2000) << i;
    ASSERT_TRUE(i == 2000 || doubled.float64s()[i] == 2.0 * static_cast<double>(i)) << i;
    ASSERT_EQ(named.text(i), "V" + std::to_string(i % 3000));
    ASSERT_EQ(tested[i] != 0, i >= 1000 && i % 3000 != 7 && i != 2000) << i;
  }
}

TEST(Expression, FindsTextsThatJoinADictionaryLaterAndTellsDictionariesApart) {
  const auto expression = Expression::compile("field = 'speed'").value().bind(*samples::schema()).value();
  const auto first = [&](const std::shared_ptr<Dictionary>& table, std::uint32_t id) {
    auto one = std::make_shared<Batch>();
    one->schema = samples::schema();
    one->rows = 1;
    one->arrival.resize(1);
    one->columns.resize(samples::schema()->columns.size());
    one->columns[samples::field] = Column::dictionary({{id}, table});
    return expression.test(*one)[0] != 0;
  };
  const auto table = std::make_shared<Dictionary>();
  table->intern("charge");
  EXPECT_FALSE(first(table, 0));
  table->intern("speed");
  EXPECT_TRUE(first(table, 1));
  EXPECT_FALSE(first(table, 0));
  for (int i = 0; i < 10; ++i) {  // new tables may be given an old one's address
    const auto other = std::make_shared<Dictionary>();
    other->intern(i % 2 == 0 ? "speed" : "charge");
    EXPECT_EQ(first(other, 0), i % 2 == 0);
  }
  EXPECT_TRUE(first(table, 1));
}

TEST(Expression, MayBeEvaluatedBySeveralThreadsWhileADictionaryGrows) {
  const auto expression =
      Expression::compile("field = 'v9000' or upper(field) = 'V1'").value().bind(*samples::schema()).value();
  const auto table = std::make_shared<Dictionary>();
  for (int i = 0; i < 10; ++i) table->intern("v" + std::to_string(i));
  auto some = std::make_shared<Batch>();
  some->schema = samples::schema();
  some->rows = 10;
  some->arrival.resize(10);
  some->columns.resize(samples::schema()->columns.size());
  some->columns[samples::field] = Column::dictionary({{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, table});
  std::atomic<int> wrong = 0;
  const auto evaluate = [&] {
    const std::vector<std::uint8_t> only_v1{0, 1, 0, 0, 0, 0, 0, 0, 0, 0};
    for (int i = 0; i < 300; ++i) wrong += expression.test(*some) != only_v1;
  };
  std::thread a{evaluate};
  std::thread b{evaluate};
  for (int i = 10; i < 20'000; ++i) table->intern("v" + std::to_string(i));
  a.join();
  b.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace weir
