#include "core/plan/event_time.hpp"

#include "core/plan/node_context.hpp"

namespace weir {

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
