#include "core/runtime/stages.hpp"

#include <algorithm>
#include <cassert>
#include <exception>
#include <iterator>
#include <utility>

#include "core/observe/counted.hpp"

namespace weir {
namespace {

/// Operators throw nothing, but what they call may.
Result<void> process(Stages::Stage& stage, const BatchPtr& batch, Output& output) {
  try {
    return stage.transform->process(0, batch, output);
  } catch (const std::exception& problem) {
    return fail(Error::Kind::internal, problem.what());
  }
}

BatchPtr marker_of(const SchemaPtr& schema, const Batch& of) {
  auto marker = std::make_shared<Batch>();
  marker->schema = schema;
  marker->columns.resize(schema->columns.size());
  marker->origin = of.origin;
  marker->reached = of.reached;
  return marker;
}

}  // namespace

Stages::Stages(const NodeContext::Shared& around, Partition partition, const std::shared_ptr<Dictionary>& keys,
               const std::shared_ptr<Dictionary>& fields, std::size_t part_cells)
    : pipeline_{around.pipeline}, counters_{around.counters}, partition_{partition}, part_cells_{part_cells} {
  stages_.resize(pipeline_.nodes.size());
  for (std::size_t i = 0; i < stages_.size(); ++i) make_stage(around, i, keys, fields);
  for (Stage& stage : stages_) link(stage);
}

void Stages::make_stage(const NodeContext::Shared& around, std::size_t number, const std::shared_ptr<Dictionary>& keys,
                        const std::shared_ptr<Dictionary>& fields) {
  const Node& node = pipeline_.nodes[number];
  Stage& stage = stages_[number];
  stage.node = &node;
  stage.number = number;
  stage.exits.resize(node.outputs.size());
  stage.context = std::make_unique<NodeContext>(around, node, partition_, keys, fields);
  for (const CounterSpec& counter : node.op->spec.counters) counters_.declare(node.id, counter.name, counter.doc);
  if (node.role == Role::transform) {
    stage.transform = node.op->make_transform(node.settings, *stage.context);
    Schemas inputs;
    for (const PortRef& input : node.inputs) inputs.push_back(pipeline_.nodes[input.node].outputs[input.port]);
    [[maybe_unused]] const auto bound = stage.transform->bind_schema(inputs);
    assert(bound && "checked before");
  } else if (node.role == Role::sink) {
    const PortRef input = node.inputs.at(0);
    stage.sink = std::make_unique<SinkRows>(node, *pipeline_.nodes[input.node].outputs[input.port], counters_);
  }
}

/// Tells the nodes that a stage reads of it. In the order of the pipeline's nodes.
void Stages::link(Stage& stage) {
  for (const PortRef& input : stage.node->inputs) stages_[input.node].exits[input.port].readers.push_back(&stage);
  // What leaves by a port that no node reads goes nowhere. A reader stands behind what it reads.
  for (Port port = 0; port < stage.node->outputs.size(); ++port) {
    const bool read = std::ranges::any_of(stages_, [&](const Stage& reader) {
      return std::ranges::contains(reader.node->inputs, PortRef{stage.number, port});
    });
    if (read) continue;
    stage.exits[port].unread =
        counted::declare(counters_, stage.node->id, counted::unconnected_rows, port_name(*stage.node, port));
  }
}

void Stages::deliver(Stage& from, Port port, const BatchPtr& batch) {
  Stage::Exit& exit = from.exits[port];
  exit.reached = std::max(exit.reached, batch->reached);
  for (Stage* reader : exit.readers) put(*reader, batch);
  if (statistics_ != nullptr) statistics_->gave({from.number, port}, batch->rows);
  if (probe_) probe_({from.number, port}, batch);
}

void Stages::put(Stage& reader, const BatchPtr& batch) {
  reader.waiting.push_back(batch);
  furthest_ = std::max(furthest_, reader.number);
}

/// What a sink reads of the source itself is there anyway: it is given all of it at the end of the step.
bool Stages::reads_source(const Stage& stage) const {
  return stage.sink && stage.node->inputs[0].node == pipeline_.source();
}

void Stages::begin(const BatchPtr& samples, bool replaying, std::vector<Sink::DeadLetter> refused) {
  samples_ = samples;
  replaying_ = replaying;
  refused_ = std::move(refused);
  unfinished_ = furthest_ = 0;
  deliver(stages_[pipeline_.source()], 0, samples);
}

/// The furthest stage that has something to do: so nothing waits in the midst of the chain while more is made. Null:
/// none has.
Stages::Stage* Stages::next_stage() {
  for (; furthest_ + 1 > unfinished_; --furthest_) {
    Stage& stage = stages_[furthest_];
    if (!stage.waiting.empty() && !reads_source(stage)) return &stage;
    if (furthest_ == 0) break;
  }
  return nullptr;
}

Result<void> Stages::run(ChainOutput& out) {
  cells_ = part_cells_;
  Timestamp since = statistics_ == nullptr ? no_time : statistics_->now();
  while (unfinished_ < stages_.size()) {
    Stage* const next = next_stage();
    Stage& stage = next != nullptr ? *next : stages_[unfinished_++];
    out.more = next != nullptr && stage.transform && cells_ == 0;
    if (out.more) break;
    Taken taken;
    if (stage.sink) give_rows(stage, taken, out);
    if (next == nullptr) {
      finish(stage);
    } else if (stage.transform) {
      if (auto done = run_transform(stage, taken); !done) return done;
    }
    if (statistics_ != nullptr) since = statistics_->took(stage.number, taken.batches, taken.rows, since);
  }
  out.place = {.position = samples_->origin.last, .arrival = samples_->reached};
  note_emitted(out);
  if (!out.more) out.dead_letters = std::move(refused_);
  return {};
}

void Stages::give_rows(Stage& stage, Taken& taken, ChainOutput& out) {
  for (const BatchPtr& batch : stage.waiting) {
    taken.add(*batch);
    if (auto part = stage.sink->take(batch, replaying_))
      out.batches.push_back({stage.number, std::move(part->batch), part->number});
  }
  stage.waiting.clear();
}

Result<void> Stages::run_transform(Stage& stage, Taken& taken) {
  if (!stage.output) open(stage);
  const BatchPtr batch = stage.waiting.front();
  auto done = process(stage, batch, *stage.output);
  if (!done) {
    done.error().message = stage.node->id + ": " + done.error().message;
    return done;
  }
  const bool again = stage.output->wants_again();
  if (!stage.output->wrong().empty()) return fail(Error::Kind::internal, stage.node->id + ": " + stage.output->wrong());
  if (again) return {};
  taken.add(*batch);
  stage.waiting.erase(stage.waiting.begin());
  return {};
}

/// For the step under way.
void Stages::open(Stage& stage) {
  for (Stage::Exit& exit : stage.exits) exit.reached = no_time;
  const auto pass_on = [this, &stage](Port port, const BatchPtr& batch) {
    const Stage::Exit& exit = stage.exits[port];
    if (!replaying_ && exit.readers.empty()) counters_.add(exit.unread, batch->rows);
    deliver(stage, port, batch);
  };
  const StepOutput::Step step{samples_->origin, replaying_, cells_};
  stage.output.emplace(*stage.node, step, counters_, pass_on, stage.refused);
}

/// Nothing comes to this stage any more in this step.
void Stages::finish(Stage& stage) {
  if (stage.sink) stage.sink->end_step();
  if (!stage.output) return;
  stage.output->finish();
  stage.output.reset();
  refused_.insert(refused_.end(), std::move_iterator{stage.refused.begin()}, std::move_iterator{stage.refused.end()});
  stage.refused.clear();
  pass_markers(stage);
}

void Stages::note_emitted(ChainOutput& out) const {
  for (const Stage& stage : stages_) {
    if (!stage.sink || stage.sink->emitted() == 0) continue;
    out.emitted.resize(stages_.size());
    out.emitted[stage.number] = stage.sink->emitted();
  }
}

/// What comes behind must know how far arrival time has come, even if nothing was emitted.
void Stages::pass_markers(Stage& stage) {
  for (Port port = 0; port < stage.exits.size(); ++port) {
    const Stage::Exit& exit = stage.exits[port];
    if (exit.reached >= samples_->reached) continue;
    BatchPtr marker;
    for (Stage* reader : exit.readers) {
      if (!reader->transform) continue;
      if (!marker) marker = marker_of(stage.node->outputs[port], *samples_);
      put(*reader, marker);
    }
  }
}

}  // namespace weir
