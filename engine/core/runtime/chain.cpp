#include "core/runtime/chain.hpp"

#include <algorithm>

#include <weir/format.hpp>
#include <weir/shapes.hpp>
#include <weir/spelling.hpp>

#include "core/checkpoint/dead_letter_limit.hpp"
#include "core/observe/counted.hpp"
#include "core/plan/keeping.hpp"
#include "core/plan/node_context.hpp"
#include "core/plan/sink_start.hpp"
#include "core/runtime/stages.hpp"

namespace weir {
std::size_t bytes_of(const ChainOutput& output) {
  std::size_t bytes = 0;
  for (const SinkBatch& rows : output.batches) bytes += rows.batch->bytes();
  return bytes;
}

struct Chain::Impl {
  Impl(const Pipeline& p, const Registry& registry, Counters& c, const Clock& clock, Partition part,
       std::optional<std::uint32_t> partitions, std::size_t part_cells)
      : pipeline{p},
        counters{c},
        keys{std::make_shared<Dictionary>(p.key_limit != 0 ? p.key_limit : Dictionary::default_limit)},
        fields{std::make_shared<Dictionary>(samples::most_fields)},
        letters{p.letter_bounds, c},
        stages{{p, registry, c, clock}, part, keys, fields, part_cells} {
    const Node& source = p.nodes[p.source()];
    decoder = std::make_unique<Decoder>(*stages.all()[p.source()].context->codec(""), source.id, part,
                                        partitions.value_or(claims_of(source).partitions), keys, fields);
    const auto of_source = [&](const CounterSpec& what) { return counted::declare(c, source.id, what); };
    decoded_messages = of_source(counted::messages);
    decoded_bytes = of_source(counted::bytes);
    decoded_samples = of_source(counted::samples);
    decoded_untimed = of_source(counted::untimed_samples);
    decoded_empty = of_source(counted::empty_messages);
  }

  /// What the bytes mean only the operator knows that is no more there.
  void count_given_up(const std::string& id, std::size_t bytes) {
    if (bytes == 0) return;
    const bool there = std::ranges::contains(pipeline.nodes, id, &Node::kept_id);
    const auto reason = there ? "other_operator" : "no_such_node";
    counters.add(counted::declare(counters, id, counted::discarded_state_bytes, reason), bytes);
  }

