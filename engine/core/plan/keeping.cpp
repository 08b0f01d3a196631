#include "core/plan/keeping.hpp"

#include <algorithm>

#include "core/plan/node_context.hpp"

namespace weir {

Claims claims_of(const Node& node) {
  return node.op->spec.claims_of ? node.op->spec.claims_of(node.settings) : Claims{};
}

Claims claims_of_store(const Pipeline& pipeline, const Registry& registry) {
  const Operator* op = pipeline.store.empty() ? nullptr : registry.find(Role::store, pipeline.store);
  return op != nullptr && op->spec.claims_of ? op->spec.claims_of(pipeline.store_settings) : Claims{};
}

std::unique_ptr<Store> store_of(const Pipeline& pipeline, const Registry& registry, Context& context) {
  const Operator* op = pipeline.store.empty() ? nullptr : registry.find(Role::store, pipeline.store);
  if (op == nullptr) return nullptr;
  const Settings& settings = pipeline.store_settings;
  const bool whole = std::ranges::all_of(op->spec.fields, [&](const Field& field) {
    return !field.required || !field.fallback.empty() || settings.has(field.name);
  });
  return whole ? op->make_store(settings, context) : nullptr;
}

bool keeps_state(const Pipeline& pipeline, const Node& source, const Registry& registry) {
  Counters counters;
  NodeContext context{{pipeline, registry, counters, system_clock()}, source};
  const auto store = store_of(pipeline, registry, context);
  return store != nullptr && store->durable();
}

std::optional<SharedBy> shared_by(const Pipeline& pipeline, const Registry& registry) {
  Counters counters;
  const NodeContext::Shared shared{pipeline, registry, counters, system_clock()};
  std::optional<SharedBy> longest;
  for (const Node& node : pipeline.nodes) {
    if (node.role != Role::sink || !claims_of(node).transactional) continue;
    NodeContext context{shared, node};
    const auto sink = node.op->make_sink(node.settings, context);
    const Duration lease = sink->ledger() != nullptr ? sink->ledger()->lease() : 0;
    if (lease > (longest ? longest->lease : 0)) longest = SharedBy{"sink " + node.id, lease};
  }
  if (longest) return longest;
  if (!shared_by_store(pipeline)) return {};
  NodeContext context{shared, pipeline.nodes[pipeline.source()]};
  const auto store = store_of(pipeline, registry, context);
  if (store == nullptr || store->lease() == 0) return {};
  return SharedBy{"store " + pipeline.store, store->lease()};
}

bool shared_by_store(const Pipeline& pipeline) {
  const Claims source = claims_of(pipeline.nodes[pipeline.source()]);
  return source.replayable && source.partitioned && std::ranges::none_of(pipeline.nodes, [](const Node& node) {
           return node.role == Role::sink && claims_of(node).transactional;
         });
}

bool finds_start_again(const Node& source, std::span<const Node* const> sinks, bool state_is_kept) {
  const auto field = std::ranges::find(source.op->spec.fields, "start", &Field::name);
  const bool chosen = field != source.op->spec.fields.end() && field->kind.tag == Kind::Tag::choice;
  const Claims claims = claims_of(source);
  // What ends by itself is not gone on with.
  if (state_is_kept || !chosen || source.settings.text("start") == "first" || !claims.replayable || claims.finite)
    return true;
  // What takes messages passes over those that it has, by their positions.
  if (std::ranges::all_of(sinks,
                          [](const Node* sink) { return claims_of(*sink).discards || sink->op->spec.of_messages; }))
    return true;
  return source.settings.text("start") == "time" &&
         std::ranges::any_of(sinks, [](const Node* sink) { return claims_of(*sink).transactional; });
}

bool tells_time(const Pipeline& pipeline, const Node& source, const Registry& registry) {
  const Operator* op = registry.find(Role::codec, source.codec);
  if (op == nullptr) return true;
  Counters counters;
  NodeContext context{{pipeline, registry, counters, system_clock()}, source};
  const auto codec = op->make_codec(source.codec_settings, context);
  // One that can't is written alike with it and without.
  const Sample without{.key = "k", .field = "f", .x = 1};
  Sample with = without;
  with.time = second;
  const auto written = codec->encode({&with, 1}, true, true);
  return !written || written != codec->encode({&without, 1}, true, true);
}

}  // namespace weir
