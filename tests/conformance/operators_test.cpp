/// What every operator must do, checked for all that are registered.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include <gtest/gtest.h>

#include <weir/format.hpp>
#include <weir/shapes.hpp>

#include "core/chain.hpp"
#include "core/counters.hpp"
#include "core/node_context.hpp"
#include "core/pipeline.hpp"
#include "core/registry.hpp"
#include "core/settings_check.hpp"
#include "core/text.hpp"
#include "fakes/registry.hpp"

namespace weir {
namespace {

using fakes::registry;

struct Named {
  Role role;
  std::string name;
};

void PrintTo(const Named& named, std::ostream* os) { *os << to_string(named.role) << "/" << named.name; }

std::vector<Named> every_operator() {
  std::vector<Named> out;
  for (const Role role : {Role::source, Role::transform, Role::sink, Role::store, Role::codec}) {
    for (const auto name : registry().names(role)) out.push_back({role, std::string{name}});
  }
  return out;
}

class Operators : public testing::TestWithParam<Named> {
 protected:
  const Operator& op() const { return *registry().find(GetParam().role, GetParam().name); }
  const Spec& spec() const { return op().spec; }
};

// --- Documentation
// ----------------------------------------------------------------------------------------------------

void expect_sentence(const std::string& text, const std::string& of) {
  EXPECT_FALSE(text.empty()) << of << " is not documented";
  EXPECT_FALSE(text.ends_with('.')) << of << ": no full stop: " << text;
}

void expect_documented(const std::vector<Field>& fields, const std::string& path) {
  for (const Field& field : fields) {
    expect_sentence(field.doc, path + field.name);
    expect_documented(field.kind.fields, path + field.name + ".");
  }
}

TEST_P(Operators, AreDocumented) {
  expect_sentence(spec().summary, "the operator");
  expect_documented(spec().fields, "");
  for (const PortSpec& port : spec().ports) expect_sentence(port.doc, "port " + port.name);
  for (const CounterSpec& counter : spec().counters) expect_sentence(counter.doc, "counter " + counter.name);
  for (const SetupSpec& setup : spec().setups) expect_sentence(setup.doc, "setup " + setup.name);
}

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
  std::size_t found = 0;
  for (const auto& file : std::filesystem::directory_iterator{std::string{WEIR_SOURCE_DIR} + "/operators/clients"}) {
    for (const std::string& counter : counted_in(file.path())) {
      ++found;
      EXPECT_TRUE(std::ranges::any_of(
          every_operator(),
          [&](const Named& named) { return declares(registry().find(named.role, named.name)->spec, counter); }))
          << file.path() << " counts \"" << counter << "\"";
    }
  }
  EXPECT_GT(found, 8u) << "they count in some other form now: tell counted_in() about it";
}

TEST_P(Operators, HaveExactlyOneMaker) {
  const int makers = (op().make_source != nullptr) + (op().make_transform != nullptr) + (op().make_sink != nullptr) +
                     (op().make_store != nullptr) + (op().make_codec != nullptr);
  EXPECT_EQ(makers, 1);
}

// --- Defaults
// ---------------------------------------------------------------------------------------------------------

void expect_defaults_parse(const std::vector<Field>& fields) {
  for (const Field& field : fields) {
    expect_defaults_parse(field.kind.fields);
    if (field.fallback.empty()) continue;
    const Document empty = read_text("{}", "defaults");
    Reporter report{"defaults"};
    const Settings settings = settings_of(empty.root, {field}, {}, "this", "", {empty.text, nullptr, true}, report);
    EXPECT_EQ(report.errors(), 0u) << field.name << ": " << render(report.findings(), Format::text);
    EXPECT_TRUE(settings.has(field.name)) << field.name << " has a default that is not read: " << field.fallback;
  }
}

TEST_P(Operators, HaveDefaultsThatParse) { expect_defaults_parse(spec().fields); }

// --- Examples
// ---------------------------------------------------------------------------------------------------------

bool accepts(const Spec& spec, Shape shape) { return spec.inputs.empty() || std::ranges::contains(spec.inputs, shape); }

/// A pipeline around an example: what it reads from stands before it, a sink behind it.
class Example {
 public:
  Example(const Spec& spec, const std::string& text)
      : spec_{spec}, text_{text}, document_{read_text(text, "example")} {}

  /// `columns`: of the sink behind a transform, if it needs them.
  std::string pipeline(const std::string& columns = {}) const {
    const Value& node = document_.root;
    if (spec_.role == Role::codec) return wrap(source("signals", ", \"encoding\": " + text_) + "," + drop("signals"));
    if (spec_.role == Role::store)
      return wrap(source("signals") + "," + drop("signals"), weir::format(R"("state": {}, )", text_));
    const std::string id = node.find("id") == nullptr ? "" : node.find("id")->text;
    if (spec_.role == Role::source) return wrap(text_ + "," + drop(id));
    std::string nodes = input(node) + "," + text_;
    if (spec_.role == Role::transform) nodes += "," + drop(id, columns);
    return wrap(nodes);
  }

