#include "core/runtime/chain.hpp"

#include <algorithm>
#include <cassert>
#include <exception>

#include <weir/format.hpp>
#include <weir/shapes.hpp>
#include <weir/spelling.hpp>

#include "core/checkpoint/dead_letter_limit.hpp"
#include "core/observe/attempt.hpp"
#include "core/observe/counted.hpp"
#include "core/plan/keeping.hpp"
#include "core/plan/node_context.hpp"
#include "core/plan/sink_start.hpp"
#include "core/runtime/sink_rows.hpp"
#include "core/runtime/step_output.hpp"

namespace weir {
namespace {

/// Batches that wait at a node's input during a step.
using Waiting = std::vector<BatchPtr>;

}  // namespace

struct Chain::Impl {
  struct Stage {
    const Node* node = nullptr;
    std::size_t number = 0;
    std::unique_ptr<NodeContext> context;
    std::unique_ptr<Transform> transform;  // of transforms
    std::shared_ptr<WriteBehind> behind;   // of the transform, if it has one
    std::unique_ptr<SinkRows> sink;        // of sinks
    Waiting waiting;
    struct Exit {
      std::vector<Stage*> readers;
      std::size_t unread = 0;       // counter of rows that nobody reads; if there are no readers
      Timestamp reached = no_time;  // in this step
    };
    std::vector<Exit> exits;                // by output port
    std::optional<StepOutput> output = {};  // of the step under way, once it has been called in it
    std::vector<Sink::DeadLetter> refused = {};
  };

  Impl(const Pipeline& p, const Registry& registry, Counters& c, const Clock& clock, Partition part,
       std::optional<std::uint32_t> partitions, std::size_t most_cells)
      : pipeline{p}, counters{c}, partition{part}, part_cells{most_cells}, letters{p.letter_bounds, c} {
    const auto limit = p.key_limit != 0 ? p.key_limit : Dictionary::default_limit;
    keys = std::make_shared<Dictionary>(limit);
    fields = std::make_shared<Dictionary>(samples::most_fields);
    const NodeContext::Shared shared{p, registry, c, clock};
    stages.resize(p.nodes.size());
    for (std::size_t i = 0; i < p.nodes.size(); ++i) make_stage(shared, i);
    for (Stage& stage : stages) link(stage);
    const std::size_t source = p.source();
    decoder = std::make_unique<Decoder>(*stages[source].context->codec(""), p.nodes[source].id, part,
                                        partitions.value_or(claims_of(p.nodes[source]).partitions), keys, fields);
    const auto of_source = [&](const CounterSpec& what) { return counted::declare(c, p.nodes[source].id, what); };
    decoded_messages = of_source(counted::messages);
    decoded_bytes = of_source(counted::bytes);
    decoded_samples = of_source(counted::samples);
    decoded_untimed = of_source(counted::without_time);
    decoded_empty = of_source(counted::without_samples);
  }

  /// What the bytes mean only the operator knows that is no more there.
  void count_given_up(const std::string& id, std::size_t bytes) {
    if (bytes == 0) return;
    const bool there = std::ranges::contains(pipeline.nodes, id, &Node::kept_id);
    const auto reason = there ? "another operator, or version of it, has this id" : "no node has this id";
    counters.add(counted::declare(counters, id, counted::state_given_up, reason), bytes);
  }

  void make_stage(const NodeContext::Shared& shared, std::size_t number) {
    const Node& node = pipeline.nodes[number];
    Stage& stage = stages[number];
    stage.node = &node;
    stage.number = number;
    stage.exits.resize(node.outputs.size());
    stage.context = std::make_unique<NodeContext>(shared, node, partition, keys, fields);
    for (const CounterSpec& counter : node.op->spec.counters) counters.declare(node.id, counter.name, counter.doc);
    if (node.role == Role::transform) {
      stage.transform = node.op->make_transform(node.settings, *stage.context);
      if (pipeline.writes_beside) stage.behind = stage.transform->write_behind();
      Schemas inputs;
      for (const PortRef& input : node.inputs) inputs.push_back(pipeline.nodes[input.node].outputs[input.port]);
      [[maybe_unused]] const auto settled = stage.transform->settle(inputs);
      assert(settled && "checked before");
    } else if (node.role == Role::sink) {
      const PortRef input = node.inputs.at(0);
      stage.sink = std::make_unique<SinkRows>(node, *pipeline.nodes[input.node].outputs[input.port], counters);
    }
  }