  const Pipeline& pipeline;
  Counters& counters;
  std::shared_ptr<Dictionary> keys, fields;
  DeadLetterLimit letters;
  Stages stages;
  std::unique_ptr<Decoder> decoder;
  std::size_t decoded_messages = 0, decoded_bytes = 0, decoded_samples = 0, decoded_empty = 0, decoded_untimed = 0;
  std::uint32_t saved_keys = 0, saved_fields = 0;             // what the tables held at the last step
  Timestamp left_out_until = no_time;                         // rows up to then, see leave_out_until()
  std::vector<std::pair<std::string, std::size_t>> given_up;  // of what was loaded: nodes that are no more, and bytes
  NodeStatistics* statistics = nullptr;
};

Chain::Chain(const Pipeline& pipeline, const Registry& registry, Counters& counters, const Clock& clock,
             Partition partition, std::optional<std::uint32_t> partitions, std::size_t part_cells)
    : impl_{std::make_unique<Impl>(pipeline, registry, counters, clock, partition, partitions, part_cells)} {}

Chain::~Chain() = default;

Result<void> Chain::start(Position after, Timestamp arrival) {
  // What columns want has its place before what else may be sent.
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
  impl_->left_out_until = std::max(impl_->left_out_until, tick);
  for (auto& stage : impl_->stages.all()) {
    if (stage.sink) stage.sink->leave_out_until(impl_->left_out_until);
  }
}

Timestamp Chain::latest_tick() const {
  Timestamp latest = no_time;
  for (const auto& stage : impl_->stages.all()) {
    if (stage.sink) latest = std::max(latest, stage.sink->latest_tick());
  }
  return latest;
}

void Chain::skip(std::size_t node, Position behind, std::uint64_t rows) {
  impl_->stages.all()[node].sink->skip(behind, rows);
}

Decoded Chain::decode(std::shared_ptr<const Messages> messages) {
  NodeStatistics* const statistics = impl_->statistics;
  if (statistics == nullptr) return impl_->decoder->decode(std::move(messages));
  const Timestamp since = statistics->now();
  Decoded decoded = impl_->decoder->decode(std::move(messages));
  statistics->took(impl_->pipeline.source(), 1, decoded.messages, since);
  return decoded;
}

Result<void> Chain::step(const Decoded& decoded, bool replaying, ChainOutput& out) {
  Impl& chain = *impl_;
  const Node& source = chain.pipeline.nodes[chain.pipeline.source()];
  if (!replaying) {
    chain.counters.add(chain.decoded_messages, decoded.messages);
    chain.counters.add(chain.decoded_bytes, decoded.bytes);
    chain.counters.add(chain.decoded_samples, decoded.batch->rows);
    chain.counters.add(chain.decoded_empty, decoded.empty);
    chain.counters.add(chain.decoded_untimed, decoded.untimed_samples);
    for (const auto& letter : decoded.dead_letters)
      chain.counters.add(counted::declare(chain.counters, source.id, counted::invalid, letter.reason.code), 1);
  }
  chain.saved_keys = decoded.keys;
  chain.saved_fields = decoded.fields;
  chain.stages.begin(decoded.batch, replaying, decoded.dead_letters);
  return go_on(out);
}

Result<void> Chain::step(const BatchPtr& samples, bool replaying, ChainOutput& out) {
  impl_->saved_keys = impl_->keys->size();
  impl_->saved_fields = impl_->fields->size();
  impl_->stages.begin(samples, replaying, {});
  return go_on(out);
}

Result<void> Chain::go_on(ChainOutput& out) {
  auto done = impl_->stages.run(out);
  if (!out.more) impl_->letters.apply(out.dead_letters, impl_->stages.replaying());
  return done;
}

const std::shared_ptr<Dictionary>& Chain::keys() const { return impl_->keys; }
const std::shared_ptr<Dictionary>& Chain::fields() const { return impl_->fields; }

std::optional<Timestamp> Chain::due() const {
  std::optional<Timestamp> earliest;
  for (const auto& stage : impl_->stages.all()) {
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
  out.put(impl_->left_out_until);
  out.put(static_cast<std::uint32_t>(impl_->stages.all().size()));
  for (const auto& stage : impl_->stages.all()) {
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
  impl_->left_out_until = in.get<Timestamp>();
  std::vector<std::string> empty;
  for (const auto& stage : impl_->stages.all()) {
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
    const auto stage = std::ranges::find_if(impl_->stages.all(), [&](const Stages::Stage& s) {
      return s.node->kept_id() == id && s.node->name == name && s.node->op->spec.state_version == version;
    });
    if (stage == impl_->stages.all().end()) {
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
    for (const auto& stage : impl_->stages.all()) {
      if (stage.node->name == name && std::ranges::contains(empty, stage.node->id))
        return fail(Error::Kind::invalid, renamed_words(stage.node->id, id, false));
    }
  }
  return empty;
}

std::optional<KeySession> Chain::session(std::string_view key) const {
  const auto id = impl_->keys->find(key);
  if (!id) return {};
  for (const auto& stage : impl_->stages.all()) {
    if (!stage.transform) continue;
    if (const auto found = stage.transform->session(*id)) return found;
  }
  return {};
}

std::vector<std::pair<std::size_t, Transform::Size>> Chain::sizes() const {
  std::vector<std::pair<std::size_t, Transform::Size>> out;
  for (const auto& stage : impl_->stages.all()) {
    if (stage.transform) out.emplace_back(stage.number, stage.transform->size());
  }
  return out;
}

void Chain::watch(Probe probe) { impl_->stages.watch(std::move(probe)); }

void Chain::measure(NodeStatistics* statistics) {
  impl_->statistics = statistics;
  impl_->stages.measure(statistics);
}

}  // namespace weir
