#include "core/checkpoint/ledgers.hpp"

#include <algorithm>

#include "core/plan/keeping.hpp"

namespace weir {
namespace {

/// Nothing is kept of a partition that is not among them.
ProgressLine line_of(const std::vector<ProgressLine>& lines, Partition partition) {
  const auto found = std::ranges::find(lines, partition, &ProgressLine::partition);
  return found != lines.end() ? *found : ProgressLine{.partition = partition};
}

}  // namespace

Ledgers::Ledgers(const Pipeline& pipeline, const Registry& registry) {
  const NodeContext::Shared shared{pipeline, registry, counters_, system_clock()};
  for (const Node& node : pipeline.nodes) {
    if (node.role != Role::sink || !claims_of(node).transactional) continue;
    auto& context = *contexts_.emplace_back(std::make_unique<NodeContext>(shared, node));
    Sink& sink = *sinks_.emplace_back(node.op->make_sink(node.settings, context));
    if (sink.ledger() != nullptr) all_.push_back({node.id, sink.ledger()});
  }
  if (!shared_by_store(pipeline)) return;
  const Node& source = pipeline.nodes[pipeline.source()];
  store_ = store_of(pipeline, registry, *contexts_.emplace_back(std::make_unique<NodeContext>(shared, source)));
  if (store_ == nullptr || store_->lease() == 0) return;
  snapshots_ = std::make_unique<Snapshots>(*store_, pipeline.kept_name());
  store_ledger_ = std::make_unique<StoreLedger>(*store_, *snapshots_, claims_of(source).partitions,
                                                StoreLedger::Instance{}, system_clock());
  all_.push_back({"state", store_ledger_.get()});
}

Result<void> Ledgers::only(const std::string& node) {
  if (!node.empty()) std::erase_if(all_, [&](const Named& one) { return one.node != node; });
  if (!all_.empty()) return {};
  return fail(Error::Kind::invalid,
              (node.empty() ? "no sink of this pipeline" : "no sink \"" + node + "\" here") + " keeps progress");
}

Result<Ledgers::Answers> Ledgers::ask() const {
  Answers out;
  std::optional<Error> first;
  for (const auto& [node, ledger] : all_) {
    auto lines = ledger->progress();
    if (lines) {
      out.kept.push_back({node, *std::move(lines)});
      continue;
    }
    out.unanswered.push_back(node + ": " + lines.error().message);
    if (!first) first = lines.error();
  }
  if (!out.kept.empty() || !first) return out;
  first->message = out.unanswered.front();
  return std::unexpected(*std::move(first));
}

std::vector<std::vector<ProgressLine>> Ledgers::Answers::lines() const {
  std::vector<std::vector<ProgressLine>> out;
  for (const Kept& one : kept) out.push_back(one.lines);
  return out;
}

std::vector<ProgressLine> lines_of(std::uint32_t partitions, const std::vector<std::vector<ProgressLine>>& by_sink) {
  std::vector<ProgressLine> out;
  for (Partition partition = 0; partition < partitions; ++partition) {
    ProgressLine line{.partition = partition};
    for (const auto& lines : by_sink) {
      ProgressLine one = line_of(lines, partition);
      if (&lines == &by_sink.front()) {
        line = std::move(one);
        continue;
      }
      if (one.progress.place.position < line.progress.place.position) line.progress = std::move(one.progress);
      if (one.owner.empty() || one.lease_left <= std::max<Duration>(line.lease_left, 0)) continue;
      line.owner = std::move(one.owner);
      line.lease_left = one.lease_left;
    }
    out.push_back(std::move(line));
  }
  return out;
}

}  // namespace weir