  /// Tells the nodes that a stage reads of it. In the order of the pipeline's nodes.
  void link(Stage& stage) {
    for (const PortRef& input : stage.node->inputs) stages[input.node].exits[input.port].readers.push_back(&stage);
    // What leaves by a port that no node reads goes nowhere. A reader stands behind what it reads.
    for (Port port = 0; port < stage.node->outputs.size(); ++port) {
      const bool read = std::ranges::any_of(stages, [&](const Stage& reader) {
        return std::ranges::contains(reader.node->inputs, PortRef{stage.number, port});
      });
      if (read) continue;
      stage.exits[port].unread =
          counted::declare(counters, stage.node->id, counted::unread, port_name(*stage.node, port));
    }
  }

  void deliver(Stage& from, Port port, const BatchPtr& batch) {
    Stage::Exit& exit = from.exits[port];
    exit.reached = std::max(exit.reached, batch->reached);
    for (Stage* reader : exit.readers) put(*reader, batch);
    if (effort != nullptr) effort->gave({from.number, port}, batch->rows);
    if (probe) probe({from.number, port}, batch);
  }

  void put(Stage& reader, const BatchPtr& batch) {
    reader.waiting.push_back(batch);
    furthest = std::max(furthest, reader.number);
  }

  /// What a sink reads of the source itself is there anyway: it is given all of it at the end of the step.
  bool reads_source(const Stage& stage) const { return stage.sink && stage.node->inputs[0].node == pipeline.source(); }

  void begin(const BatchPtr& in, bool mute) {
    samples = in;
    muted = mute;
    unfinished = furthest = 0;
    deliver(stages[pipeline.source()], 0, in);
  }

  /// The furthest stage that has something to do: so nothing waits in the midst of the chain while more is made. Null:
  /// none has.
  Stage* next_stage() {
    for (; furthest + 1 > unfinished; --furthest) {
      Stage& stage = stages[furthest];
      if (!stage.waiting.empty() && !reads_source(stage)) return &stage;
      if (furthest == 0) break;
    }
    return nullptr;
  }

  /// One part of the step under way.
  Result<void> run(ChainOutput& out) {
    cells = part_cells;
    Timestamp since = effort == nullptr ? no_time : effort->now();
    while (unfinished < stages.size()) {
      Stage* const stage = next_stage();
      if (stage == nullptr) {
        finish(stages[unfinished++], out);
        continue;
      }
      out.more = stage->transform && cells == 0;
      if (out.more) break;
      Taken taken;
      auto done = stage->transform ? run_transform(*stage, taken) : give_rows(*stage, taken, out);
      if (!done) return done;
      if (effort != nullptr) since = effort->took(stage->number, taken.batches, taken.rows, since);
    }
    out.place = {.position = samples->origin.last, .arrival = samples->reached};
    note_emitted(out);
    if (!out.more) out.dead_letters = std::move(refused);
    return {};
  }

  /// What a stage was given and is through with.
  struct Taken {
    std::uint64_t batches = 0, rows = 0;
    void add(const Batch& batch) {
      batches += batch.rows == 0 ? 0 : 1;
      rows += batch.rows;
    }
  };

  Result<void> give_rows(Stage& stage, Taken& taken, ChainOutput& out) {
    for (const BatchPtr& batch : stage.waiting) {
      taken.add(*batch);
      if (auto part = stage.sink->take(batch, muted))
        out.batches.push_back({stage.number, std::move(part->batch), part->number});
    }
    stage.waiting.clear();
    return {};
  }

  Result<void> run_transform(Stage& stage, Taken& taken) {
    if (!stage.output) open(stage);
    const BatchPtr batch = stage.waiting.front();
    auto done = process(stage, batch, *stage.output);
    if (!done) {
      done.error().message = stage.node->id + ": " + done.error().message;
      return done;
    }
    const bool again = stage.output->wants_again();
    if (!stage.output->wrong().empty())
      return fail(Error::Kind::internal, stage.node->id + ": " + stage.output->wrong());
    if (again) return {};
    taken.add(*batch);
    stage.waiting.erase(stage.waiting.begin());
    return {};
  }

