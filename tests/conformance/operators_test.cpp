/// What every operator of this tree must do: the rules for all (cli/conformance.hpp), and what only their sources tell.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include <gtest/gtest.h>

#include <numeric>

#include <weir/format.hpp>
#include <weir/shapes.hpp>

#include "cli/conformance.hpp"
#include "cli/example.hpp"
#include "core/observe/counters.hpp"
#include "core/runtime/chain.hpp"
#include "fakes/registry.hpp"

namespace weir {
namespace {

using fakes::registry;

using cli::OperatorName;

std::vector<OperatorName> every_operator() {
  std::vector<OperatorName> out;
  for (const Role role : all_roles) {
    for (const auto name : registry().names(role)) out.push_back({role, std::string{name}});
  }
  return out;
}

class Operators : public testing::TestWithParam<OperatorName> {
 protected:
  const Operator& op() const { return *registry().find(GetParam().role, GetParam().name); }
  const Spec& spec() const { return op().spec; }
};

TEST_P(Operators, KeepTheRules) {
  for (const auto& [rule, broken] : cli::conformance_of(registry(), GetParam())) {
    for (const std::string& how : broken) ADD_FAILURE() << rule << ": " << how;
  }
}

// --- Counters
// ---------------------------------------------------------------------------------------------------------

/// What is counted in a file: `counter("late")`, `count("retries", …)`, `Growth{context, "restarts"}`.
std::vector<std::string> counted_in(const std::filesystem::path& file) {
  static const std::regex use{R"re((?:\bcounter\("([a-z_]+)"\)|\bcount\("([a-z_]+)",|\bcontext_?, "([a-z_]+)"[})]))re"};
  std::ifstream in{file};
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  std::vector<std::string> out;
  for (std::sregex_iterator at{text.begin(), text.end(), use}, end; at != end; ++at) {
    for (std::size_t group = 1; group < at->size(); ++group) {
      if ((*at)[group].matched) out.push_back((*at)[group].str());
    }
  }
  return out;
}

bool declares(const Spec& spec, const std::string& counter) {
  return std::ranges::contains(spec.counters, counter, &CounterSpec::name);
}

TEST_P(Operators, CountUnderNamesThatTheirSpecLists) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path{WEIR_SOURCE_DIR} / "operators" / (std::string{to_string(GetParam().role)} + "s");
  std::vector<fs::path> files{folder / (GetParam().name + ".cpp")};
  ASSERT_TRUE(fs::exists(files[0])) << files[0];
  if (fs::exists(folder / GetParam().name)) {
    for (const auto& part : fs::directory_iterator{folder / GetParam().name}) files.push_back(part.path());
  }
  for (const fs::path& file : files) {
    for (const std::string& counter : counted_in(file))
      EXPECT_TRUE(declares(spec(), counter)) << file << " counts \"" << counter << "\"";
  }
}

TEST(Clients, CountUnderNamesThatSomeSpecLists) {
  const std::filesystem::path operators = std::string{WEIR_SOURCE_DIR} + "/operators";
  for (const auto& file : std::filesystem::directory_iterator{operators / "clients"}) {
    for (const std::string& counter : counted_in(file.path())) {
      EXPECT_TRUE(std::ranges::any_of(
          every_operator(),
          [&](const OperatorName& named) { return declares(registry().find(named.role, named.name)->spec, counter); }))
          << file.path() << " counts \"" << counter << "\"";
    }
  }
  EXPECT_GE(counted_in(operators / "sources/nats/partition_source.cpp").size(), 3u)
      << "operators count in some other form now: tell counted_in() about it";
}

// --- Cases
// ------------------------------------------------------------------------------------------------------------

TEST(TransformsAndCodecs, HaveACaseFileBesideThem) {
  for (const auto& [role, folder] : {std::pair{Role::transform, "transforms"}, std::pair{Role::codec, "codecs"}}) {
    for (const auto name : registry().names(role)) {
      const auto path =
          std::filesystem::path{WEIR_SOURCE_DIR} / "operators" / folder / weir::format("{}.test.json", name);
      EXPECT_TRUE(std::filesystem::exists(path)) << path << " is missing";
    }
  }
}

// --- Origins
// ----------------------------------------------------------------------------------------------------------

/// Ten seconds of a vehicle's speed, as a lane's source would decode them.
BatchPtr ten_seconds(const Chain& chain, const Origin& origin) {
  auto batch = std::make_shared<Batch>();
  batch->schema = samples::schema();
  batch->rows = 10;
  batch->origin = origin;
  std::vector<Timestamp> times;
  for (Position n = origin.after + 1; n <= origin.last; ++n)
    times.push_back((1'800'000'000 + static_cast<Timestamp>(n)) * second);
  batch->arrival = times;
  batch->message_of_row.resize(batch->rows);
  std::iota(batch->message_of_row.begin(), batch->message_of_row.end(), 0u);
  batch->reached = times.back();
  batch->columns.resize(batch->schema->columns.size());
  const auto ten = [](std::uint32_t id) { return std::vector<std::uint32_t>(10, id); };
  batch->columns[samples::key] = Column::dictionary({ten(chain.keys()->intern("v").value()), chain.keys()});
  batch->columns[samples::field] = Column::dictionary({ten(chain.fields()->intern("speed").value()), chain.fields()});
  batch->columns[samples::time] = Column::timestamp(std::move(times));
  batch->columns[samples::x] = Column::float64(std::vector<double>(10, 150));
  return batch;
}

/// By it dead letters of rows are told apart and found again, also far behind the source.
TEST(Transforms, EmitNothingWithoutItsPartitionAndPositions) {
  constexpr Partition partition = 3;
  std::size_t brackets = 0, events = 0;
  for (const auto name : registry().names(Role::transform)) {
    const Spec& spec = registry().find(Role::transform, name)->spec;
    for (const std::string& text : spec.examples) {
      const auto [whole, checked] = cli::pipeline_of(spec, text, registry());
      ASSERT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
      Counters counters;
      Chain chain{*checked.pipeline, registry(), counters, system_clock(), partition};
      ASSERT_TRUE(chain.start(100));
      Origin origin{partition, 100, 110};
      chain.watch([&](PortRef port, const BatchPtr& batch) {
        const std::string& node = checked.pipeline->nodes[port.node].id;
        EXPECT_EQ(batch->origin.partition, partition) << node << " in " << text;
        EXPECT_EQ(batch->origin.after, origin.after) << node << " in " << text;
        EXPECT_EQ(batch->origin.last, origin.last) << node << " in " << text;
        brackets += batch->schema->shape == Shape::brackets ? batch->rows : 0;
        events += batch->schema->shape == Shape::events ? batch->rows : 0;
      });
      for (int step = 0; step < 3; ++step, origin = {partition, origin.last, origin.last + 10}) {
        ChainOutput out;
        ASSERT_TRUE(chain.step(ten_seconds(chain, origin), false, out));
        for (const SinkBatch& part : out.batches) EXPECT_EQ(part.batch->origin.partition, partition) << text;
      }
    }
  }
  EXPECT_GT(brackets, 0u);
  EXPECT_GT(events, 0u);
}

INSTANTIATE_TEST_SUITE_P(All, Operators, testing::ValuesIn(every_operator()), [](const auto& param) {
  std::string name = std::string{to_string(param.param.role)} + "_" + param.param.name;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace weir
