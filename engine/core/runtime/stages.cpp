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

/// What the inputs of a node give, which is the same of all.
const SchemaPtr& input_schema(const Pipeline& pipeline, const Node& node) {
  const PortRef input = node.inputs.at(0);
  return pipeline.nodes[input.node].outputs[input.port];
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
  for (const CounterSpec& counter : node.op->spec.counters) {
    if (counter.reasons.empty()) counters_.declare(node.id, counter.name, counter.doc);
    for (const std::string& reason : counter.reasons) counters_.declare(node.id, counter.name, counter.doc, reason);
  }
  if (node.role == Role::transform) {
    stage.transform = node.op->make_transform(node.settings, *stage.context);
    [[maybe_unused]] const auto bound = stage.transform->bind_schema({input_schema(pipeline_, node)});
    assert(bound && "checked before");
  } else if (node.role == Role::sink) {
    stage.sink = std::make_unique<SinkRows>(node, *input_schema(pipeline_, node), counters_);
  }
  if (node.inputs.size() > 1) stage.merge.emplace(input_schema(pipeline_, node), node.inputs.size());
}

/// Tells the nodes that a stage reads of it. In the order of the pipeline's nodes.
void Stages::link(Stage& stage) {
  for (std::size_t i = 0; i < stage.node->inputs.size(); ++i) {
    const PortRef input = stage.node->inputs[i];
    stages_[input.node].exits[input.port].readers.push_back({&stage, i});
  }
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
  for (const Stage::Reader& reader : exit.readers) put(reader, batch);
  if (statistics_ != nullptr) statistics_->gave({from.number, port}, batch->rows);
  if (probe_) probe_({from.number, port}, batch);
}

void Stages::put(const Stage::Reader& reader, const BatchPtr& batch) {
  if (reader.stage->merge) {
    reader.stage->merge->put(reader.input, batch);
  } else {
    reader.stage->waiting.push_back(batch);
  }
  furthest_ = std::max(furthest_, reader.stage->number);
}

/// What a sink reads of the source itself is there anyway: it is given all of it at the end of the step.
bool Stages::reads_source(const Stage& stage) const {
  return stage.sink && !stage.merge && stage.node->inputs[0].node == pipeline_.source();
}

void Stages::begin(const BatchPtr& samples, bool replaying, std::vector<Sink::DeadLetter> refused) {
  samples_ = samples;
  replaying_ = replaying;
  refused_ = std::move(refused);
  unfinished_ = furthest_ = 0;
  for (Stage& stage : stages_) {
    if (stage.merge) stage.merge->begin(samples->origin, samples->reached);
  }
  deliver(stages_[pipeline_.source()], 0, samples);
}

/// The furthest stage that has something to do: so nothing waits in the midst of the chain while more is made. Where
/// rows of one input wait for those of another, what leads to the other goes first. Null: none has something to do.
Stages::Stage* Stages::next_stage() {
  bool waits = false;  // a stage behind this one, for others
  for (std::size_t at = furthest_; at + 1 > unfinished_; --at) {
    Stage& stage = stages_[at];
    if (!waits) furthest_ = at;
    if (!reads_source(stage) && (!stage.waiting.empty() || (stage.merge && stage.merge->ready()))) return &stage;
    if (const auto input = stage.merge ? stage.merge->blocked_by() : std::nullopt; input) {
      waits = true;
      at = stage.node->inputs[*input].node + 1;  // it can't be finished, so it is none of those before
    }
    if (at == 0) break;
  }
  return nullptr;
}

Result<void> Stages::merge(Stage& stage) {
  if (!stage.merge || !stage.waiting.empty()) return {};
  auto rows = stage.merge->take();
  if (!rows) return fail(rows.error().kind, stage.node->id + ": " + rows.error().message);
  stage.waiting.push_back(*std::move(rows));
  return {};
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
    if (next != nullptr) {
      if (auto merged = merge(stage); !merged) return merged;
    }
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
  if (!stage.output) return close_exits(stage);
  stage.output->finish();
  stage.output.reset();
  refused_.insert(refused_.end(), std::move_iterator{stage.refused.begin()}, std::move_iterator{stage.refused.end()});
  stage.refused.clear();
  pass_markers(stage);
  close_exits(stage);
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
    for (const Stage::Reader& reader : exit.readers) {
      if (!reader.stage->transform) continue;
      if (!marker) marker = marker_of(stage.node->outputs[port], *samples_);
      put(reader, marker);
    }
  }
}

void Stages::close_exits(const Stage& stage) {
  for (const Stage::Exit& exit : stage.exits) {
    for (const Stage::Reader& reader : exit.readers) {
      if (!reader.stage->merge) continue;
      reader.stage->merge->close(reader.input);
      furthest_ = std::max(furthest_, reader.stage->number);
    }
  }
}

}  // namespace weir
