#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>
#include <thread>
#include <utility>

#include <weir/operator.hpp>

#include "fakes/context.hpp"

namespace weir {
Operator weir_operator_sinks_stdout();

namespace {

BatchPtr batch() {
  auto batch = std::make_shared<Batch>();
  batch->schema = std::make_shared<const Schema>(Schema{Shape::other,
                                                        {{"key", Type::string},
                                                         {"tick", Type::timestamp},
                                                         {"speed", Type::float64},
                                                         {"gear", Type::int64},
                                                         {"on", Type::boolean}}});
  batch->rows = 2;
  Texts keys;
  keys.push("a\"\n");
  keys.push("145");
  Validity speed;
  speed.push(false, 0);
  speed.push(true, 1);
  batch->columns = {Column::string(keys), Column::timestamp({0, 250 * millisecond}), Column::float64({1, 52.5}, speed),
                    Column{}, Column::boolean({1, 0})};
  batch->arrival = {0, 0};
  return batch;
}

fakes::FakeContext& context() {
  static fakes::FakeContext one;
  return one;
}

Settings settings_of(const std::string& format) {
  Settings settings{"show"};
  settings.set("format", format);
  return settings;
}

std::string printed(const std::string& format, const BatchPtr& rows) {
  const auto sink = weir_operator_sinks_stdout().make_sink(settings_of(format), context());
  EXPECT_TRUE(sink->bind_schema(rows->schema));
  EXPECT_TRUE(sink->open());
  testing::internal::CaptureStdout();
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(sink->write(sink->encode(rows)));
  EXPECT_TRUE(sink->commit({}));
  return testing::internal::GetCapturedStdout();
}

TEST(Stdout, PrintsJsonLines) {
  const std::string lines =
      "{\"key\":\"a\\\"\\n\",\"tick\":\"1970-01-01T00:00:00Z\",\"speed\":null,\"gear\":null,\"on\":true}\n"
      "{\"key\":\"145\",\"tick\":\"1970-01-01T00:00:00.25Z\",\"speed\":52.5,\"gear\":null,\"on\":false}\n";
  EXPECT_EQ(printed("json", batch()), lines + lines);
}

TEST(Stdout, PrintsATableWithOneHeading) {
  auto rows = batch()->select(std::vector<std::uint8_t>{0, 1});
  const std::string line = "145           1970-01-01T00:00:00.25Z         52.5           -  false\n";
  EXPECT_EQ(printed("table", rows),
            "key           tick                           speed        gear     on\n" + line + line);
}

TEST(Stdout, NumbersOfATableFitTheirColumn) {
  auto rows = std::make_shared<Batch>();
  rows->schema = std::make_shared<const Schema>(Schema{Shape::other, {{"x", Type::float64}, {"y", Type::float64}}});
  rows->rows = 2;
  rows->columns = {Column::float64({13.467815944423341, 0.0 / 0.0}), Column::float64({1e100, -52.559312})};
  const std::string lines = " 13.467816      1e+100\n         -  -52.559312\n";
  EXPECT_EQ(printed("table", rows), "         x           y\n" + lines + lines);
}

TEST(Stdout, HoldsNothingBack) {
  const auto sink = weir_operator_sinks_stdout().make_sink(settings_of("json"), context());
  const Encoded rows = sink->encode(batch());
  testing::internal::CaptureStdout();
  EXPECT_TRUE(sink->write(rows));
  // Not what is printed when a process ends as it should, but what is there if it does not.
  struct stat file{};
  EXPECT_EQ(::fstat(STDOUT_FILENO, &file), 0);
  EXPECT_EQ(static_cast<std::size_t>(file.st_size), rows.bytes.size()) << "no part of a line, and no line, waits";
  EXPECT_EQ(testing::internal::GetCapturedStdout(), rows.bytes);
}

/// Standard output as a pipe that holds less than is printed and never makes anybody wait.
class ImpatientOutput {
 public:
  ImpatientOutput() {
    std::fflush(stdout);
    if (::pipe(ends_) != 0 || ::fcntl(ends_[1], F_SETFL, O_NONBLOCK) != 0) throw std::runtime_error{"no pipe"};
    ::dup2(ends_[1], STDOUT_FILENO);
    ::close(ends_[1]);
  }
  ~ImpatientOutput() {
    give_back();
    ::close(ends_[0]);
  }
  ImpatientOutput(const ImpatientOutput&) = delete;
  ImpatientOutput& operator=(const ImpatientOutput&) = delete;

  /// All that comes until give_back().
  std::string read() const {
    std::string all;
    char some[4096];
    for (ssize_t count = 0; (count = ::read(ends_[0], some, sizeof some)) > 0;)
      all.append(some, static_cast<std::size_t>(count));
    return all;
  }
  void close_reading() { ::close(std::exchange(ends_[0], -1)); }
  void give_back() {
    if (before_ < 0) return;
    ::dup2(before_, STDOUT_FILENO);
    ::close(std::exchange(before_, -1));
  }

 private:
  int ends_[2] = {-1, -1};
  int before_ = ::dup(STDOUT_FILENO);
};

/// As when another program that has the same terminal has made it non-blocking.
TEST(Stdout, WaitsForAReaderWhenTheOutputItselfDoesNot) {
  const auto sink = weir_operator_sinks_stdout().make_sink(settings_of("json"), context());
  Encoded rows;
  for (int i = 0; i < 100'000; ++i) rows.bytes += "{\"row\":" + std::to_string(i) + "}\n";
  ImpatientOutput output;
  std::string got;
  std::jthread reader{[&] {
    system_clock().wait(50 * millisecond, {});  // the pipe is full by then
    got = output.read();
  }};
  const auto printed = sink->write(rows);
  output.give_back();
  reader.join();
  EXPECT_TRUE(printed) << printed.error().message;
  EXPECT_TRUE(got == rows.bytes) << got.size() << " of " << rows.bytes.size() << " bytes";
}

TEST(Stdout, WaitsForNobodyWhenTheReaderHasGone) {
  const auto sink = weir_operator_sinks_stdout().make_sink(settings_of("json"), context());
  Encoded rows;
  rows.bytes.assign(1'000'000, 'x');
  ::signal(SIGPIPE, SIG_IGN);
  ImpatientOutput output;
  std::jthread reader{[&] {
    system_clock().wait(50 * millisecond, {});
    output.close_reading();
  }};
  const auto printed = sink->write(rows);
  output.give_back();
  ASSERT_FALSE(printed);
  EXPECT_EQ(printed.error().kind, Error::Kind::stopped);
}

TEST(Stdout, NaNIsNull) {
  auto rows = std::make_shared<Batch>();
  rows->schema = std::make_shared<const Schema>(Schema{Shape::other, {{"x", Type::float64}}});
  rows->rows = 1;
  rows->columns = {Column::float64({0.0 / 0.0})};
  EXPECT_EQ(printed("json", rows), "{\"x\":null}\n{\"x\":null}\n");
}

}  // namespace
}  // namespace weir