  /// For the step under way.
  void open(Stage& stage) {
    for (Stage::Exit& exit : stage.exits) exit.reached = no_time;
    const auto pass_on = [this, &stage](Port port, const BatchPtr& batch) {
      const Stage::Exit& exit = stage.exits[port];
      if (!muted && exit.readers.empty()) counters.add(exit.unread, batch->rows);
      deliver(stage, port, batch);
    };
    const StepOutput::Step step{samples->origin, muted, muted || !pipeline.writes_beside, cells};
    stage.output.emplace(*stage.node, step, counters, pass_on, stage.refused);
  }

  /// Nothing comes to this stage any more in this step.
  void finish(Stage& stage, ChainOutput& out) {
    Taken taken;
    if (stage.sink) {
      (void)give_rows(stage, taken, out);
      stage.sink->end_step();
    }
    if (!stage.output) return;
    stage.output->finish();
    stage.output.reset();
    refused.insert(refused.end(), std::move_iterator{stage.refused.begin()}, std::move_iterator{stage.refused.end()});
    stage.refused.clear();
    if (stage.behind != nullptr) out.offered.push_back({stage.behind, stage.behind->offered()});
    pass_markers(stage);
  }

  void note_emitted(ChainOutput& out) const {
    for (const Stage& stage : stages) {
      if (!stage.sink || stage.sink->emitted() == 0) continue;
      out.emitted.resize(stages.size());
      out.emitted[stage.number] = stage.sink->emitted();
    }
  }

  /// Operators throw nothing, but what they call may.
  static Result<void> process(Stage& stage, const BatchPtr& batch, Output& output) {
    try {
      return stage.transform->process(0, batch, output);
    } catch (const std::exception& problem) {
      return fail(Error::Kind::internal, problem.what());
    }
  }

  /// What comes behind must know how far arrival time has come, even if nothing was emitted.
  void pass_markers(Stage& stage) {
    for (Port port = 0; port < stage.exits.size(); ++port) {
      const Stage::Exit& exit = stage.exits[port];
      if (exit.reached >= samples->reached) continue;
      BatchPtr marker;
      for (Stage* reader : exit.readers) {
        if (!reader->transform) continue;
        if (!marker) marker = marker_of(stage.node->outputs[port], *samples);
        put(*reader, marker);
      }
    }
  }

  static BatchPtr marker_of(const SchemaPtr& schema, const Batch& of) {
    auto marker = std::make_shared<Batch>();
    marker->schema = schema;
    marker->columns.resize(schema->columns.size());
    marker->origin = of.origin;
    marker->reached = of.reached;
    return marker;
  }

  const Pipeline& pipeline;
  Counters& counters;
  Partition partition;
  const std::size_t part_cells;
  std::shared_ptr<Dictionary> keys, fields;
  DeadLetterLimit letters;
  std::vector<Stage> stages;
  std::unique_ptr<Decoder> decoder;
  std::size_t decoded_messages = 0, decoded_bytes = 0, decoded_samples = 0, decoded_empty = 0, decoded_untimed = 0;
  std::uint32_t saved_keys = 0, saved_fields = 0;             // what the tables held at the last step
  std::vector<std::pair<std::string, std::size_t>> given_up;  // of what was loaded: nodes that are no more, and bytes
  Probe probe;
  Effort* effort = nullptr;

