#include "core/plan/node_context.hpp"

#include <cassert>

#include <weir/format.hpp>

#include "core/observe/log.hpp"
#include "core/plan/keeping.hpp"

namespace weir {

NodeContext::NodeContext(const Shared& shared, const Node& node, Partition partition, std::shared_ptr<Dictionary> keys,
                         std::shared_ptr<Dictionary> fields)
    : shared_{shared},
      node_{node},
      partition_{partition},
      keys_{std::move(keys)},
      fields_{std::move(fields)},
      warnings_{weir::format("{}/{}", node.id, partition), shared.clock} {}

NodeContext::NodeContext(const Shared& shared, const Node& node)
    : NodeContext{shared, node, 0, std::make_shared<Dictionary>(), std::make_shared<Dictionary>()} {}

std::uint32_t NodeContext::partitions() const {
  return claims_of(shared_.pipeline.nodes[shared_.pipeline.source()]).partitions;
}

std::uint32_t NodeContext::key_limit() const {
  return shared_.pipeline.key_limit != 0 ? shared_.pipeline.key_limit : Dictionary::default_limit;
}

const Codec* NodeContext::codec(std::string_view name) const {
  if (const auto it = codecs_.find(name); it != codecs_.end()) return it->second.get();
  const bool of_messages = node_.op != nullptr && node_.op->spec.of_messages;
  const Node& coded = of_messages ? shared_.pipeline.nodes[shared_.pipeline.source()] : node_;
  const Operator* op = shared_.registry.find(Role::codec, name.empty() ? std::string_view{coded.codec} : name);
  if (op == nullptr) return nullptr;
  const Settings settings = name.empty() ? coded.codec_settings : default_settings(op->spec, node_.id);
  return codecs_.emplace(name, op->make_codec(settings, const_cast<NodeContext&>(*this))).first->second.get();
}

std::size_t NodeContext::reason_counter(std::string_view name, std::string_view reason) const {
  for (const CounterSpec& counter : node_.op->spec.counters) {
    if (counter.name == name) return shared_.counters.declare(node_.id, name, counter.doc, reason);
  }
  assert(!"a counter that the Spec declares");
  return shared_.counters.declare(node_.id, name, "", reason);
}

void NodeContext::tell(std::string_view message) { log::info("{}/{}: {}", node_.id, partition_, message); }

}  // namespace weir