 private:
  static std::string wrap(const std::string& nodes, const std::string& more = {}) {
    return weir::format(R"({{ "name": "example", {}"limits": {{ "keys": 1000 }}, "nodes": [ {} ] }})", more, nodes);
  }
  static std::string drop(const std::string& from, const std::string& columns = {}) {
    return weir::format(R"({{ "id": "nowhere_", "sink": "drop", "from": "{}"{} }})", from, columns);
  }
  static std::string source(const std::string& id, const std::string& more = {}) {
    return weir::format(R"({{ "id": "{}", "source": "simulate", "vehicles": 1{} }})", id, more);
  }

  /// The node that the example reads from: samples, or brackets where it needs them.
  std::string input(const Value& node) const {
    const Value* from = node.find("from");
    const std::string whole = from == nullptr ? "" : from->is(Value::Kind::array) ? from->items.at(0).text : from->text;
    const std::string id = whole.substr(0, whole.find('.'));
    if (accepts(spec_, Shape::samples) && node.find("columns") == nullptr) return source(id);
    return source("signals_") + "," +
           weir::format(R"({{ "id": "{}", "transform": "window-join", "from": "signals_", "every": "1s" }})", id);
  }

  const Spec& spec_;
  const std::string& text_;
  Document document_;
};

std::size_t open_files() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) ++n;
  return n;
}

/// Makes every operator of the pipeline and throws it away again.
void make_all(const Pipeline& pipeline) {
  Counters counters;
  const NodeContext::Shared shared{pipeline, registry(), counters, system_clock()};
  const auto keys = std::make_shared<Dictionary>(1000), fields = std::make_shared<Dictionary>(1000);
  for (const Node& node : pipeline.nodes) {
    NodeContext context{shared, node, 0, keys, fields};
    for (const CounterSpec& counter : node.op->spec.counters) counters.declare(node.id, counter.name, counter.doc);
    if (!node.codec.empty()) {
      EXPECT_NE(context.codec(""), nullptr);
    }
    if (node.op->make_source) {
      EXPECT_NE(node.op->make_source(node.settings, context), nullptr);
    }
    if (node.op->make_transform) {
      EXPECT_NE(node.op->make_transform(node.settings, context), nullptr);
    }
    if (node.op->make_sink) {
      EXPECT_NE(node.op->make_sink(node.settings, context), nullptr);
    }
  }
  if (pipeline.store.empty()) return;
  NodeContext context{shared, pipeline.nodes.front(), 0, keys, fields};
  EXPECT_NE(registry().find(Role::store, pipeline.store)->make_store(pipeline.store_settings, context), nullptr);
}

TEST_P(Operators, HaveExamplesThatLintCleanAndCanBeMadeWithoutConnecting) {
  EXPECT_FALSE(spec().examples.empty()) << "no example";
  for (const std::string& text : spec().examples) {
    CheckOptions options;
    options.variable = [](std::string_view) { return "postgresql://localhost/fleet"; };
    std::string whole = Example{spec(), text}.pipeline();
    Checked checked = check_pipeline(whole, "example", registry(), options);
    if (!checked.pipeline && GetParam().role == Role::transform) {  // brackets need a sink that makes rows of them
      whole = Example{spec(), text}.pipeline(R"(, "columns": { "speed": {} })");
      checked = check_pipeline(whole, "example", registry(), options);
    }
    const auto is_note = [](const Finding& finding) { return finding.severity == Severity::note; };
    EXPECT_TRUE(std::ranges::all_of(checked.findings, is_note)) << whole << "\n"
                                                                << render(checked.findings, Format::text);
    if (!checked.pipeline) continue;
    const std::size_t before = open_files();
    if (GetParam().role == Role::codec) {
      EXPECT_EQ(checked.pipeline->nodes.front().codec, GetParam().name) << "the example is another codec's";
    }
    EXPECT_NO_THROW(make_all(*checked.pipeline));
    EXPECT_EQ(open_files(), before) << "making the operators left something open";
  }
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
  for (Position n = origin.first + 1; n <= origin.last; ++n)
    times.push_back((1'800'000'000 + static_cast<Timestamp>(n)) * second);
  batch->arrival = times;
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
      auto checked =
          check_pipeline(Example{spec, text}.pipeline(R"(, "columns": { "speed": {} })"), "example", registry(), {});
      if (!checked.pipeline) checked = check_pipeline(Example{spec, text}.pipeline(), "example", registry(), {});
      ASSERT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
      Counters counters;
      Chain chain{*checked.pipeline, registry(), counters, system_clock(), partition};
      ASSERT_TRUE(chain.start(100));
      Origin origin{partition, 100, 110};
      chain.watch([&](PortRef port, const BatchPtr& batch) {
        const std::string& node = checked.pipeline->nodes[port.node].id;
        EXPECT_EQ(batch->origin.partition, partition) << node << " in " << text;
        EXPECT_EQ(batch->origin.first, origin.first) << node << " in " << text;
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