  // The step under way.
  BatchPtr samples;
  bool muted = false;
  std::vector<Sink::DeadLetter> refused;  // of stages that have finished, behind those of the source
  std::size_t unfinished = 0;             // the first stage to which something may still come
  std::size_t furthest = 0;               // no stage behind it has something to do
  std::size_t cells = 0;                  // that this part may still have
};

Chain::Chain(const Pipeline& pipeline, const Registry& registry, Counters& counters, const Clock& clock,
             Partition partition, std::optional<std::uint32_t> partitions, std::size_t part_cells)
    : impl_{std::make_unique<Impl>(pipeline, registry, counters, clock, partition, partitions, part_cells)} {}

Chain::~Chain() = default;

Result<void> Chain::start(Position after, Timestamp arrival) {
  // What the sinks want has its place before what else may be sent.
  for (const Node& node : impl_->pipeline.nodes) {
    for (const RowColumn& column : node.columns) {
      if (impl_->fields->intern(column.field)) continue;
      return fail(
          Error::Kind::exhausted,
          weir::format(
              "{}: no place for the field {}: the limit is {}, and the snapshot holds that many; `weir progress reset` begins with none",
              node.id, quoted(column.field), samples::most_fields));
    }
  }
  // Not in load(): a start may fail after it, and is tried again.
  for (const auto& [id, bytes] : std::exchange(impl_->given_up, {})) impl_->count_given_up(id, bytes);
  impl_->decoder->start(after, arrival);
  return {};
}

void Chain::leave_out_until(Timestamp tick) {
  for (auto& stage : impl_->stages) {
    if (stage.sink) stage.sink->leave_out_until(tick);
  }
}

void Chain::skip(std::size_t node, Position behind, std::uint64_t rows) {
  impl_->stages[node].sink->skip(behind, rows);
}

Result<void> Chain::open() {
  for (const auto& stage : impl_->stages) {
    if (stage.behind == nullptr) continue;
    auto opened = attempt(stage.node->id, [&] { return stage.behind->open(); });
    if (opened) continue;
    opened.error().message.insert(0, stage.node->id + ": ");
    return opened;
  }
  return {};
}

Decoded Chain::decode(std::shared_ptr<const Messages> messages) {
  Effort* const effort = impl_->effort;
  if (effort == nullptr) return impl_->decoder->decode(std::move(messages));
  const Timestamp since = effort->now();
  Decoded decoded = impl_->decoder->decode(std::move(messages));
  effort->took(impl_->pipeline.source(), 1, decoded.messages, since);
  return decoded;
}

Result<void> Chain::step(const Decoded& decoded, bool muted, ChainOutput& out) {
  Impl& chain = *impl_;
  const Node& source = chain.pipeline.nodes[chain.pipeline.source()];
  if (!muted) {
    chain.counters.add(chain.decoded_messages, decoded.messages);
    chain.counters.add(chain.decoded_bytes, decoded.bytes);
    chain.counters.add(chain.decoded_samples, decoded.batch->rows);
    chain.counters.add(chain.decoded_empty, decoded.empty);
    chain.counters.add(chain.decoded_untimed, decoded.without_time);
    for (const auto& letter : decoded.dead_letters)
      chain.counters.add(counted::declare(chain.counters, source.id, counted::refused, letter.reason), 1);
  }
  chain.refused = decoded.dead_letters;
  chain.saved_keys = decoded.keys;
  chain.saved_fields = decoded.fields;
  chain.begin(decoded.batch, muted);
  return go_on(out);
}

Result<void> Chain::step(const BatchPtr& samples, bool muted, ChainOutput& out) {
  impl_->saved_keys = impl_->keys->size();
  impl_->saved_fields = impl_->fields->size();
  impl_->refused.clear();
  impl_->begin(samples, muted);
  return go_on(out);
}

Result<void> Chain::go_on(ChainOutput& out) {
  auto done = impl_->run(out);
  if (!out.more) impl_->letters.apply(out.dead_letters, impl_->muted);
  return done;
}

const std::shared_ptr<Dictionary>& Chain::keys() const { return impl_->keys; }
const std::shared_ptr<Dictionary>& Chain::fields() const { return impl_->fields; }

std::optional<Timestamp> Chain::due() const {
  std::optional<Timestamp> earliest;
  for (const auto& stage : impl_->stages) {
    if (!stage.transform) continue;
    if (const auto due = stage.transform->due(); due && (!earliest || *due < *earliest)) earliest = due;
  }
  return earliest;
}

std::string Chain::save() const {
  StateWriter out;
  for (const auto& [table, size] :
       {std::pair{impl_->keys, impl_->saved_keys}, std::pair{impl_->fields, impl_->saved_fields}}) {
    out.put(size);
    for (std::uint32_t id = 0; id < size; ++id) out.put_text(table->at(id));
  }
  impl_->letters.save(out);
  out.put(static_cast<std::uint32_t>(impl_->stages.size()));
  for (const auto& stage : impl_->stages) {
    out.put_text(stage.node->kept_id());
    out.put_text(stage.node->name);
    out.put(stage.node->op->spec.state_version);
    StateWriter own;
    if (stage.transform) stage.transform->save(own);
    out.put(stage.sink ? stage.sink->given() : std::uint64_t{0});
    out.put_text(own.bytes());
  }
  return out.take();
}

Result<std::vector<std::string>> Chain::load(std::string_view state) {
  StateReader in{state};
  const auto broken = [] {
    return fail(Error::Kind::changed,
                "the snapshot is not readable by this build; its bytes end early or say too much");
  };
  for (Dictionary* table : {impl_->keys.get(), impl_->fields.get()}) {
    const auto size = in.get<std::uint32_t>();
    for (std::uint32_t id = 0; id < size && in.ok(); ++id) {
      if (table->intern(in.get_text()) != id) {
        return fail(
            Error::Kind::exhausted,
            "the snapshot holds more keys than limits.keys allows; raise it to at least " + std::to_string(size));
      }
    }
  }
  impl_->saved_keys = impl_->keys->size();
  impl_->saved_fields = impl_->fields->size();
  impl_->letters.load(in);
  std::vector<std::string> empty;
  for (const auto& stage : impl_->stages) {
    if (stage.transform && stage.node->keeps_state) empty.push_back(stage.node->id);
  }
  std::vector<std::pair<std::string, std::string>> gone;  // ids that had state, and their operators
  const auto count = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    const auto id = in.get_text();
    const auto name = in.get_text();
    const int version = in.get<int>();
    const auto rows = in.get<std::uint64_t>();
    const auto bytes = in.get_text();
    StateReader own{bytes};
    if (!in.ok()) return broken();
    const auto stage = std::ranges::find_if(impl_->stages, [&](const Impl::Stage& s) {
      return s.node->kept_id() == id && s.node->name == name && s.node->op->spec.state_version == version;
    });
    if (stage == impl_->stages.end()) {
      if (!bytes.empty() && !std::ranges::contains(impl_->pipeline.nodes, id, &Node::kept_id))
        gone.emplace_back(id, name);
      impl_->given_up.emplace_back(id, bytes.size());
      continue;
    }
    if (stage->sink) stage->sink->resume(rows);
    if (!stage->transform) continue;
    if (auto loaded = stage->transform->load(own); !loaded) return std::unexpected(loaded.error());
    if (!own.ok()) return broken();
    std::erase(empty, stage->node->id);
  }
  if (!in.ok()) return broken();
  for (const auto& [id, name] : gone) {
    for (const auto& stage : impl_->stages) {
      if (stage.node->name == name && std::ranges::contains(empty, stage.node->id))
        return fail(Error::Kind::invalid, renamed_words(stage.node->id, id, "state of the same operator"));
    }
  }
  return empty;
}

std::optional<KeySession> Chain::session(std::string_view key) const {
  const auto id = impl_->keys->find(key);
  if (!id) return {};
  for (const auto& stage : impl_->stages) {
    if (!stage.transform) continue;
    if (const auto found = stage.transform->session(*id)) return found;
  }
  return {};
}

std::vector<std::pair<std::size_t, Transform::Size>> Chain::sizes() const {
  std::vector<std::pair<std::size_t, Transform::Size>> out;
  for (const auto& stage : impl_->stages) {
    if (stage.transform) out.emplace_back(stage.number, stage.transform->size());
  }
  return out;
}

std::string Chain::trouble() const {
  for (const auto& stage : impl_->stages) {
    if (stage.behind == nullptr) continue;
    if (const std::string text = stage.behind->trouble(); !text.empty()) return stage.node->id + ": " + text;
  }
  return {};
}

void Chain::watch(Probe probe) { impl_->probe = std::move(probe); }

void Chain::measure(Effort* effort) { impl_->effort = effort; }

}  // namespace weir
