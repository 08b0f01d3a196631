/// The Context that the engine gives to each operator instance.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/observe/counters.hpp"
#include "core/observe/limited_warnings.hpp"
#include "core/plan/pipeline.hpp"

namespace weir {

/// Threads   as Context says; codec() from the thread that makes the operator.
class NodeContext : public Context {
 public:
  /// What all contexts of a worker share; must outlive them.
  struct Shared {
    const Pipeline& pipeline;
    const Registry& registry;
    Counters& counters;
    const Clock& clock;
    std::string worker = {};
  };

  NodeContext(const Shared& shared, const Node& node, Partition partition, std::shared_ptr<Dictionary> keys,
              std::shared_ptr<Dictionary> fields);
  /// Of an instance that belongs to no lane (sinks, stores, and what is only asked questions): its tables are its own.
  NodeContext(const Shared& shared, const Node& node);

  std::string_view pipeline() const override { return shared_.pipeline.kept_name(); }
  std::string_view node() const override { return node_.kept_id(); }
  std::string_view worker() const override { return shared_.worker; }
  Partition partition() const override { return partition_; }
  std::uint32_t partitions() const override;
  std::uint32_t key_limit() const override;
  Duration forget() const override { return shared_.pipeline.forget; }
  DeadLetterBounds dead_letter_bounds() const override { return shared_.pipeline.letter_bounds; }
  const std::shared_ptr<Dictionary>& keys() const override { return keys_; }
  const std::shared_ptr<Dictionary>& fields() const override { return fields_; }
  const std::vector<ProjectedField>& projection() const override { return node_.projection; }
  const Clock& clock() const override { return shared_.clock; }
  const Codec* codec(std::string_view name) const override;
  std::size_t counter(std::string_view name) const override { return NodeContext::reason_counter(name, {}); }
  std::size_t reason_counter(std::string_view name, std::string_view reason) const override;
  void count(std::size_t counter, std::uint64_t n) override { shared_.counters.add(counter, n); }
  /// As LimitedWarnings says; it ends with the context.
  void warn(std::string_view message) override { warnings_.say(message); }
  void tell(std::string_view message) override;

 private:
  Shared shared_;
  const Node& node_;
  Partition partition_;
  std::shared_ptr<Dictionary> keys_;
  std::shared_ptr<Dictionary> fields_;
  mutable std::map<std::string, std::unique_ptr<Codec>, std::less<>> codecs_;
  LimitedWarnings warnings_;
};

}  // namespace weir
