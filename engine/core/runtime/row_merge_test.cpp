#include "core/runtime/row_merge.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <tuple>

#include <weir/format.hpp>

namespace weir {
namespace {

/// A row of one input: when it arrived, of which message of the step it is, and what tells it from others.
struct Row {
  Timestamp arrival;
  std::uint32_t message;
  std::string name;
};

const SchemaPtr schema = std::make_shared<const Schema>(
    Schema{Shape::other,
           {{"name", Type::string}, {"of", Type::dictionary}, {"number", Type::float64}, {"none", Type::int64}}});

/// `table`: of the column "of", which says the name, too; inputs may have tables of their own.
BatchPtr batch_of(const std::vector<Row>& rows, const std::shared_ptr<Dictionary>& table) {
  auto out = std::make_shared<Batch>();
  out->schema = schema;
  out->rows = rows.size();
  Texts names;
  Ids ids{{}, table};
  std::vector<double> lengths;
  Validity valid;
  for (const Row& row : rows) {
    valid.push(row.name != "null", lengths.size());
    names.push(row.name);
    ids.ids.push_back(table->intern(row.name).value());
    lengths.push_back(static_cast<double>(row.name.size()));
    out->arrival.push_back(row.arrival);
    out->message_of_row.push_back(row.message);
  }
  out->columns = {Column::string(std::move(names)), Column::dictionary(std::move(ids)),
                  Column::float64(std::move(lengths), std::move(valid)), Column{}};
  return out;
}

class Merging : public testing::Test {
 protected:
  void put(std::size_t input, const std::vector<Row>& rows) { merge_.put(input, batch_of(rows, table_)); }
  /// The names of what can be given out, "|" and how far arrival time has come.
  std::string take() {
    if (!merge_.ready()) return "nothing";
    const auto rows = merge_.take();
    if (!rows) return rows.error().message;
    std::string out;
    for (std::size_t row = 0; row < (*rows)->rows; ++row) {
      const Batch& batch = **rows;
      EXPECT_EQ(batch.columns[0].text(row), batch.columns[1].text(row));
      EXPECT_EQ(batch.columns[2].valid(row), batch.columns[0].text(row) != "null");
      EXPECT_FALSE(batch.columns[3].valid(row));
      out += weir::format("{} ", batch.columns[0].text(row));
    }
    return weir::format("{}| {}", out, (*rows)->reached);
  }

  std::shared_ptr<Dictionary> table_ = std::make_shared<Dictionary>();
  RowMerge merge_{schema, 2};
};

TEST_F(Merging, GoesByArrivalThenMessageThenInput) {
  merge_.begin({0, 0, 9}, 50);
  put(1, {{10, 0, "b0"}, {10, 1, "b1"}, {30, of_deadline, "b-due"}, {30, 2, "b2"}});
  put(0, {{10, 1, "a1"}, {20, of_deadline, "a-due"}, {30, 2, "null"}, {30, 3, "a3"}});
  merge_.close(0);
  merge_.close(1);
  EXPECT_EQ(take(), "b0 a1 b1 a-due b-due null b2 a3 | 50");
  EXPECT_EQ(take(), "nothing");
}

TEST_F(Merging, WaitsForAnInputFromWhichSomethingMayComeFirst) {
  merge_.begin({0, 0, 9}, 50);
  put(0, {{10, 0, "a0"}, {20, 1, "a1"}});
  EXPECT_EQ(take(), "nothing");
  EXPECT_EQ(merge_.blocked_by(), 1u);
  put(1, {{20, 1, "b1"}});
  EXPECT_EQ(take(), "a0 a1 | 20");
  EXPECT_EQ(merge_.blocked_by(), 0u) << "which may have more to say of message 1";
  put(1, {{40, 2, "b2"}});
  merge_.close(0);
  EXPECT_EQ(take(), "b1 b2 | 40");
  EXPECT_EQ(take(), "nothing");
  merge_.close(1);
  EXPECT_EQ(take(), "| 50") << "arrival time goes by without rows, too";
}

TEST_F(Merging, TellsAnInputThatBreaksItsPromise) {
  merge_.begin({0, 0, 9}, 50);
  put(1, {{20, 0, "b0"}, {10, 1, "b1"}});
  EXPECT_EQ(take(), "rows of input 2 are not in the order of arrival");

  RowMerge another{schema, 2};
  another.begin({0, 0, 9}, 50);
  auto numberless = std::make_shared<Batch>(*batch_of({{10, 0, "a0"}}, table_));
  numberless->message_of_row.clear();
  another.put(0, numberless);
  EXPECT_EQ(another.take().error().message, "rows of input 1 do not say of which message they are");
}

TEST_F(Merging, JoinsTheTablesOfInputsThatHaveTheirOwn) {
  merge_.begin({0, 0, 9}, 50);
  const auto other = std::make_shared<Dictionary>();
  other->intern("shifts all ids");
  put(0, {{10, 0, "a0"}, {30, 2, "same"}});
  merge_.put(1, batch_of({{20, 1, "same"}, {40, 3, "b3"}}, other));
  merge_.close(0);
  merge_.close(1);
  EXPECT_EQ(take(), "a0 same same b3 | 50");
}

/// However the rows are cut into batches, in whatever order the inputs come.
TEST_F(Merging, GivesTheSameOrderWhateverTheCuts) {
  std::mt19937 random{1};
  const auto below = [&](std::size_t count) {
    return std::uniform_int_distribution<std::size_t>{0, count - 1}(random);
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<std::vector<Row>> inputs(2 + below(3));
    std::vector<std::tuple<Timestamp, std::uint32_t, std::size_t, std::size_t, std::string>> all;
    for (std::size_t input = 0; input < inputs.size(); ++input) {
      std::vector<std::pair<Timestamp, std::uint32_t>> places(below(20));
      for (auto& [arrival, message] : places) {
        message = static_cast<std::uint32_t>(below(12));
        arrival = static_cast<Timestamp>(message / 3);  // several messages may arrive at once
        if (below(4) == 0) message = of_deadline;
      }
      std::ranges::sort(places, {}, [](const auto& place) { return std::pair{place.first, place.second + 1}; });
      for (const auto& [arrival, message] : places) {
        const std::string name = weir::format("{}/{}", input, inputs[input].size());
        all.emplace_back(arrival, message + 1, input, inputs[input].size(), name);
        inputs[input].push_back({arrival, message, name});
      }
    }
    std::ranges::sort(all);
    RowMerge merge{schema, inputs.size()};
    merge.begin({0, 0, 9}, 50);
    std::vector<std::string> found;
    std::vector<std::size_t> given(inputs.size());
    std::vector<bool> closed(inputs.size());
    while (!std::ranges::all_of(closed, std::identity{}) || merge.ready()) {
      const std::size_t input = merge.blocked_by().value_or(below(inputs.size()));
      const auto& rows = inputs[input];
      const std::size_t count = std::min(rows.size() - given[input], below(4));
      const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(given[input]);
      merge.put(input, batch_of({begin, begin + static_cast<std::ptrdiff_t>(count)}, table_));
      given[input] += count;
      if (given[input] == rows.size()) {
        merge.close(input);
        closed[input] = true;
      }
      while (merge.ready()) {
        const BatchPtr out = merge.take().value();
        for (std::size_t row = 0; row < out->rows; ++row) found.emplace_back(out->columns[0].text(row));
      }
    }
    std::vector<std::string> wanted;
    for (const auto& row : all) wanted.push_back(std::get<4>(row));
    ASSERT_EQ(found, wanted) << "round " << round;
  }
}

}  // namespace
}  // namespace weir
