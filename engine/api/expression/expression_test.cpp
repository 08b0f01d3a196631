#include <weir/expression.hpp>
#include <weir/format.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include <weir/json_rows.hpp>
#include <weir/shapes.hpp>
#include <weir/state.hpp>

namespace weir {
namespace {

/// Of n: 7, 0 and NULL.
std::string values(std::string_view text) {
  auto batch = std::make_shared<Batch>();
  batch->schema = std::make_shared<const Schema>(Schema{Shape::other, {{"n", Type::int64}, {"ok", Type::boolean}}});
  batch->rows = 3;
  batch->arrival.resize(3);
  Validity valid;
  for (std::size_t row = 0; row < 3; ++row) valid.push(row != 2, row);
  batch->columns = {Column::int64({7, 0, -1}, valid), Column::boolean({1, 0, 1}, valid)};
  const auto bound = Expression::compile(text).and_then([&](const Expression& e) { return e.bind(*batch->schema); });
  if (!bound) return weir::format("{}: {}", bound.error().offset, bound.error().message);
  const Column column = bound->evaluate(*batch);
  std::string out;
  for (std::size_t row = 0; row < 3; ++row)
    out += (row == 0 ? "" : " ") + (column.valid(row) ? json::plain(column, row) : "NULL");
  return out;
}

TEST(Expression, LooksBackOnlyWhereSomethingRemembers) {
  EXPECT_TRUE(Expression::compile("1 + abs(previous(x))").value().looks_back());
  EXPECT_FALSE(Expression::compile("abs(x)").value().looks_back());
  const auto error = Expression::compile("x - previous(x)").value().bind(*samples::schema()).error();
  EXPECT_EQ(error.message, "previous() can't stand here: nothing remembers the row before");
  EXPECT_EQ(error.offset, 4U);
}

TEST(Expression, WhatIsRememberedEndsWithItsTimeAndOutlivesARestart) {
  const auto keys = std::make_shared<Dictionary>(), fields = std::make_shared<Dictionary>();
  for (const char* key : {"a", "b"}) keys->intern(key);
  fields->intern("speed");
  const auto row = [&](std::uint32_t key, double x, std::string_view text, Timestamp arrival) {
    auto out = std::make_shared<Batch>();
    out->schema = samples::schema();
    out->rows = 1;
    out->arrival = {arrival};
    out->columns.resize(samples::schema()->columns.size());
    out->columns[samples::key] = Column::dictionary({{key}, keys});
    out->columns[samples::field] = Column::dictionary({{0}, fields});
    out->columns[samples::x] = Column::float64({x});
    Texts texts;
    texts.push(text);
    out->columns[samples::text] = Column::string(texts);
    return out;
  };
  const auto expression = Expression::compile("concat(previous(x), previous(text))").value();
  History history{10}, other{10};
  const auto bound = expression.bind(*samples::schema(), &history).value();
  ASSERT_TRUE(expression.bind(*samples::schema(), &other));
  const auto before = [&](History& of, const BatchPtr& batch) {
    Expression::Evaluation evaluation{&of};
    of.begin(*batch);
    return std::string{bound.evaluate(*batch, evaluation).text(0)};
  };
  EXPECT_EQ(before(history, row(0, 1, "one", 0)), "");
  EXPECT_EQ(before(history, row(1, 2, "two", 5)), "");
  EXPECT_EQ(before(history, row(0, 3, "three", 9)), "1one");
  EXPECT_EQ(history.keys(), 2U);
  StateWriter saved;
  history.save(saved);
  StateReader reader{saved.bytes()};
  ASSERT_TRUE(other.load(reader, 2));
  EXPECT_TRUE(reader.at_end());
  for (History* each : {&history, &other}) {
    EXPECT_EQ(before(*each, row(0, 4, "four", 18)), "3three");
    EXPECT_EQ(before(*each, row(1, 5, "five", 18)), "") << "13 ns behind";
    EXPECT_EQ(before(*each, row(1, 6, "six", 18)), "5five");
    EXPECT_EQ(before(*each, row(0, 7, "", 28)), "") << "10 ns behind";
    EXPECT_EQ(each->keys(), 1U) << "the other one was swept out";
  }
  History narrow{10};
  StateReader again{saved.bytes()};
  EXPECT_FALSE(narrow.load(again, 1) && !narrow.empty());
  ASSERT_TRUE(expression.bind(*samples::schema(), &narrow));
  StateReader cut{std::string_view{saved.bytes()}.substr(0, saved.bytes().size() - 6)};
  EXPECT_FALSE(narrow.load(cut, 2));
}

TEST(Expression, ARowForgetsWhatLiesTooFarBehindWithinABatch) {
  const auto keys = std::make_shared<Dictionary>();
  keys->intern("a");
  auto batch = std::make_shared<Batch>();
  batch->schema = std::make_shared<const Schema>(Schema{Shape::rows, {{"key", Type::dictionary}, {"n", Type::int64}}});
  batch->rows = 4;
  batch->arrival = {1, 5, 15, 16};
  batch->columns = {Column::dictionary({{0, 0, 0, 0}, keys}), Column::int64({1, 2, 3, 4})};
  History history{10};
  const auto bound = Expression::compile("coalesce(previous(n), 0)").value().bind(*batch->schema, &history).value();
  Expression::Evaluation evaluation{&history};
  history.begin(*batch);
  const Column column = bound.evaluate(*batch, evaluation);
  EXPECT_EQ(std::vector(column.int64s().begin(), column.int64s().end()), (std::vector<std::int64_t>{0, 1, 0, 3}));
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
  EXPECT_EQ(values("case n " + repeated("when 1 / n then 0 ", 3000) + "else 1 end"), "1 1 1");
  EXPECT_EQ(values(" n\n"), "7 0 NULL");
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
