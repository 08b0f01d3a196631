#include "bench/restore.hpp"

#include <weir/context.hpp>
#include <weir/format.hpp>

#include "bench/run.hpp"
#include "core/checkpoint/snapshot.hpp"
#include "core/plan/pipeline.hpp"
#include "core/runtime/chain.hpp"
#include "fakes/context.hpp"
#include "fakes/registry.hpp"
#include "fakes/servers.hpp"

namespace weir::bench {
namespace {

constexpr std::size_t vehicles = 1'000'000;
constexpr std::size_t batch_rows = 4096;
constexpr int rounds = 2;  // a sample before the open tick of each vehicle, and one behind it
constexpr Timestamp start = 1'700'000'000 * second;

std::string text(const std::string& url) {
  return weir::format(R"({{ "name": "restore", "limits": {{ "keys": {0} }},
    "state": {{ "store": "jetstream-kv", "url": "{1}", "bucket": "restore-state" }},
    "nodes": [
      {{ "id": "signals", "source": "nats", "url": "{1}", "stream": "TELEMETRY" }},
      {{ "id": "last", "transform": "keyed-last-value", "from": "signals" }},
      {{ "id": "rows", "transform": "window-join", "from": "last", "every": "10s", "wait": "1m" }},
      {{ "id": "out", "sink": "drop", "from": "rows", "columns": {{ "speed": {{}} }} }} ] }})",
                      vehicles + 1, url);
}

BatchPtr batch(const Chain& chain, int round, std::size_t from, std::size_t to) {
  const std::size_t rows = to - from;
  std::vector<std::uint32_t> keys(rows);
  const std::uint32_t speed = chain.fields()->intern("speed").value();
  for (std::size_t i = 0; i < rows; ++i) keys[i] = chain.keys()->intern(weir::format("vehicle{}", from + i)).value();
  const Timestamp time = start + round * 8 * second;
  auto out = std::make_shared<Batch>();
  out->schema = samples::schema();
  out->rows = rows;
  out->columns.resize(out->schema->columns.size());
  out->columns[samples::key] = Column::dictionary({std::move(keys), chain.keys()});
  out->columns[samples::field] = Column::dictionary({std::vector(rows, speed), chain.fields()});
  out->columns[samples::time] = Column::timestamp(std::vector(rows, time));
  out->columns[samples::x] = Column::float64(std::vector(rows, 12.5 + round));
  out->arrival = std::vector(rows, time + 100 * millisecond);
  out->reached = out->arrival.back();
  return out;
}

void fill(Chain& chain) {
  must(chain.start(0));
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t from = 0; from < vehicles; from += batch_rows) {
      ChainOutput out;
      must(chain.step(batch(chain, round, from, std::min(vehicles, from + batch_rows)), false, out));
    }
  }
}

}  // namespace

void measure_restore(Show show) {
  const fakes::Servers servers{"nats"};
  CheckOptions options;
  options.to_run = true;
  const std::string json = text(servers.nats());
  const Checked checked = check_pipeline(json, "restore", fakes::registry(), options);
  if (!checked.pipeline) give_up(render(checked.findings, Format::text));
  const Pipeline& pipeline = *checked.pipeline;
  fakes::FakeContext context;
  const auto store = fakes::registry().find(Role::store, pipeline.store)->make_store(pipeline.store_settings, context);
  must(store->open());
  Snapshots snapshots{*store, pipeline.name};
  Counters counters;
  std::string name;
  double saved = 0, written = 0;
  std::size_t bytes = 0;
  {
    Chain chain{pipeline, fakes::registry(), counters, system_clock(), 0};
    fill(chain);
    const double begin = now_seconds();
    Snapshot snapshot{.at = {.place = {.position = 1}}, .state = chain.save()};
    saved = now_seconds() - begin;
    bytes = snapshot.state.size();
    name = must(snapshots.write(0, "fence", snapshot));
    written = now_seconds() - begin - saved;
  }
  const double begin = now_seconds();
  const Snapshot found = must(snapshots.read(name));
  const double read = now_seconds() - begin;
  Chain chain{pipeline, fakes::registry(), counters, system_clock(), 0};
  if (const auto empty = must(chain.load(found.state)); !empty.empty()) give_up("the state of a node was not taken");
  const double restored = now_seconds() - begin;
  if (chain.save() != found.state) give_up("the state is not what it was");
  show({.what = "(j) a million keys restored from a snapshot in JetStream KV",
        .weir = fixed(restored, 2) + " s",
        .value = restored,
        .goal = Figure::Goal::at_most,
        .limit = 5,
        .limit_text = "5 s",
        .note =
            weir::format("{:.0f} MB: read in {:.2f} s, loaded in {:.2f} s; the lane stood still {:.2f} s to save it, "
                         "writing it beside took {:.2f} s",
                         static_cast<double>(bytes) * 1e-6, read, restored - read, saved, written)});
}

}  // namespace weir::bench
